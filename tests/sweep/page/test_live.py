"""The page of a sweep that runs."""

from pathlib import Path

import pytest
from fake_training import FakeEngine
from in_this_process import in_this_process
from made_sweep import SMALL, made_sweep

from hypercl.config import loads
from hypercl.sweep import SweepOptions, sweep
from hypercl.sweep.listener import Silent
from hypercl.sweep.page import LivePage, Shown, write_page
from hypercl.sweep.page import live as module
from hypercl.sweep.study import read_sweep

TEXT = """
experiment: {tasks: {name: split_digits, num_tasks: 2}, training: {iterations: 4, threads: 1, device: cpu}}
space: {method.beta: {log_uniform: [1e-4, 10]}}
search: {sampler: random, trials: 3, confirm: false}
"""


class Ears(Silent):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def said(self, text: str) -> None:
        self.heard.append(text)

    def promised(self, number: int, value: float, interval: tuple[float, float] | None) -> None:
        self.heard.append(f"promised {number}")


def swept(folder: Path, ears: Ears) -> int:
    options = SweepOptions(
        folder=folder / "made", data_dir=folder, offline=True, cpus=2, final="no", command="hypercl sweep x.yaml",
        listener=ears,
    )  # fmt: skip
    return sweep(loads(TEXT, "x.yaml"), options, FakeEngine()).exit_code


def test_a_sweep_writes_its_page_while_it_runs_and_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stands: list[str] = []

    def write(sweeps: dict[str, Shown], path: Path) -> Path:
        stands.extend(one.stands for one in sweeps.values())
        return write_page(sweeps, path)

    in_this_process(monkeypatch)
    monkeypatch.setattr("hypercl.sweep.driver.write_report", lambda *_: None)
    monkeypatch.setattr(module, "write_page", write)
    ears = Ears()
    assert swept(tmp_path, ears) == 0
    assert stands == ["running", "done"]
    assert any(one.startswith("promised") for one in ears.heard)
    page = (tmp_path / "made" / "report.html").read_text(encoding="utf-8")
    assert "hypercl sweep x.yaml" in page
    assert "3 of 3 trials trained" in page


def test_a_page_that_cannot_be_made_costs_the_sweep_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Path:
        raise ValueError("broken on purpose")

    in_this_process(monkeypatch)
    monkeypatch.setattr(module, "write_page", broken)
    ears = Ears()
    assert swept(tmp_path, ears) == 0
    (said,) = (one for one in ears.heard if "report.html" in one)
    assert "broken on purpose" in said
    assert (tmp_path / "made" / "best.yaml").is_file()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_page_takes_at_most_a_fiftieth_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def slow(_: object, path: Path) -> Path:
        clock.now += 4.0
        return path

    monkeypatch.setattr(module, "write_page", slow)
    made_sweep(tmp_path / "made", complete=1, text=SMALL)
    live = LivePage(clock=clock)
    assert live.due
    live.write(read_sweep(tmp_path / "made"))
    clock.now += 199.0
    assert not live.due
    clock.now += 1.0
    assert live.due
    live.stop()
    assert not live.due


def test_importances_are_computed_again_once_the_sweep_has_grown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_sweep(tmp_path / "made", complete=12, text=SMALL)
    record = read_sweep(tmp_path / "made")
    asked: list[int] = []
    monkeypatch.setattr(module, "importances", lambda record, _: asked.append(record.trained) or [])
    monkeypatch.setattr(module, "write_page", lambda _, path: path)
    live = LivePage()
    live.write(record)
    live.write(record)
    assert asked == [12]
