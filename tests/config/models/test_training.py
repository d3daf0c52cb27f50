"""Settings of target and training that a file, an override or a space may hold."""

from pathlib import Path

import pytest

from hypercl.config import ConfigError, assign, load_sweep, loads

TEXT = "experiment: {tasks: {name: split_digits}, training: {early_stopping: {patience: 3}}}"
SPACE = """
experiment:
  tasks: {name: split_digits}
  training: {early_stopping: {patience: 3}}
space:
  training.schedule.name: {choice: [constant, step, cosine, one_cycle, plateau]}
  training.optimizer.name: {choice: [adam, adamw, rmsprop, sgd]}
  training.early_stopping.patience: {int: [2, 10]}
  training.precision: {choice: [fp32, bf16]}
  training.label_smoothing: {uniform: [0.0, 0.2]}
  target.dropout: {uniform: [0.0, 0.5]}
"""


def test_a_space_can_vary_schedules_optimisers_stopping_and_precision(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text(SPACE)
    base = load_sweep(tmp_path / "file.yaml").experiment
    values = {"training.schedule.name": "plateau", "training.optimizer.name": "rmsprop"}
    changed = assign(base, {**values, "training.early_stopping.patience": 7, "target.dropout": 0.2}).training
    assert (changed.schedule.name, changed.schedule.patience) == ("plateau", 5)
    assert (changed.optimizer.name, changed.optimizer.alpha) == ("rmsprop", 0.99)
    assert changed.early_stopping is not None
    assert changed.early_stopping.patience == 7


def test_another_schedule_keeps_the_warm_up_where_it_has_one() -> None:
    warm = ["training.schedule={name: cosine, warmup: 0.1, floor: 0.2}"]
    changed = loads(TEXT, "x", [*warm, "training.schedule.name=plateau"]).experiment.training.schedule
    assert (changed.name, changed.warmup) == ("plateau", 0.1)
    assert loads(TEXT, "x", [*warm, "training.schedule.name=one_cycle"]).experiment.training.schedule.rise == 0.3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.precision=fp16", "fp32"),
        ("training.label_smoothing=0.5", "less than 0.5"),
        ("training.schedule={name: one_cycle, warmup: 0.1}", "unknown key"),
        ("training.early_stopping.patience=0", "greater than or equal to 1"),
        ("target={name: zenkenet, dropout: 1.0}", "less than 1"),
        ("target={name: lenet, channels: [3]}", "channels"),
        ("training.schedule={name: plateau, factor: 1.0}", "less than 1"),
    ],
)
def test_what_means_nothing_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loads(TEXT, "x", [override])


def test_batch_norm_needs_more_than_one_sample_a_batch() -> None:
    normalised = loads(TEXT, "x", ["target.batch_norm=true", "training.batch_size=2"]).experiment
    with pytest.raises(ConfigError, match="at least 2"):
        assign(normalised, {"training.batch_size": 1})
