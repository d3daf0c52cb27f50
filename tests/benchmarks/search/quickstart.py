"""`python -m tests.benchmarks.search.quickstart`: the quickstart with five seeds of the search.

Each winner is compared with the setting as written on ten fresh seeds. Rows in the table are not measured again.
"""

import argparse
import csv
import json
import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
TABLE = ROOT / "tests" / "benchmarks" / "results" / "quickstart.csv"
COLUMNS = ["search_seed", "winner", "as_written", "came_out", "gain", "low", "high", "p", "seeds", "seconds", "values"]
METRIC = "test/final_accuracy"


def main(arguments: Sequence[str] | None = None) -> None:
    """A row a search seed, in percent and points; seconds are those of the whole command, on the machine as it was."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.search.quickstart", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="of the search (1 to 5)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where the sweeps lie")
    parser.add_argument("--command", default="hypercl", help="what sweeps (hypercl)")
    given = parser.parse_args(arguments)
    os.nice(10)
    for seed in given.seeds:
        if str(seed) in measured():
            continue
        began = time.monotonic()
        file, name = ROOT / "search_spaces" / "quickstart.yaml", f"quickstart-{seed}"
        own = ["sweep", str(file), "--set", f"search.seed={seed}", "--name", name, "--results", str(given.results)]
        subprocess.run([*shlex.split(given.command), *own], check=True)
        append(seed, given.results / name, time.monotonic() - began)


def measured() -> set[str]:
    """Seeds of the search that the table holds."""
    if not TABLE.exists():
        return set()
    with TABLE.open(newline="", encoding="utf-8") as source:
        return {row["search_seed"] for row in csv.DictReader(source)}


def append(seed: int, folder: Path, seconds: float) -> None:
    """Writes the row of a sweep that ended."""
    final = json.loads((folder / "final" / "final.json").read_text(encoding="utf-8"))
    winner, *others = final["settings"]
    found, base = winner["metrics"][METRIC], (others or [winner])[-1]["metrics"][METRIC]
    gain: dict[str, Any] = found.get("difference") or {"mean": 0.0, "t_interval": [0.0, 0.0], "p": 1.0}
    numbers = [base["mean"], found["mean"], gain["mean"], *gain["t_interval"]]
    row = [seed, winner["label"], *(f"{100 * number:.2f}" for number in numbers), f"{gain['p']:.4g}"]
    new = not TABLE.exists()
    with TABLE.open("a", newline="", encoding="utf-8") as sink:
        table = csv.writer(sink)
        if new:
            table.writerow(COLUMNS)
        table.writerow([*row, found["count"], f"{seconds:.0f}", json.dumps(winner["settings"])])


if __name__ == "__main__":
    main()
