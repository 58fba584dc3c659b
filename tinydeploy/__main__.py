"""`python -m tinydeploy` is the command line."""

from tinydeploy.cli import main

main()
