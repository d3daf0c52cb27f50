"""How quick an accelerator is, for what depends on it: measured once a machine, and kept in the cache folder."""

import json
import math
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout

from hypercl.config.models import is_mapping
from hypercl.files import locked, write_text

CALLS, REPEATS, ROUNDS = 200, 8, 5
SIDE = 1024
"""Of the matrices that are multiplied."""
NUMBERS = 16_000_000
"""Of the tensor that is copied."""
SECONDS_FOR_THE_LOCK = 60.0


@dataclass(frozen=True)
class DeviceSpeed:
    """Seconds, each rounded to a power of two, so that two measurements of one device mostly agree."""

    call: float
    """Of a call, however little it computes."""
    replayed_call: float
    """The same in a recorded step (`training.capture`)."""
    operation: float
    """Of a multiplication and its addition in a float32 matrix product."""
    number: float
    """Of a float32 that is read or written."""


ASSUMED = DeviceSpeed(call=2.0**-17, replayed_call=2.0**-19, operation=2.0**-44, number=2.0**-39)
"""Of a device that is not measured: 8 and 2 microseconds, 18 TFLOP/s of products, 2.2 TB/s; a guess."""


def speed_of(device: torch.device) -> DeviceSpeed:
    """An accelerator's speed: measured if this process can wait for it, otherwise `ASSUMED`."""
    return _measured(str(device)) if device.type in _WAITS else ASSUMED


def kept(file: Path, device: str, measure: Callable[[], DeviceSpeed]) -> DeviceSpeed:
    """The speed in a file, which is measured and written where it is missing, damaged, or of another device.

    Of several processes one measures, the others wait for it. Where the file cannot be written, each measures.
    """
    if (speed := _read(file, device)) is not None:
        return speed
    with suppress(OSError, Timeout):
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file.with_name(f"{file.name}.lock"), SECONDS_FOR_THE_LOCK):
            if (speed := _read(file, device)) is not None:
                return speed
            speed = measure()
            write_text(file, json.dumps({"device": device, **asdict(speed)}, indent=2) + "\n")
    return speed or measure()


def measured(device: torch.device) -> DeviceSpeed:
    """The device's speed, the best of some rounds of each measurement; takes some hundred milliseconds."""
    one, square = torch.zeros(1, device=device), torch.ones(SIDE, SIDE, device=device)
    numbers, copies = torch.zeros(NUMBERS, device=device), torch.zeros(NUMBERS, device=device)

    def calls() -> None:
        for _ in range(CALLS):
            one.add_(1)

    def products() -> None:
        for _ in range(REPEATS):
            torch.mm(square, square)

    def passes() -> None:
        for _ in range(REPEATS):
            copies.copy_(numbers)

    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        return DeviceSpeed(
            call=_power_of_two(_seconds(calls, device) / CALLS),
            replayed_call=_power_of_two(_seconds(_replayed(calls, device), device) / CALLS),
            operation=_power_of_two(_seconds(products, device) / REPEATS / SIDE**3),
            number=_power_of_two(_seconds(passes, device) / REPEATS / (2 * NUMBERS)),
        )
    finally:
        torch.set_float32_matmul_precision(precision)


def cache_folder() -> Path:
    """The folder of what was measured: `$XDG_CACHE_HOME/hypercl/devices`, mostly `~/.cache/hypercl/devices`."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "hypercl" / "devices"


_WAITS: dict[str, Callable[[], None]] = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}
"""How the host waits for a device, by its type."""


@cache
def _measured(device: str) -> DeviceSpeed:
    there = torch.device(device)
    name = torch.cuda.get_device_name(there) if there.type == "cuda" else there.type
    name = f"{name}, torch {torch.__version__}"
    file = cache_folder() / f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)}.json"
    try:
        return kept(file, name, lambda: _measured_apart(there))
    except torch.OutOfMemoryError:
        return ASSUMED


def _measured_apart(device: torch.device) -> DeviceSpeed:
    """As `measured`; its memory is not counted as what comes next is."""
    try:
        return measured(device)
    finally:
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)


def _read(file: Path, device: str) -> DeviceSpeed | None:
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not is_mapping(content) or content.get("device") != device:
        return None
    given = {field.name: content.get(field.name) for field in fields(DeviceSpeed)}
    values = {name: value for name, value in given.items() if isinstance(value, float) and 0 < value < math.inf}
    return DeviceSpeed(**values) if values.keys() == given.keys() else None


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """Of a call and all that it leaves the device to do."""
    wait, times = _WAITS[device.type], list[float]()
    for _ in range(ROUNDS + 1):  # the first one is a warm-up
        wait()
        began = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def _replayed(call: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """A call as a CUDA graph; the call itself on other devices."""
    if device.type != "cuda":
        return call
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def _power_of_two(seconds: float) -> float:
    return 2.0 ** round(math.log2(max(seconds, 1e-15)))
