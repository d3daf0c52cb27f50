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
        (["method.regularizer.kind=first_order", "method.regularizer.form=gram"], "use form auto or direct"),
        (["method.regularizer.kind=first_order", "method.regularizer.pairs=3"], "pairs 3 need form gram.*use tasks"),
        (["method.regularizer.kind=value_preserving", "method.lookahead=false"], "there is none: use kind output"),
        (["method.backpropagate_lookahead=true", "method.lookahead=false"], "no effect without the look-ahead"),
        (["method.regularizer.kind=first_order"], "give backpropagate_lookahead: true, or proximal: true"),
        (["method.regularizer.kind=ewc", "method.regularizer.tasks=1"], "tasks 1 would have no effect with kind ewc"),
        (["method.regularizer.kind=ewc", "method.regularizer.form=gram"], "form gram cannot compute kind ewc"),
        (
            ["method.regularizer.kind=ewc", "method.train_earlier_embeddings=true"],
            "no effect with regularizer.kind ewc",
        ),
        (["method.regularizer.fisher_samples=9"], "fisher_samples 9 would have no effect with importance equal"),
        (["method.regularizer.importance=fisher", "method.regularizer.form=gram"], "cannot compute importance fisher"),
        (["method.regularizer.task_factors=[1, 2]"], "2 are given, the stream has 5"),
        (["method.proximal=true", "method.lookahead=false"], "no meaning with proximal"),
        (["method.proximal=true", "method.backpropagate_lookahead=true"], "two ways to take a step"),
    ],
)
def test_what_the_regularizer_cannot_compare_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loads(TEXT, "x", overrides)


def test_the_form_is_chosen_by_its_cost_unless_said_otherwise() -> None:
    assert loads(TEXT, "x").experiment.method.regularizer.form == "auto"
