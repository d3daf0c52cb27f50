"""The contract: every command is a function, each of its arguments and options a parameter."""

from collections.abc import Callable
from inspect import signature
from pathlib import Path

import pytest

import hypercl
from hypercl.cli import commands_of, parser_of_all
from hypercl.sweep.study import read_sweep
from tests.sweep.made_sweep import SMALL, made_sweep


def test_every_command_is_a_function_with_its_options_as_parameters() -> None:
    commands = commands_of(parser_of_all())
    assert dir(hypercl.commands) == sorted(commands)
    for name, parser in commands.items():
        function = getattr(hypercl.commands, name)
        actions = [action for action in parser._actions if action.dest != "help"]
        keys = {(action.option_strings or [action.dest])[-1].strip("-").replace("-", "_") for action in actions}
        assert set(signature(function).parameters) == keys
        assert function.__name__ == name
        assert function.__doc__.startswith(parser.description)
    with pytest.raises(AttributeError, match="no command 'paint'"):
        _ = hypercl.commands.paint


def test_a_function_does_what_its_command_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_sweep(tmp_path / "made", complete=3, text=SMALL)
    hypercl.commands.list(tmp_path)
    assert capsys.readouterr().out.splitlines()[-1].startswith("made ")
    hypercl.commands.enqueue(tmp_path / "made", {"method.beta": 0.25})
    assert "enqueued: method.beta 0.25" in capsys.readouterr().out
    assert read_sweep(tmp_path / "made").counts()["waiting"] == 1
    hypercl.commands.init("quickstart", to=tmp_path / "mine.yaml")
    with pytest.raises(hypercl.UserError, match=r"hypernet\.hidden\[1\]"):
        hypercl.commands.train(tmp_path / "mine.yaml", set={"method.beta": 0.5, "hypernet.hidden": [7, "x"]})


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: hypercl.commands.report("nowhere", top=0), hypercl.UserError, "0 is not a number of 1 or more"),
        (lambda: hypercl.commands.cluster("init", "slum"), hypercl.UserError, "invalid choice: 'slum'"),
        (lambda: hypercl.commands.final("nowhere"), hypercl.UserError, "there is no folder"),
        (lambda: hypercl.commands.doctor("damaged"), hypercl.Failed, "hypercl doctor"),
        (lambda: hypercl.commands.tail("nowhere"), TypeError, "trial"),
    ],
)
def test_a_mistake_is_an_exception_and_never_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[], None], error: type[Exception], says: str
) -> None:
    made_sweep(tmp_path / "damaged", complete=1, text=SMALL)
    (tmp_path / "damaged" / "study.journal").write_text("no journal\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says):
        call()
