"""Kernels: which ones suit a core, and what they cost."""
