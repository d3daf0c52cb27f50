import os
import shlex
from pathlib import Path

import pytest

from hypercl.cli.parser import parsed
from hypercl.formatting import data_option


@pytest.mark.parametrize("variable", [None, "elsewhere", "~/data sets"])
def test_a_command_to_be_copied_names_the_data_folder_only_where_it_would_not_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    if variable is None:
        monkeypatch.delenv("HYPERCL_DATA", raising=False)
    else:
        monkeypatch.setenv("HYPERCL_DATA", variable)
    default = Path(os.path.expanduser(variable or "data"))
    assert data_option(default) == data_option(default.absolute()) == ""
    for folder in (tmp_path / "own data", default / "below"):
        again = parsed(["train", "best.yaml", *shlex.split(data_option(folder))])
        assert again.data_dir.resolve() == folder.resolve()
