"""What runs in the training environment: plain files that need TensorFlow, NumPy and nothing else of ours."""
