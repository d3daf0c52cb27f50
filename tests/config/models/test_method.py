"""Settings of a method that a file may hold."""

import pytest

from hypercl.config import ConfigError, loads

TEXT = "experiment: {tasks: {name: split_digits}}"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method.regularizer.pairs=5", "method.regularizer.tasks=2"], r"tasks \(2\) or pairs \(5\), not both"),
        (["method.regularizer.pairs=5", "method.regularizer.form=direct"], "use form auto or gram"),
        (["method.regularizer.pairs=0"], "greater than or equal to 1"),
        (["method.regularizer.form=fisher"], "auto, gram, direct"),
    ],
)
def test_what_the_regularizer_cannot_compare_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loads(TEXT, "x", overrides)


def test_the_form_is_chosen_by_its_cost_unless_said_otherwise() -> None:
    assert loads(TEXT, "x").experiment.method.regularizer.form == "auto"
