"""The recipes of `tinydeploy compress`, a file each."""
