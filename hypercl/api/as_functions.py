"""Every command as a function: `hypercl.commands.enqueue("results/quickstart", {"method.beta": 0.3})`."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr
from inspect import Parameter, Signature
from io import StringIO
from typing import Any

from hypercl.api.runs import Failed
from hypercl.cli import commands_of, parsed, parser_of_all, run
from hypercl.config import UserError
from hypercl.config.reading import dump
from hypercl.exit_codes import EXIT_CODES, ExitCode


class Commands:
    """A function for each command of `hypercl`, of the same name, which prints what the command prints.

    `--max-concurrent 2` is `max_concurrent=2`, an option without a value `True`; what can be repeated is a list, and
    KEY=VALUE a mapping. A mistake raises `UserError`, any exit code but 0 `Failed`, Ctrl-C `KeyboardInterrupt`.
    """

    def __getattr__(self, name: str) -> Callable[..., None]:
        parser = commands_of(parser_of_all()).get(name)
        if parser is None:
            raise AttributeError(f"hypercl has no command '{name}'")
        return _function(name, parser)

    def __dir__(self) -> list[str]:
        return sorted(commands_of(parser_of_all()))


commands = Commands()


def _function(name: str, parser: argparse.ArgumentParser) -> Callable[..., None]:
    actions = {_key(action): action for action in parser._actions if not isinstance(action, argparse._HelpAction)}
    # Arguments are given by their place or name, options by name.
    ordered = sorted(actions.items(), key=lambda item: bool(item[1].option_strings))
    signature = Signature([_parameter(key, action) for key, action in ordered])

    def call(*arguments: Any, **options: Any) -> None:
        given = signature.bind(*arguments, **options).arguments
        words = [word for key, value in given.items() for word in _option(actions[key], value)]
        places = [word for key, value in given.items() for word in _argument(actions[key], value)]
        _run(name, [name, *words, "--", *places])

    call.__name__ = call.__qualname__ = name
    lines = [f"    {key}: {parser._get_formatter()._expand_help(action)}" for key, action in ordered]
    call.__doc__ = f"{parser.description}\n\nArgs:\n" + "\n".join(lines)
    call.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
    return call


def _run(name: str, words: list[str]) -> None:
    with redirect_stderr(StringIO()) as said:
        try:
            options = parsed(words)
        except SystemExit:
            options = None
    if options is None:
        raise UserError(said.getvalue().strip().rpartition("error: ")[2])
    code = run(options, words)
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        raise KeyboardInterrupt(EXIT_CODES[ExitCode(code)])
    if code != ExitCode.DONE:
        raise Failed(f"hypercl {name}: {EXIT_CODES[ExitCode(code)]}")


def _key(action: argparse.Action) -> str:
    return max(action.option_strings, key=len).strip("-").replace("-", "_") if action.option_strings else action.dest


def _parameter(key: str, action: argparse.Action) -> Parameter:
    needed = not action.option_strings and action.nargs != "?"
    kind = Parameter.KEYWORD_ONLY if action.option_strings else Parameter.POSITIONAL_OR_KEYWORD
    return Parameter(key, kind, default=Parameter.empty if needed else None)


def _option(action: argparse.Action, value: Any) -> Iterator[str]:
    """What is typed for an option."""
    if not action.option_strings or value is None or value is False:
        return
    name = action.option_strings[-1]
    if action.nargs == 0:
        yield name
    elif isinstance(action, argparse._AppendAction):
        yield from (word for one in _words(value) for word in (name, one))
    else:
        yield from (name, *_words(value))


def _argument(action: argparse.Action, value: Any) -> Iterator[str]:
    if not action.option_strings and value is not None:
        yield from _words(value)


def _words(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{key}={dump(one)}".removesuffix("...\n").strip() for key, one in value.items()]
    return list(map(str, value)) if isinstance(value, list | tuple) else [str(value)]
