"""Memory: which tensors may overlap, the arena's plan, and the allocator."""
