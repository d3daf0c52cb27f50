"""A user's own module is kept with the results."""

from pathlib import Path

import pytest

from hypercl.config import UserError
from hypercl.config.target import MLP, ImportedTarget
from hypercl.targets import keep_code

MINE = ImportedTarget(path="my_net:Net")


def test_a_module_is_copied_and_found_first(tmp_path: Path) -> None:
    (tmp_path / "my_net.py").write_text("Net = 1\n")
    places = keep_code(MINE, [tmp_path], tmp_path / "results")
    assert places == (tmp_path / "results" / "code", tmp_path)
    assert (tmp_path / "results" / "code" / "my_net.py").read_text() == "Net = 1\n"


def test_a_package_is_copied_whole(tmp_path: Path) -> None:
    (tmp_path / "my_net" / "inner").mkdir(parents=True)
    (tmp_path / "my_net" / "__init__.py").write_text("")
    (tmp_path / "my_net" / "inner" / "part.py").write_text("x = 1\n")
    keep_code(ImportedTarget(path="my_net.inner.part:Net"), [tmp_path], tmp_path / "results")
    assert (tmp_path / "results" / "code" / "my_net" / "inner" / "part.py").exists()


def test_what_is_installed_or_built_in_is_not_copied(tmp_path: Path) -> None:
    for target in (MLP(), ImportedTarget(path="torchvision.models:resnet18")):
        assert keep_code(target, [tmp_path], tmp_path / "results") == (tmp_path,)
    assert not (tmp_path / "results").exists()


def test_a_module_changed_since_is_refused_until_it_is_put_back(tmp_path: Path) -> None:
    (tmp_path / "my_net.py").write_text("Net = 1\n")
    keep_code(MINE, [tmp_path], tmp_path / "results")
    (tmp_path / "my_net.py").write_text("Net = 2\n")
    with pytest.raises(UserError, match="was changed since"):
        keep_code(MINE, [tmp_path], tmp_path / "results")
    (tmp_path / "my_net.py").write_text("Net = 1\n")
    assert keep_code(MINE, [tmp_path], tmp_path / "results")[0].name == "code"
