"""Fixed-point arithmetic on the host: multipliers, function tables, weights in a kernel's order."""
