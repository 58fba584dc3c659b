"""Rewrites: the same graph or program in fewer ops, with the same outputs bit for bit."""
