"""`python -m tests.goldens SYSTEM FOLDER`, from the project's root."""

from tests.goldens.runner import main

main()
