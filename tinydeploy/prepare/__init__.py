"""From a trained float model to a good int8 one: all of it extras, loaded when they are asked for."""
