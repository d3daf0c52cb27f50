"""`python -m tests.benchmarks.search.record [PROBLEM ...]`: trains what the tables miss; may be stopped any time."""

import argparse
import csv
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from hypercl.config import SweepFile, assign
from hypercl.sweep.study.space import experiment_of
from tests.benchmarks.options import Options
from tests.benchmarks.search.problems import HERE, PROBLEMS, Block, blocks, params_text, sweep_file, table_path
from tests.benchmarks.search.training import Trained, train

SETTINGS = 64
NICENESS = 15


def main(arguments: Sequence[str] | None = None) -> None:
    """Goes through the problems in turn, a block each, so that all tables grow alike."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.search.record", description=__doc__)
    parser.add_argument("problems", nargs="*", metavar="PROBLEM", help=f"of {', '.join(PROBLEMS)} (all)")
    parser.add_argument("--settings", type=int, default=SETTINGS, help=f"of each problem ({SETTINGS})")
    parser.add_argument("--data-dir", type=Path, default=Options().data_dir, help="where MNIST lies")
    given = parser.parse_args(arguments)
    os.nice(NICENESS)
    torch.set_num_threads(1)
    names = given.problems or PROBLEMS
    queues = {name: list(blocks(sweep_file(name), given.settings)) for name in names}
    while any(queues.values()):
        for name, queue in queues.items():
            while queue and _is_recorded(table_path(name), queue[0]):
                queue.pop(0)
            if queue:
                seconds = record(sweep_file(name), queue[0], table_path(name), given.data_dir)
                print(f"{name}: settings {queue[0].numbers}, split {queue[0].split_seed}: {seconds:.0f} s", flush=True)


def record(file: SweepFile, block: Block, table: Path, data: Path) -> float:
    """Trains a block and appends its rows, one a setting and seed; returns the processor time."""
    settings = [
        assign(
            experiment_of(file.experiment, file.space, params) if params else file.experiment,
            {"tasks.split_seed": block.split_seed, "training.device": "cpu", "training.threads": 1},
        )
        for params in block.params
    ]
    trained = train(settings, block.seeds, data, [HERE])
    rows = [
        [
            number,
            params_text(params),
            seed,
            block.split_seed,
            f"{trained.seconds / len(block.numbers):.2f}",
            *_cells(trained, place, column),
        ]
        for place, (number, params) in enumerate(zip(block.numbers, block.params, strict=True))
        for column, seed in enumerate(block.seeds)
    ]
    if not table.exists():
        reports = [f"report_{index}" for index in range(1, trained.validation.shape[2] + 1)]
        rows.insert(0, ["setting", "params", "seed", "split_seed", "seconds", "test", *reports])
    with table.open("a", newline="", encoding="utf-8") as sink:
        csv.writer(sink).writerows(rows)
    return trained.seconds


def _cells(trained: Trained, place: int, column: int) -> list[str]:
    values = [trained.test[place, column], *trained.validation[place, column]]
    return [f"{float(value):.4f}" for value in values]


def _is_recorded(table: Path, block: Block) -> bool:
    """Whether all rows of a block are there; a table cut inside a block is cut back to its start."""
    if not table.exists():
        return False
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = list(csv.reader(lines))
    wanted = {(str(number), str(seed)) for number in block.numbers for seed in block.seeds}
    found = [line for line, row in zip(lines, rows, strict=True) if (row[0], row[2]) in wanted and _whole(row, rows[0])]
    if len(found) == len(wanted):
        return True
    if found or not _whole(rows[-1], rows[0]):
        kept = [
            line
            for line, row in zip(lines, rows, strict=True)
            if (row[0], row[2]) not in wanted and _whole(row, rows[0])
        ]
        table.write_text("".join(kept), encoding="utf-8")
    return False


def _whole(row: list[str], head: list[str]) -> bool:
    return (len(row) == len(head) and len(row[-1]) == len("0.0000")) or row == head


if __name__ == "__main__":
    sys.exit(main())
