import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hypercl.loggers import JsonLines
from hypercl.loggers.jsonl import encode, read_rows
from hypercl.testing import LoggerContract
from hypercl.testing.logged_run import reports, resumed, started


def lines(folder: Path) -> list[dict]:
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class TestJsonLines(LoggerContract):
    def logger(self, folder):
        return JsonLines(folder)

    def written(self, folder):
        return [row["iteration"] for row in lines(folder)]


def told(folder: Path, after: int, items) -> None:
    logger = JsonLines(folder)
    logger.started(started(folder, after))
    for item in items:
        logger.report(item)


@example(died_at=3, fall_back=False, lost=1, garbage=b"")  # only the line break is missing
@settings(max_examples=50, deadline=None)
@given(died_at=st.integers(0, 6), fall_back=st.booleans(), lost=st.integers(0, 200), garbage=st.binary(max_size=30))
def test_rows_are_those_of_an_uninterrupted_run_wherever_it_died(died_at, fall_back, lost, garbage):
    """It dies while appending the rows of a report whose checkpoint is on disk, or garbled; then it goes on."""
    with tempfile.TemporaryDirectory() as name:
        folder, whole = Path(name) / "cut", Path(name) / "whole"
        told(folder, 0, reports()[: max(0, died_at - 1)])
        before = (folder / "metrics.jsonl").stat().st_size
        told(folder, max(0, died_at - 1), reports()[:died_at])
        path = folder / "metrics.jsonl"
        content = path.read_bytes()
        path.write_bytes(content[: max(before, len(content) - lost)] + garbage.replace(b"\n", b""))

        after = max(0, died_at - fall_back)
        told(folder, after, resumed(after))
        told(whole, 0, reports())
        assert path.read_bytes() == (whole / "metrics.jsonl").read_bytes()


def test_a_run_that_starts_over_leaves_nothing_of_the_old_one(tmp_path):
    told(tmp_path, 0, reports())
    told(tmp_path, 0, [])
    assert lines(tmp_path) == []


@pytest.mark.parametrize("bad", [b"\x00\xff{", b"", b"[]", b'{"iteration": 1e999}', b'{"iteration": 99, "task": 1}'])
def test_after_a_damaged_line_all_other_rows_are_kept_and_it_is_said(tmp_path, caplog, bad):
    told(tmp_path, 0, reports())
    path = tmp_path / "metrics.jsonl"
    written = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([*written[:3], bad, *written[4:]]) + b"\n")
    assert len(read_rows(tmp_path)) == len(written) - (b"task" not in bad)
    told(tmp_path, 6, [])
    assert path.read_bytes().splitlines() == [*written[:3], *written[4:]]
    assert "lines that are damaged: 1, the first is line 4" in caplog.text
    assert (tmp_path / "metrics.jsonl.damaged").read_bytes() == bad + b"\n"


def test_a_run_that_was_finished_and_is_started_again_keeps_every_row(tmp_path):
    told(tmp_path, 0, reports())
    before = lines(tmp_path)
    told(tmp_path, 6, [])
    assert lines(tmp_path) == before


def test_rows_of_one_iteration_are_all_kept(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"iteration": 3, "loss": 1.0}\n')
    report = reports()[0]
    twin = type(report)(**{**vars(report), "rows": ({"iteration": 5, "loss": 1.0}, {"iteration": 5, "task": 1})})
    told(tmp_path, 0, [twin, twin])
    assert lines(tmp_path) == [{"iteration": 5, "loss": 1.0}, {"iteration": 5, "task": 1}]


def test_what_json_cannot_say_is_null():
    assert json.loads(encode({"iteration": 1, "loss": float("nan")})) == {"iteration": 1, "loss": None}
