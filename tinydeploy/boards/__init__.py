"""Boards and their cores: one TOML file a board."""
