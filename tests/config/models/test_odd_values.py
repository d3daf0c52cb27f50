"""Values that no run can hold are told as problems of their keys, not met as overflow or exhausted memory."""

import re

import pytest

from hypercl.config import ConfigError, loads

HUGE = ("1e300", "1e18", "1e12")
CASES = [
    *((f"training: {{batch_size: {value}}}", "training.batch_size") for value in HUGE),
    *((f"hypernet: {{{key}: {value}}}", f"hypernet.{key}") for key in ("task_embedding", "noise") for value in HUGE),
    *((f"hypernet: {{hidden: [{value}]}}", "hypernet.hidden[0]") for value in HUGE),
    *((f"target: {{hidden: [{value}]}}", "target.hidden[0]") for value in HUGE),
    *((f"training: {{early_stopping: {{checks: {value}}}}}", "training.early_stopping.checks") for value in HUGE),
    ("training: {schedule: {name: plateau, checks: 1e12}}", "training.schedule.checks"),
    ("training: {seed: 1e300}", "training.seed"),
    ("training: {optimizer: {name: adamw, weight_decay: 1e300}}", "training.optimizer.weight_decay"),
    ("training: {optimizer: {eps: 1e-300}}", "training.optimizer.eps"),
    ("hypernet: {init: {name: hyperfan_in, gain: 1e300}}", "hypernet.init.gain"),
    ("hypernet: {embedding_scale: 1e-300}", "hypernet.embedding_scale"),
    ("hypernet: {chunk_size: auto, compression_ratio: 1e300}", "hypernet.compression_ratio"),
]


@pytest.mark.parametrize(("section", "key"), CASES)
def test_a_value_beyond_all_use_is_a_problem_of_its_key(section: str, key: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{key}: give ")):
        loads(f"experiment: {{tasks: {{name: split_digits}}, {section}}}", "x.yaml")


@pytest.mark.parametrize("tasks", ["name: permuted_mnist", "name: image_folder, path: x, classes_per_task: 2"])
@pytest.mark.parametrize("count", ["1e18", "1e9"])
def test_a_stream_of_billions_of_tasks_is_a_problem_of_its_key(tasks: str, count: str) -> None:
    with pytest.raises(ConfigError, match=r"tasks.num_tasks: give at most 10,000"):
        loads(f"experiment: {{tasks: {{{tasks}, num_tasks: {count}}}}}", "x.yaml")
