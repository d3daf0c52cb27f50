"""The memory that a cgroup leaves a process: a container's, a batch job's on SLURM, a user session's."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_MOUNT, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_VERSION_2 = ("memory.max", "memory.current", "inactive_file")
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
"""Files of a group: its limit, what it holds; and the line of memory.stat that says what can be taken back."""


def memory_limit() -> int | None:
    """Bytes that the groups of this process may hold, the strictest of them; None without a limit."""
    found: list[int] = []
    for group, (limit, _, _) in _groups():
        with suppress(OSError, ValueError):
            found.append(int((group / limit).read_text()))
    return min(found, default=None)


def memory_room() -> int | None:
    """Bytes that the groups of this process leave it; None without a limit. Idle pages of files can be taken back."""
    found: list[int] = []
    for group, (limit, used, idle) in _groups():
        with suppress(OSError, ValueError):
            lines = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            taken = int((group / used).read_text()) - int(lines.get(idle, 0))
            found.append(max(0, int((group / limit).read_text()) - taken))
    return min(found, default=None)


def _groups() -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """The groups that this process is in, from its own to the outermost, each with the names of its files.

    In a container the path may be the host's, which is not there: then the outermost group is the container's.
    """
    paths = {"": "/", "memory": "/"}
    with suppress(OSError, ValueError):
        for line in _OWN.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            paths |= dict.fromkeys(controllers.split(","), path)
    for controller, files in (("", _VERSION_2), ("memory", _VERSION_1)):
        inner = Path(paths[controller])
        for group in (inner, *inner.parents):
            yield _MOUNT / controller / str(group).lstrip("/"), files
