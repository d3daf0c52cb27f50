"""From a function's arguments to a command's options."""

from argparse import Namespace
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypercl.cli import parsed
from hypercl.config import UserError
from hypercl.config.reading import dump

Source = str | Path | Mapping[str, Any]
"""A YAML file, or its content."""


@contextmanager
def options_of(command: str, source: Source, set: Mapping[str, Any] | None, **given: Any) -> Generator[Namespace]:
    """The options of a command with their defaults, inside of the block.

    Args:
        command: such as `train`.
        source: the file, or a mapping with its content, which is a file for as long as the block lasts.
        set: key path -> value, as `--set`.
        given: options of the command; None leaves the default.

    Raises:
        UserError: the mapping holds something that a file could not.
    """
    with TemporaryDirectory(prefix="hypercl-") as folder:
        path = Path(folder) / f"{given.get('name') or command}.yaml"
        if isinstance(source, Mapping):
            try:
                path.write_text(dump(dict(source)), encoding="utf-8")
            except Exception as error:
                raise UserError(f"the mapping cannot be written as YAML: {error}") from None
        options = parsed([command, "--", str(path if isinstance(source, Mapping) else source)])
        options.overrides = [f"{key}={dump(value)}" for key, value in (set or {}).items()]
        vars(options).update({name: value for name, value in given.items() if value is not None})
        for name in ("results", "data_dir"):
            setattr(options, name, Path(getattr(options, name)).expanduser())
        yield options
