"""Data that is missing: fetched once by torchvision, or told in one message."""

import shutil
import socket
import tarfile
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock

from hypercl.config import UserError
from hypercl.tasks.stream import DataFolder

_PARTIAL = ".hypercl-download-"
_SILENCE = 30.0
"""Seconds without a byte after which a server is given up."""


@dataclass(frozen=True)
class DataSet:
    """A data set that torchvision can fetch."""

    name: str
    """The class in torchvision.datasets."""
    folder: str
    """Where torchvision puts it, below the data folder."""
    files: tuple[str, ...]
    """What torchvision leaves there, test data included."""
    layout: str
    """What a person may put where, as a phrase."""
    elsewhere: str = ""
    """Another folder below the data folder whose content would do, where there is one."""
    forms: tuple[str, ...] = ("",)
    """Endings under which a file may stand in its place, such as .gz."""

    def missing(self, path: Path, names: Sequence[str]) -> list[str]:
        """Those of the files that are not below a data folder in any form."""
        place = path / self.folder
        return [name for name in names if not any((place / f"{name}{form}").is_file() for form in self.forms)]


def require(dataset: DataSet, folder: DataFolder, names: Sequence[str]) -> None:
    """Makes sure that files of a data set are there, fetching the data set if that is allowed.

    Many processes may call this at once: one downloads, the others wait. A download goes to a folder of its own and
    file by file to its place once it is whole (torchvision checks its sums), so no half file is taken for a whole one.

    Args:
        dataset: the data set.
        folder: where to look.
        names: the files needed.

    Raises:
        UserError: data is missing and may not, or cannot, be fetched.
    """
    lacking = dataset.missing(folder.path, names)
    if not lacking:
        return
    if not folder.download:
        raise _not_there(dataset, folder, lacking, "it may not be fetched: the file does not say `download: true`")
    if folder.offline:
        raise _not_there(dataset, folder, lacking, "it may not be fetched: --offline or HYPERCL_OFFLINE is set")
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.path / f".{dataset.name}.lock"):
            if dataset.missing(folder.path, names):
                _fetch(dataset, folder.path)
    except (OSError, RuntimeError, EOFError, HTTPException, tarfile.TarError) as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise _not_there(dataset, folder, lacking, f"fetching it failed: {reason}") from error


def require_all(wanted: Mapping[DataSet, Sequence[str]], folder: DataFolder) -> None:
    """As `require` for several data sets; what is missing of any of them is told at once.

    Raises:
        UserError: data is missing and may not, or cannot, be fetched.
    """
    problems: list[str] = []
    for dataset, names in wanted.items():
        try:
            require(dataset, folder, names)
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))


def _fetch(dataset: DataSet, path: Path) -> None:
    for leftover in path.glob(f"{_PARTIAL}{dataset.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{dataset.name}-", dir=path))
    try:
        with _patience(_SILENCE):
            fetch_with_torchvision(dataset.name, partial)
        target = path / dataset.folder
        target.mkdir(parents=True, exist_ok=True)
        for name in dataset.missing(path, dataset.files):
            (partial / dataset.folder / name).rename(target / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def fetch_with_torchvision(name: str, root: Path) -> None:
    """Downloads and unpacks a data set of torchvision into a folder."""
    # Imported here: torchvision takes a second that runs whose data is there do not need.
    from torchvision import datasets

    getattr(datasets, name)(root, download=True)


@contextmanager
def _patience(seconds: float) -> Generator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _not_there(dataset: DataSet, folder: DataFolder, lacking: Sequence[str], reason: str) -> UserError:
    places = [str((folder.path / place).resolve()) for place in (dataset.elsewhere, dataset.folder) if place]
    ask = "let torchvision fetch it: `download: true` in the section `tasks`, or `hypercl train FILE --fetch`"
    others = [] if folder.download else [ask]
    others += ["leave out --offline and HYPERCL_OFFLINE"] if folder.offline else []
    others += ["name the folder that holds the data with --data-dir DIR or HYPERCL_DATA=DIR"]
    lines = [
        f"the data set {dataset.name} is not there, and {reason}",
        f"    looked in: {' and '.join(places)}",
        f"    missing:   {', '.join(lacking)}",
        f"    put there: {dataset.layout}",
        *(f"    or:        {other}" for other in others),
    ]
    return UserError("\n".join(lines))
