"""Canonicalisation when a model is read: shapes inferred, constants folded, ops that every engine has."""
