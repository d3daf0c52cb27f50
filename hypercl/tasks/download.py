"""Missing data: downloaded once by torchvision, or reported in one message."""

import shutil
import socket
import tarfile
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from hypercl.config import UserError
from hypercl.files import locked
from hypercl.tasks.stream import DataFolder

_PARTIAL = ".hypercl-download-"
_SILENCE = 30.0
"""Seconds without a byte until a server counts as dead."""


@dataclass(frozen=True)
class DataSet:
    """A data set that torchvision can download."""

    name: str
    """The class in torchvision.datasets."""
    folder: str
    """Its folder below the data folder."""
    files: tuple[str, ...]
    """Names of its files, test data included."""
    layout: str
    """The accepted layouts, as a phrase."""
    elsewhere: str = ""
    """Another folder below the data folder that is accepted instead."""
    suffixes: tuple[str, ...] = ("",)
    """Accepted suffixes of the files, such as .gz."""

    def missing(self, path: Path, names: Sequence[str]) -> list[str]:
        """The files that are missing below a data folder."""
        folder = path / self.folder
        return [name for name in names if not any((folder / f"{name}{end}").is_file() for end in self.suffixes)]


def require(dataset: DataSet, folder: DataFolder, names: Sequence[str]) -> None:
    """Makes sure that files of a data set exist, downloading the data set if allowed.

    Safe in parallel: one process downloads, the others wait. Files are moved from a temporary folder once the download
    is complete (torchvision verifies checksums), so a partial file is never read.

    Raises:
        UserError: data is missing and must not, or cannot, be downloaded.
    """
    missing = dataset.missing(folder.path, names)
    if not missing:
        return
    if not folder.download:
        raise _missing(dataset, folder, missing, "downloading is off: the file does not say `download: true`")
    if folder.offline:
        raise _missing(dataset, folder, missing, "downloading is off: --offline or HYPERCL_OFFLINE is set")
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        with locked(folder.path / f".{dataset.name}.lock"):
            if dataset.missing(folder.path, names):
                _fetch(dataset, folder.path)
    except (OSError, RuntimeError, EOFError, HTTPException, tarfile.TarError) as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise _missing(dataset, folder, missing, f"the download failed: {reason}") from error


def require_all(files: Mapping[DataSet, Sequence[str]], folder: DataFolder) -> None:
    """As `require` for several data sets; one error names everything that is missing."""
    problems: list[str] = []
    for dataset, names in files.items():
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
        with _socket_timeout(_SILENCE):
            fetch_with_torchvision(dataset.name, partial)
        target = path / dataset.folder
        target.mkdir(parents=True, exist_ok=True)
        for name in dataset.missing(path, dataset.files):
            (partial / dataset.folder / name).rename(target / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def fetch_with_torchvision(name: str, root: Path) -> None:
    """Downloads and unpacks a data set of torchvision into a folder."""
    # Imported here: torchvision takes a second, which runs with local data save.
    from torchvision import datasets

    getattr(datasets, name)(root, download=True)


@contextmanager
def _socket_timeout(seconds: float) -> Generator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _missing(dataset: DataSet, folder: DataFolder, missing: Sequence[str], reason: str) -> UserError:
    folders = [str((folder.path / name).resolve()) for name in (dataset.elsewhere, dataset.folder) if name]
    download = "let torchvision download it: `download: true` in the section `tasks`, or `hypercl fetch FILE`"
    fixes = [] if folder.download else [download]
    fixes += ["omit --offline and HYPERCL_OFFLINE"] if folder.offline else []
    fixes += ["set the data folder with --data-dir DIR or HYPERCL_DATA=DIR"]
    lines = [
        f"data set {dataset.name} not found, and {reason}",
        f"    looked in: {' and '.join(folders)}",
        f"    missing:   {', '.join(missing)}",
        f"    put there: {dataset.layout}",
        *(f"    or:        {fix}" for fix in fixes),
    ]
    return UserError("\n".join(lines))
