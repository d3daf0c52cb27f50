"""`python -m hypercl` is the console script `hypercl`."""

from hypercl.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
