"""Meters of what a board draws, with a pin of the board's as their trigger; see docs/meters.md."""
