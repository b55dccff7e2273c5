"""Make `python -m pixcore` the command line."""

from pixcore.cli import main

main()
