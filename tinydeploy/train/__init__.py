"""What runs in the training environment: plain files that need TensorFlow, NumPy and nothing else of ours."""

MARK = "tinydeploy: "
"""Begins each line that is told to the other side; what libraries print has none."""
