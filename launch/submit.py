"""A sweep as a job of a Ray cluster: `python launch/submit.py FILE`; the same as `hypercl submit FILE`."""

import sys

from hypercl.__main__ import main

if __name__ == "__main__":
    raise SystemExit(main(["submit", *sys.argv[1:]]))
