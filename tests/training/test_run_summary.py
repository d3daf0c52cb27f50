"""summary.json: one shape of a run's result, written and read back in one place."""

import json
from pathlib import Path

import pytest

from hypercl.config import UserError
from hypercl.training import RunSummary

ONE = {
    "validation": {"final_accuracy": 0.5, "forgetting": None, "why": {"forgetting": "one task"}},
    "test": {"final_accuracy": 0.4},
    "seed": 3,
}
SEVERAL = {
    "validation": {"final_accuracy": 0.4, "forward_transfer": None},
    "spread": {"validation": {"final_accuracy": 0.5}, "test": {"final_accuracy": 0.9}},
    "diverged_replicas": 1,
    "replicas": [
        {"seed": 1, "diverged": None, "validation": {"final_accuracy": 0.8}},
        {"seed": 2, "diverged": "seed 2: the loss became nan", "validation": {"final_accuracy": None}},
    ],
}


@pytest.mark.parametrize("content", [ONE, SEVERAL])
def test_a_summary_reads_back_as_it_was_written(content: dict, tmp_path: Path) -> None:
    summary = RunSummary.of({**content, "flops": None, "flops_per_task": [5, None], "why": {"flops": "not counted"}})
    summary.write(tmp_path)
    assert RunSummary.read(tmp_path) == summary
    plain = json.loads((tmp_path / "summary.json").read_text())
    assert {key: plain[key] for key in content} == content
    assert plain["why"] == {"flops": "not counted"}


def test_one_seed_and_several_are_read_alike() -> None:
    (only,) = RunSummary.of(ONE).seeds
    assert (only.seed, only.value("test/final_accuracy"), only.diverged) == (3, 0.4, "")
    first, second = RunSummary.of(SEVERAL).seeds
    assert (first.seed, first.value("validation/final_accuracy"), first.diverged) == (1, 0.8, "")
    assert (second.value("validation/final_accuracy"), second.value("test/final_accuracy")) == (None, None)
    assert RunSummary.of(SEVERAL).diverged == ("seed 2: the loss became nan",)


def test_measures_are_numbers_without_test_data() -> None:
    summary = RunSummary.of({**ONE, "compression_ratio": 0.3, "device": "cpu", "threads": 2, "seconds": 7.0})
    assert summary.measures() == {"validation/final_accuracy": 0.5, "compression_ratio": 0.3, "seconds": 7.0}


def test_measures_of_several_seeds_hold_the_mean_its_spread_and_each_seed() -> None:
    assert RunSummary.of({**SEVERAL, "seconds": 7.0}).measures() == {
        "validation/final_accuracy": 0.4,
        "spread/validation/final_accuracy": 0.5,
        "replica_1/validation/final_accuracy": 0.8,
        "diverged_replicas": 1.0,
        "seconds": 7.0,
    }


def test_memory_and_operations_are_measures() -> None:
    summary = RunSummary.of({**ONE, "peak_memory_bytes": 3 * 2**29, "flops": 12, "flops_per_task": [5, 7]})
    measures = summary.measures()
    assert (measures["peak_memory_gib"], measures["flops"]) == (1.5, 12.0)


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"replicas": [{}]}', '{"validation": {}, "replicas": 3}'])
def test_a_damaged_summary_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(UserError, match=r"summary\.json is damaged"):
        RunSummary.read(tmp_path)


def test_a_run_that_is_not_finished_has_no_summary(tmp_path: Path) -> None:
    assert RunSummary.read(tmp_path) is None
