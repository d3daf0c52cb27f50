"""A user's modules in a process that imports them more than once."""

import importlib
import sys
from pathlib import Path

import pytest

from hypercl.user_modules import searching


def value_of(name: str, folder: Path) -> int:
    with searching([folder]):
        return importlib.import_module(name).VALUE


def test_an_edited_module_is_imported_again(tmp_path: Path) -> None:
    file = tmp_path / "edited_module.py"
    for value in (1, 2, 3):  # within a second, and of the same length
        file.write_text(f"VALUE = {value}\n")
        assert value_of("edited_module", tmp_path) == value


def test_a_module_of_the_same_name_elsewhere_is_another_one(tmp_path: Path) -> None:
    for value in (1, 2):
        (tmp_path / str(value)).mkdir()
        (tmp_path / str(value) / "same_name.py").write_text(f"VALUE = {value}\n")
    assert [value_of("same_name", tmp_path / str(value)) for value in (1, 2, 1)] == [1, 2, 1]


def test_what_an_edited_module_was_imported_by_is_imported_again_too(tmp_path: Path) -> None:
    (tmp_path / "user_package").mkdir()
    (tmp_path / "user_package" / "__init__.py").write_text("from user_package.constants import VALUE\n")
    for value in (1, 2):
        (tmp_path / "user_package" / "constants.py").write_text(f"VALUE = {value}\n")
        assert value_of("user_package", tmp_path) == value


def test_an_unchanged_module_is_imported_once(tmp_path: Path) -> None:
    (tmp_path / "counting_module.py").write_text("VALUE = []\n")
    assert value_of("counting_module", tmp_path) is value_of("counting_module", tmp_path)


def test_what_the_user_imported_before_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "own_import.py"
    file.write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module("own_import")
    file.write_text("VALUE = 2\n")
    assert value_of("own_import", tmp_path) == 1
    assert sys.modules["own_import"] is own
