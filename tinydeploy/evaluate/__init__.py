"""Evaluation: a model built, run and measured on a target, from a deployment to its result."""
