"""The model: graph, samples, outputs and labels."""
