"""The catalogue of ops: what is true of each kind, whatever engine runs it; one row a kind."""
