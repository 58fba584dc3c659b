"""The tflm engine: the model as an ordinary TensorFlow Lite Micro program."""
