"""The final step of a sweep: `python launch/final.py RESULTS`; the same as `hypercl final RESULTS`."""

import sys

from hypercl.__main__ import main

if __name__ == "__main__":
    raise SystemExit(main(["final", *sys.argv[1:]]))
