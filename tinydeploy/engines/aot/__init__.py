"""The ahead-of-time engine: a compiler from graph to straight C++ calls; begin with pipeline.py."""
