"""Train one experiment: `python launch/train.py FILE`; the same as `hypercl train FILE`."""

import sys

from hypercl.__main__ import main

if __name__ == "__main__":
    raise SystemExit(main(["train", *sys.argv[1:]]))
