"""Many runs: those that a list names, held against their limits, and sweeps over all combinations."""
