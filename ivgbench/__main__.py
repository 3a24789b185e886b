"""`python -m ivgbench` is the command line."""

from ivgbench.cli import main

if __name__ == "__main__":
    main()
