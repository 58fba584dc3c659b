"""Architecture search: candidates of a Keras function with choices, priced before they are trained."""
