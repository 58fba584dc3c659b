"""Firmware: the project as a value, its build, and what the ELF file says."""
