import io

import pytest

from hypercl.cli.test_leak_console import PREFIX, PrefixedStream, console_for
from hypercl.config import loads

FILE = "experiment: {tasks: {name: split_digits}}\nprotocol: {name: %s}"


def test_every_line_of_a_leaking_sweep_is_marked_and_no_line_of_another(capsys):
    for name, mark in (("test_leak", PREFIX), ("stream", "")):
        console_for(loads(FILE % name, "x.yaml")).print("one\ntwo")
        assert capsys.readouterr().out == f"{mark}one\n{mark}two\n"


@pytest.mark.parametrize("pieces", [["a\nb\n"], ["a", "\n", "b\n"], ["a\nb", "\n"]])
def test_a_line_written_in_pieces_is_marked_once(pieces):
    inner = io.StringIO()
    stream = PrefixedStream(inner)
    for piece in pieces:
        stream.write(piece)
    assert inner.getvalue() == f"{PREFIX}a\n{PREFIX}b\n"
