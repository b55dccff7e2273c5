"""`python -m pixcore` is the command line."""

from pixcore.cli import main

main()
