"""Readers of untrusted files: .tflite models, and .npz data."""
