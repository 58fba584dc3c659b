"""Estimates of time and energy from what a firmware executes, see docs/time-model.md."""
