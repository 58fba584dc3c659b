"""Models as a library for one's own firmware: a C interface each, and what different build systems want."""
