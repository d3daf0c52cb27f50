"""A folder at a URI: `s3://`, `gs://` and `file://` by pyarrow, any other by fsspec. Both come with Ray Tune."""

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hypercl.files import write_bytes, write_text
from hypercl.formatting import first_line
from hypercl.machine import MachineError

POINTER = ".remote"
"""In a folder that was fetched in part: the URI of the whole."""
HEAVY = ("checkpoints", "learned", "wandb")
"""Folders of a run that are fetched when they are asked for."""
_OBJECT_STORES = ("s3", "gcs", "abfs")
"""Where a file appears when it is whole, and folders need not be made."""
_AT_ONCE = 8
_FIX = "check the URI, that the bucket exists, the network, and the credentials, which the environment holds"


class RemoteError(MachineError):
    """A folder at a URI cannot be read or written."""


@dataclass(frozen=True)
class RemoteFile:
    """A file as its listing knows it."""

    size: int
    """Bytes."""
    modified: float | None
    """Seconds since 1970; None where the file system does not say."""


def below(uri: str, *parts: str) -> str:
    """The URI of something below a folder, with the query of the folder's own URI."""
    place, mark, query = uri.partition("?")
    return "/".join([place.rstrip("/"), *parts]) + mark + query


class RemoteFolder:
    """Whole files by their key, a relative path with slashes. Of two writers of a file the later one wins.

    Args:
        uri: of the folder, which need not exist.

    Raises:
        RemoteError: no such file system, or a package is missing.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._system, self._root = _connected(uri)

    def read(self, key: str) -> bytes | None:
        """A file's content; None where there is none."""
        with self._told():
            if not self._system.get_file_info(self._path(key)).is_file:
                return None
            with self._system.open_input_stream(self._path(key)) as source:
                return source.read()

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        with self._told():
            return self._system.get_file_info(self._path(key)).is_file

    def write(self, key: str, content: bytes) -> None:
        """Replaces a file's content, whole or not at all."""
        path = self._path(key)
        with self._told():
            if self._system.type_name in _OBJECT_STORES:
                self._put(path, content)
                return
            self._system.create_dir(path.rpartition("/")[0], recursive=True)
            partial = f"{path}.partial-{os.getpid()}"
            self._put(partial, content)
            self._system.move(partial, path)

    def remove(self, key: str) -> None:
        """Removes a file, if it is there."""
        if self.exists(key):
            with self._told():
                self._system.delete_file(self._path(key))

    def files(self, key: str = "") -> dict[str, RemoteFile]:
        """All files below a key, by their path from there; files that are being written are left out."""
        from pyarrow.fs import FileSelector

        top = self._path(key)
        with self._told():
            found = self._system.get_file_info(FileSelector(top, recursive=True, allow_not_found=True))
        return {
            info.path.removeprefix(top).lstrip("/"): RemoteFile(
                int(info.size), info.mtime.timestamp() if info.mtime is not None else None
            )
            for info in found
            if info.is_file and ".partial-" not in info.base_name
        }

    def fetch(self, key: str, folder: Path, wanted: Callable[[str], bool] = lambda _: True) -> None:
        """Brings files into a folder: those `wanted` that it lacks, or has in another size or of another time. What
        else the folder holds stays."""
        there = {name: file for name, file in self.files(key).items() if wanted(name) and _differs(folder / name, file)}

        def one(name: str) -> None:
            content = self.read(_joined(key, name))
            if content is None:  # removed since
                return
            write_bytes(folder / name, content)
            if (modified := there[name].modified) is not None:
                os.utime(folder / name, (modified, modified))

        _all(one, there)

    def _put(self, path: str, content: bytes) -> None:
        with self._system.open_output_stream(path) as sink:
            sink.write(content)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    @contextmanager
    def _told(self) -> Generator[None]:
        """Raises whatever a file system raises, as a RemoteError."""
        try:
            yield
        except Exception as error:  # of botocore, aiohttp, gcsfs, ...
            raise RemoteError(f"{self.uri}: {first_line(error)}\n    fix:     {_FIX}") from error


def send(remote: RemoteFolder, key: str, folder: Path, names: Iterable[str]) -> None:
    """Writes files of a local folder below a key, several at once."""
    _all(lambda name: remote.write(_joined(key, name), (folder / name).read_bytes()), names)


def light(name: str) -> bool:
    """Whether a file of a run's folder, or of several, is fetched with it: checkpoints and the like are not."""
    return not set(HEAVY) & set(name.split("/")[:-1])


def point_to(folder: Path, uri: str) -> None:
    """Notes in a folder that was fetched in part where the whole is."""
    if not (folder / POINTER).is_file():
        write_text(folder / POINTER, uri)


def bring_checkpoints(folder: Path) -> None:
    """Fetches the newest checkpoints of a run whose folder was fetched without them."""
    if (folder / POINTER).is_file():
        uri = (folder / POINTER).read_text(encoding="utf-8")
        RemoteFolder(uri).fetch("checkpoints", folder / "checkpoints")


def _differs(path: Path, file: RemoteFile) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return True
    return stat.st_size != file.size or file.modified is None or abs(stat.st_mtime - file.modified) > 1e-3


def _joined(key: str, name: str) -> str:
    return f"{key}/{name}" if key else name


def _all(one: Callable[[str], None], names: Iterable[str]) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(one, names))


@cache
def _connected(uri: str) -> tuple[Any, str]:
    """The file system, and the folder's path in it; one connection a process."""
    import pyarrow
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    try:
        system, root = FileSystem.from_uri(uri)
    except pyarrow.ArrowInvalid:
        system, root = None, ""
    except Exception as error:
        raise RemoteError(f"{uri}: {first_line(error)}\n    fix:     {_FIX}") from error
    if system is None:
        try:
            from fsspec.core import url_to_fs

            own, root = url_to_fs(uri)
            system = PyFileSystem(FSSpecHandler(own))
        except Exception as error:
            why = f"no such file system, or a package is missing: {first_line(error)}"
            raise RemoteError(f"{uri}: {why}\n    fix:     install that package, on all nodes") from error
    return system, root.rstrip("/")
