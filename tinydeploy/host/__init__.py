"""What this machine offers: paths, tools, the cache, PlatformIO, templates, interpreters on the host."""
