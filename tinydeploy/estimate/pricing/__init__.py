"""What a program executes, before it is built: terms of kernels, and what each takes on a core."""
