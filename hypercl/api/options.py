"""From a function's arguments to a command's options."""

from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypercl.cli import commands_of, parsed, parser_of_all
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
        UserError: the mapping holds something that a file could not, `set` is no mapping, or the command refuses a
            value.
    """
    if not isinstance(set, Mapping | None):
        raise UserError(
            f'set={set!r}; allowed: a mapping from key path to value\n    fix:     set={{"method.beta": 0.1}}'
        )
    with TemporaryDirectory(prefix="hypercl-") as folder:
        path = Path(folder) / f"{given.get('name') or command}.yaml"
        if isinstance(source, Mapping):
            try:
                path.write_text(dump(dict(source)), encoding="utf-8")
            except Exception as error:
                raise UserError(f"the mapping cannot be written as YAML: {error}") from None
        options = parsed([command, "--", str(path if isinstance(source, Mapping) else source)])
        options.overrides = [f"{key}={dump(value)}" for key, value in (set or {}).items()]
        parser = commands_of(parser_of_all())[command]
        checked = {name: _checked(parser, name, value) for name, value in given.items() if value is not None}
        vars(options).update(checked)
        yield options


def _checked(parser: ArgumentParser, name: str, value: Any) -> Any:
    """A value as the command would read it."""
    action = next(action for action in parser._actions if action.dest == name)
    if action.type is None:
        return value
    try:
        return parser._get_value(action, str(value))
    except ArgumentError as error:
        raise UserError(
            f"{name}={value!r}: {error.message}\n    fix:     leave {name} out, or give what is allowed ({action.help})"
        ) from None
