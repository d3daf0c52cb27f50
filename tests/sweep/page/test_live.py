"""The page of a sweep that runs."""

from pathlib import Path

import pytest
from made_sweep import SMALL, made_sweep

from hypercl.sweep.page import LivePage
from hypercl.sweep.page import live as module
from hypercl.sweep.study import read_sweep


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
    live = LivePage(clock)
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
    monkeypatch.setattr(module, "importances", lambda record: asked.append(record.trained) or [])
    monkeypatch.setattr(module, "write_page", lambda _, path: path)
    live = LivePage()
    live.write(record)
    live.write(record)
    assert asked == [12]
