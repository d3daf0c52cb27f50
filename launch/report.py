"""What sweeps found: `python launch/report.py RESULTS ...`; the same as `hypercl report RESULTS ...`."""

import sys

from hypercl.__main__ import main

if __name__ == "__main__":
    raise SystemExit(main(["report", *sys.argv[1:]]))
