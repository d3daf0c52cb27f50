"""`python -m tests.benchmarks.suggestions`: CPU seconds of one suggestion of TPE as a study grows, with and
without the limit on the trials that it sees."""

import os
import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from optuna.samplers import RandomSampler
from optuna.trial import TrialState, create_trial

from hypercl.config import SweepFile, loads
from hypercl.sweep.study.outcome import OUTCOME, Outcome
from hypercl.sweep.study.space import distributions
from hypercl.sweep.study.study import SweepStudy

TEXT = """
experiment: {tasks: {name: split_digits}}
space:
  method.beta: {log_uniform: [1e-4, 10]}
  training.optimizer.lr: {log_uniform: [1e-4, 1e-1]}
  hypernet.task_embedding: {int: [4, 96]}
  hypernet.chunk_embedding: {int: [4, 96]}
  hypernet.chunk_size: {int_log: [500, 50000]}
  training.batch_size: {choice: [16, 32, 64, 128]}
search: {trials: 20000, include_base: false}
"""
SIZES, REPEATS = (100, 1_000, 5_000, 10_000), 10


def grown(journal: Path, file: SweepFile, trials: int) -> SweepStudy:
    """A study in which some trials have ended: six of ten at the end of the stream, the others pruned."""
    study, rng, drawn = SweepStudy(journal, "s", file, threads=1), random.Random(1), RandomSampler(seed=1)
    space = distributions(file.space)
    for _ in range(trials):
        value, complete = rng.random(), rng.random() < 0.6
        study.optuna.add_trial(
            create_trial(
                state=TrialState.COMPLETE if complete else TrialState.PRUNED,
                value=value if complete else None,
                params={path: drawn.sample_independent(study.optuna, None, path, one) for path, one in space.items()},  # pyright: ignore[reportArgumentType]
                distributions=space,
                intermediate_values={step: value * step / 20 for step in range(1, 21 if complete else 8)},
                user_attrs={OUTCOME: Outcome("complete" if complete else "pruned", value=value).plain()},
                constraints={"valid": 0.0, "diverged": 0.0, "out_of_memory": 0.0},
            )
        )
    return study


def seconds(study: SweepStudy) -> float:
    """CPU seconds of a suggestion."""
    study.ask()
    begin = time.process_time()
    for _ in range(REPEATS):
        study.ask()
    return (time.process_time() - begin) / REPEATS


def main() -> None:
    """A line for each size."""
    file = loads(TEXT, "suggestions.yaml")
    for trials in SIZES:
        with TemporaryDirectory() as folder, patch.object(os, "fsync"):
            study = grown(Path(folder) / "j", file, trials)
            limited, study.optuna.sampler = study.optuna.sampler, study.optuna.sampler.inner  # pyright: ignore[reportAttributeAccessIssue]
            every = seconds(study)
            study.optuna.sampler = limited
            print(f"{trials:6,} trials: {every:.2f} CPU seconds with all of them, {seconds(study):.2f} with the limit")


if __name__ == "__main__":
    main()
