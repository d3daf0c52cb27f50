"""`python idle_sweep.py FOLDER TRIALS`: a sweep on two slots whose trials sleep, as a process of its own."""

import sys
from pathlib import Path

# by its plain name, under which Ray's workers find it, too
from idle_training import TEXT, IdleEngine

from hypercl.config import loads
from hypercl.sweep import SweepOptions, sweep

SLOTS = 2


def main() -> int:
    folder, trials = Path(sys.argv[1]).absolute(), sys.argv[2]
    options = SweepOptions(folder=folder, data_dir=folder, cpus=SLOTS, max_concurrent=SLOTS, final="no")
    result = sweep(loads(TEXT, "idle.yaml", (f"search.trials={trials}",)), options, IdleEngine())
    print(result.message)
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
