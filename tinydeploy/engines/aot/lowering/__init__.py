"""Lowering: from an op to steps, one file a family of ops."""
