"""The search spaces and cluster files that come with the package."""

import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path


def shipped() -> dict[str, Traversable]:
    """The shipped files by their names without `.yaml`."""
    files = sorted((file for file in folder().iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): file for file in files}


def folder() -> Traversable:
    """Where the shipped search spaces lie: inside the installed package, or beside it in a checkout."""
    return _folder("search_spaces")


def cluster_files() -> Traversable:
    """Where the shipped files for clusters lie."""
    return _folder("launch/cluster")


def _folder(name: str) -> Traversable:
    inside = resources.files("hypercl") / name
    return inside if inside.is_dir() else Path(__file__).parents[1] / name


def purpose(text: str) -> str:
    """The first sentence of a file's comments that are for people."""
    comments = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
    found = [line for line in comments if not line.startswith("yaml-language-server:")]
    return re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(found))[0]
