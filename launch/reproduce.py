"""Reproduces published results: `python launch/reproduce.py NAME`; the same as `hypercl reproduce NAME`."""

import sys

from hypercl.__main__ import main

if __name__ == "__main__":
    raise SystemExit(main(["reproduce", *sys.argv[1:]]))
