"""A result for people: the console's table, the HTML page, and the files of a run."""
