"""Tiling: runs of ops done in stripes of rows and patches of columns."""
