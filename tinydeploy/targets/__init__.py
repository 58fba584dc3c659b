"""Targets: what loads a firmware and runs it, on this machine or on a board."""
