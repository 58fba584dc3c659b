"""tinydeploy: a .tflite goes in, measured firmware comes out.

Every verb of the command line is a typed function in `tinydeploy.verbs`.
"""

__version__ = "0.1.0"
