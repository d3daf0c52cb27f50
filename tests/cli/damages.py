"""Files as a bad disk, a bad copy or an editor leaves them."""
# ruff: noqa: ARG001 - every kind of damage is called alike

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mutations import ODD, TEXTS


def damage(folder: Path, seed: int) -> str:
    """Damages one or two files of a folder; returns what was done, in words."""
    rng = random.Random(seed)
    done: list[str] = []
    for _ in range(rng.choice((1, 1, 1, 2))):
        path = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()))
        kind = rng.choice(_KINDS)
        done.append(f"{path.relative_to(folder)} {kind.__name__.removeprefix('_')}")
        kind(rng, path)
    return "; ".join(done)


def _gone(rng: random.Random, path: Path) -> None:
    path.unlink()


def _a_folder(rng: random.Random, path: Path) -> None:
    path.unlink()
    path.mkdir()


def _a_link_to_itself(rng: random.Random, path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _another_file(rng: random.Random, path: Path) -> None:
    others = sorted(other for other in path.parent.rglob("*") if other.is_file() and other != path)
    if others:
        shutil.copy(rng.choice(others), path)


def _rewritten(change: Callable[[random.Random, bytes], bytes]) -> Callable[[random.Random, Path], None]:
    def kind(rng: random.Random, path: Path) -> None:
        path.write_bytes(change(rng, path.read_bytes()))

    kind.__name__ = change.__name__
    return kind


def _emptied(rng: random.Random, content: bytes) -> bytes:
    return b""


def _cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _zeroed(rng: random.Random, content: bytes) -> bytes:
    begin = rng.randrange(len(content) + 1)
    return content[:begin] + bytes(len(content[begin : begin + 512])) + content[begin + 512 :]


def _flipped(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 5))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _random_bytes(rng: random.Random, content: bytes) -> bytes:
    return rng.randbytes(rng.choice((1, 100, 5000)))


def _line_lost_or_twice(rng: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.choice((0, 0, 2))):
        lines.insert(rng.randrange(len(lines) + 1), line)
    return b"\n".join(lines)


def _other_value(rng: random.Random, content: bytes) -> bytes:
    """Of JSON, one value; of other text, one word."""
    lines = content.split(b"\n")
    for place in [None, *rng.sample(range(len(lines)), min(5, len(lines)))]:
        try:
            data = json.loads(content if place is None else lines[place])
            places = _places(data)
            node, key = rng.choice(places)
        except (ValueError, IndexError):
            continue
        node[key] = rng.choice([each for each in ODD if _is_json(each)])
        changed = json.dumps(data).encode()
        return changed if place is None else b"\n".join([*lines[:place], changed, *lines[place + 1 :]])
    words = content.replace(b",", b" , ").split(b" ")
    words[rng.randrange(len(words))] = rng.choice(TEXTS).encode()
    return b" ".join(words)


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *_places(value[key]))]


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


_KINDS: tuple[Callable[[random.Random, Path], None], ...] = (
    *(_gone, _a_folder, _a_link_to_itself, _another_file),
    *map(_rewritten, (_emptied, _cut, _cut, _zeroed, _flipped, _flipped, _random_bytes, _line_lost_or_twice)),
    *map(_rewritten, (_line_lost_or_twice, _other_value, _other_value, _other_value, _other_value)),
)
