"""Tests side by side: each of pytest-xdist's processes keeps to its share of the cores."""

import gc
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import torch

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """The garbage collector never looks through what is imported and collected, all of which stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """What is left at the end is collected: libraries tell what they think has leaked."""
    gc.unfreeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden-write", action="store_true", help="write tests/golden/*.txt instead of comparing")


@pytest.fixture(scope="session", autouse=True)
def _quick_disk() -> Iterator[None]:
    """A kill is a process that ends, not a machine that loses power: most of the time of many tests were syncs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        yield


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with a file of tests/golden, which holds the texts that people read."""

    def compare(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--golden-write"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"texts changed: pytest --golden-write, then read {path}"

    return compare


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """The URI of a bucket on a server of S3's protocol, which this process and those that it starts then use."""
    pytest.importorskip("moto")
    from tests.s3_server import s3_server

    with s3_server() as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield "s3://bucket"
