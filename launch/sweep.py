"""Sweep over an experiment: `python launch/sweep.py FILE`; the same as `hypercl sweep FILE`."""

import sys

from hypercl.__main__ import main

if __name__ == "__main__":
    raise SystemExit(main(["sweep", *sys.argv[1:]]))
