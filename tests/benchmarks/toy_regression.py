"""Final errors of toy regression on test data, of every seed of some runs, and their medians as a table.

    python -m tests.benchmarks.toy_regression hnet=RUN ewc=RUN ... > tests/benchmarks/results/toy_regression.csv

A run is the folder of a `hypercl train --test` with replicas. The table goes to standard error.
"""

import csv
import json
import sys
from pathlib import Path
from statistics import quantiles

TASKS = 3


def rows_of(label: str, run: Path) -> list[list[object]]:
    """A row a seed: method, seed, MSE on each task after the last, and on each when it was just learned."""
    first = json.loads((run / "summary.json").read_text(encoding="utf-8"))["seed"]
    rows: list[list[object]] = []
    for replica in range(1, len(list(run.glob("mse_matrix_test_replica_*.csv"))) + 1):
        with (run / f"mse_matrix_test_replica_{replica}.csv").open(encoding="utf-8") as file:
            cells = list(csv.reader(file))[-TASKS:]
        final, during = cells[-1][1:], [cells[task][task + 1] for task in range(TASKS)]
        rows.append([label, first + replica - 1, *(f"{float(value):.6f}" for value in (*final, *during))])
    return rows


def main(arguments: list[str]) -> None:
    header = ["method", "seed", *(f"final_{task}" for task in range(1, 4)), *(f"during_{task}" for task in range(1, 4))]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    for argument in arguments:
        label, _, run = argument.partition("=")
        rows = rows_of(label, Path(run))
        writer.writerows(rows)
        cells: list[str] = []
        for column in range(2, 2 + TASKS):
            low, middle, high = quantiles((float(str(row[column])) for row in rows), n=4, method="inclusive")
            cells.append(f"{middle:.4f} ({low:.4f} to {high:.4f})")
        print(f"| {label} | {' | '.join(cells)} |", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
