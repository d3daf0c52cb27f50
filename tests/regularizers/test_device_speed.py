"""A device's speed is measured once, kept by its name, and measured again where the file is of no use."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from math import log2
from pathlib import Path

import pytest
import torch

from hypercl.files import locked
from hypercl.regularizers.device_speed import ASSUMED, DeviceSpeed, cache_folder, kept, measured, speed_of
from tests.pretended_gpu import DEVICE

CPU = torch.device("cpu")
MODULE = sys.modules[DeviceSpeed.__module__]
FOUND = DeviceSpeed(call=1e-5, replayed_call=2e-6, operation=1e-13, number=2e-12)


class Measure:
    """Counts how often it is measured."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> DeviceSpeed:
        self.times += 1
        return FOUND


@pytest.fixture
def measurable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The CPU counts as a device that is measured, quickly; gives the cache folder."""
    monkeypatch.setitem(MODULE._WAITS, "cpu", lambda: None)
    for name, small in {"CALLS": 20, "SIDE": 64, "NUMBERS": 10_000}.items():
        monkeypatch.setattr(MODULE, name, small)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    MODULE._measured.cache_clear()
    yield tmp_path / "hypercl" / "devices"
    MODULE._measured.cache_clear()


def test_it_is_measured_once_and_read_afterwards(tmp_path: Path) -> None:
    measure, file = Measure(), tmp_path / "devices" / "a.json"
    assert kept(file, "a", measure) == kept(file, "a", measure) == FOUND
    assert measure.times == 1
    assert json.loads(file.read_text()) == {"device": "a", **asdict(FOUND)}
    assert {path.name for path in file.parent.iterdir()} <= {"a.json", "a.json.lock"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1, 2]",
        "\xff",
        json.dumps({"device": "a", "call": 1.0}),
        json.dumps({"device": "b", **asdict(FOUND)}),
        json.dumps({"device": "a", **asdict(FOUND), "number": 0.0}),
        json.dumps({"device": "a", **asdict(FOUND), "call": "fast"}),
        json.dumps({"device": "a", **asdict(FOUND), "call": float("nan")}),
    ],
)
def test_a_damaged_file_or_that_of_another_device_is_replaced(content: str, tmp_path: Path) -> None:
    measure, file = Measure(), tmp_path / "a.json"
    file.write_bytes(content.encode("latin-1"))
    assert kept(file, "a", measure) == FOUND
    assert json.loads(file.read_text())["device"] == "a"
    assert kept(file, "a", measure) == FOUND
    assert measure.times == 1


def test_where_no_file_can_be_written_it_is_measured_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "devices").write_text("a file in the folder's place")
    measure = Measure()
    assert kept(tmp_path / "devices" / "a.json", "a", measure) == FOUND
    assert measure.times == 1


def test_while_another_process_keeps_the_lock_too_long_it_is_measured_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "SECONDS_FOR_THE_LOCK", 0.0)
    measure, file = Measure(), tmp_path / "a.json"
    with locked(tmp_path / "a.json.lock"):
        assert kept(file, "a", measure) == FOUND
    assert not file.exists()


def test_what_another_process_measured_while_this_one_waited_is_taken(tmp_path: Path) -> None:
    file, other = tmp_path / "a.json", replace(FOUND, call=1.0)
    reads: list[Path] = []
    read = MODULE._read

    def late(path: Path, device: str) -> DeviceSpeed | None:
        reads.append(path)
        return None if len(reads) == 1 else read(path, device)

    kept(file, "a", lambda: other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "_read", late)
        assert kept(file, "a", Measure()) == other


@pytest.mark.usefixtures("measurable")
def test_measured_speeds_are_powers_of_two_and_leave_the_precision_of_products() -> None:
    before = torch.get_float32_matmul_precision()
    speed = measured(CPU)
    assert torch.get_float32_matmul_precision() == before
    for value in asdict(speed).values():
        assert 1e-15 < value < 1
        assert log2(value) == round(log2(value))
    assert speed.operation < speed.call


def test_a_process_measures_a_device_once_and_keeps_it_by_name(measurable: Path) -> None:
    speed = speed_of(CPU)
    (file,) = measurable.glob("*.json")
    assert file.name.startswith("cpu-torch-")
    file.unlink()
    assert speed_of(CPU) == speed
    assert not list(measurable.glob("*.json"))
    assert cache_folder() == measurable


def test_where_memory_does_not_suffice_to_measure_the_speed_is_assumed(
    measurable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(device: torch.device) -> DeviceSpeed:
        raise torch.OutOfMemoryError(str(device))

    monkeypatch.setattr(MODULE, "measured", full)
    assert speed_of(CPU) == ASSUMED
    assert not list(measurable.glob("*.json"))


def test_a_device_that_cannot_be_measured_has_the_assumed_speed() -> None:
    assert speed_of(DEVICE) == ASSUMED
