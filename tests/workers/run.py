"""Runs the bureau command, as its entry point does."""

from bureau.cli import main

if __name__ == "__main__":
    main()
