"""Reads a .wandb file back: a header of seven bytes, then LevelDB's log format with one protobuf record each."""

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record  # pyright: ignore[reportAttributeAccessIssue]

HEADER, BLOCK, FULL, LAST = 7, 32 * 1024, 1, 4


@dataclass
class WandbFile:
    """What one file holds."""

    id: str = ""
    name: str = ""
    group: str = ""
    kind: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)
    exit_code: int | None = None


def read(path: Path) -> WandbFile:
    found = WandbFile()
    for blob in _records(path.read_bytes()):
        record = Record()
        record.ParseFromString(blob)
        match record.WhichOneof("record_type"):
            case "run":
                run = record.run
                found.id, found.name = run.run_id, run.display_name
                found.group, found.kind, found.tags = run.run_group, run.job_type, tuple(run.tags)
                found.config |= _items(run.config.update)
            case "config":
                found.config |= _items(record.config.update)
            case "history":
                found.history.append(_items(record.history.item) | {"_step": record.history.step.num})
            case "summary":
                found.summary |= _items(record.summary.update)
            case "metric":
                found.axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
            case "exit":
                found.exit_code = record.exit.exit_code
    return found


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _records(data: bytes) -> list[bytes]:
    records: list[bytes] = []
    at, parts = HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        parts += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (FULL, LAST):
            records.append(parts)
            parts = b""
    return records
