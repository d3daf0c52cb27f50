"""From a function's arguments to a command's options: what a command refuses, its function refuses, too."""

from typing import Any

import pytest

import hypercl
from hypercl.api.options import options_of

FILE = {"experiment": {"tasks": {"name": "split_digits"}}}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"max_concurrent": -1},
            r"max_concurrent=-1: -1 is not a number of 1 or more\n    fix:     leave max_concurrent",
        ),
        ({"max_concurrent": 0}, "max_concurrent=0: 0 is not a number of 1 or more"),
        ({"max_concurrent": 1.5}, r"max_concurrent=1\.5: 1\.5 is not a whole number"),
        ({"trials": 0}, "trials=0: 0 is not a number of 1 or more"),
        ({"cpus": 0}, "cpus=0: 0 is not a number above 0"),
        ({"cpus": -3}, "cpus=-3: -3 is not a number of 0 or more"),
        ({"cpus": "all"}, "cpus='all': all is not a number"),
        ({"gpus": -1}, "gpus=-1: -1 is not a number of 0 or more"),
        ({"time": 0}, "time=0: 0 is not a time above zero"),
        ({"time": "soon"}, "time='soon': soon is not a time such as 90s, 30m or 1h30m"),
        ({"max_gpu_hours": 0}, "max_gpu_hours=0: 0 is not a number above 0"),
    ],
)
def test_a_value_that_the_command_refuses_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(hypercl.UserError, match=says):
        hypercl.sweep(FILE, **given)


@pytest.mark.parametrize(("time", "seconds"), [("30m", 1800), (90, 90), (0.5, 0.5)])
def test_a_time_is_text_as_on_the_command_line_or_a_number_of_seconds(time: str | float, seconds: float) -> None:
    with options_of("sweep", FILE, None, time=time) as options:
        assert options.time == seconds


@pytest.mark.parametrize("given", ["method.beta=1", ["method.beta=1"], ""])
def test_keys_to_set_that_are_no_mapping_are_refused_with_an_example(given: Any) -> None:
    with pytest.raises(hypercl.UserError, match=r"allowed: a mapping .*\n    fix:     set=\{\"method\.beta\": 0\.1\}"):
        hypercl.train(FILE, set=given)
