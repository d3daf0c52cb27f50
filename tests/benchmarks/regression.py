"""Final errors of a regression on test data, of every seed of some runs, and their medians as a table.

    python -m tests.benchmarks.regression hnet=RUN ewc=RUN ... > tests/benchmarks/results/toy_regression.csv

A run is the folder of a `hypercl train --test` with replicas; all are of one stream. The table goes to standard error:
an error for each task, or with more than three the mean over the tasks after the last one and when each was just
learned.
"""

import csv
import json
import sys
from pathlib import Path
from statistics import fmean, quantiles

NARROW = 3
"""Tasks that have a column each."""


def rows_of(label: str, run: Path) -> list[list[object]]:
    """A row a seed: method, seed, MSE on each task after the last, and on each when it was just learned."""
    first = json.loads((run / "summary.json").read_text(encoding="utf-8"))["seed"]
    rows: list[list[object]] = []
    for replica in range(1, len(list(run.glob("mse_matrix_test_replica_*.csv"))) + 1):
        with (run / f"mse_matrix_test_replica_{replica}.csv").open(encoding="utf-8") as file:
            cells = list(csv.reader(file))[2:]  # below the names and the errors before any training
        final, during = cells[-1][1:], [row[task + 1] for task, row in enumerate(cells)]
        rows.append([label, first + replica - 1, *(f"{float(value):.6f}" for value in (*final, *during))])
    return rows


def shown(rows: list[list[object]]) -> list[str]:
    """Median and quartiles over the seeds."""
    each = [[float(str(value)) for value in row[2:]] for row in rows]
    tasks = len(each[0]) // 2
    if tasks > NARROW:
        columns = [[fmean(row[:tasks]) for row in each], [fmean(row[tasks:]) for row in each]]
    else:
        columns = [[row[task] for row in each] for task in range(tasks)]
    cells: list[str] = []
    for column in columns:
        low, middle, high = quantiles(column, n=4, method="inclusive")
        cells.append(f"{middle:.4f} ({low:.4f} to {high:.4f})")
    return cells


def main(arguments: list[str]) -> None:
    writer, begun = csv.writer(sys.stdout, lineterminator="\n"), False
    for argument in arguments:
        label, _, run = argument.partition("=")
        rows = rows_of(label, Path(run))
        tasks = range(1, len(rows[0]) // 2)
        if not begun:
            writer.writerow(["method", "seed", *(f"final_{n}" for n in tasks), *(f"during_{n}" for n in tasks)])
            begun = True
        writer.writerows(rows)
        print(f"| {label} | {' | '.join(shown(rows))} |", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
