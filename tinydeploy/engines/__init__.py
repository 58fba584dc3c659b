"""Engines: what turns a graph into C++ sources."""
