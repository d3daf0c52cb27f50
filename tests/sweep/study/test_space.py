"""From a file's space to Optuna and back."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution

from hypercl.config import ConfigError, Distribution, UserError, loads, lookup
from hypercl.sweep.study.space import distributions, draw, experiment_of, listed, params_of, values_of

BASE = loads("experiment: {tasks: {name: split_digits}}", "x").experiment

KINDS = st.one_of(
    st.tuples(st.integers(-500, 500), st.integers(1, 500)).map(
        lambda v: {"uniform": [v[0] / 100, (v[0] + v[1]) / 100]}
    ),
    st.tuples(st.floats(1e-6, 1), st.floats(2, 100)).map(lambda v: {"log_uniform": [v[0], v[0] * v[1]]}),
    st.tuples(st.integers(-9, 9), st.integers(1, 9), st.integers(1, 4)).map(
        lambda v: {"int": [v[0], v[0] + v[1] * v[2]], "step": v[2]}
    ),
    st.tuples(st.integers(1, 9), st.integers(1, 900)).map(lambda v: {"int_log": [v[0], v[0] + v[1]]}),
    st.lists(
        st.one_of(st.integers(), st.text(), st.lists(st.integers(), max_size=3)), min_size=1, max_size=5, unique_by=repr
    ).map(lambda v: {"choice": v}),
)


@given(spec=KINDS, seed=st.integers(0, 1000))
def test_every_draw_lies_in_its_distribution_for_us_and_for_optuna(spec: dict, seed: int) -> None:
    space = {"p": Distribution.model_validate(spec)}
    params = draw(space, random.Random(seed))
    assert space["p"].contains(values_of(space, params)["p"])
    known = distributions(space)["p"]
    assert known._contains(known.to_internal_repr(params["p"]))


def test_choices_that_are_lists_come_back_as_lists() -> None:
    space = {"target.hidden": Distribution.model_validate({"choice": [[], [10, 10], [100]]})}
    known = distributions(space)["target.hidden"]
    assert isinstance(known, CategoricalDistribution)
    experiment = experiment_of(BASE, space, {"target.hidden": known.choices[1]})
    assert lookup(experiment, "target.hidden") == [10, 10]


def test_true_and_one_stay_apart() -> None:
    space = {"p": Distribution.model_validate({"choice": [True, 1]})}
    known = distributions(space)["p"]
    assert isinstance(known, CategoricalDistribution)
    assert [repr(values_of(space, {"p": choice})["p"]) for choice in known.choices] == ["True", "1"]


def test_the_experiment_as_written_is_a_suggestion() -> None:
    space = {
        "method.beta": Distribution.model_validate({"log_uniform": [1e-4, 10]}),
        "hypernet.hidden": Distribution.model_validate({"choice": [[10, 10], [5]]}),
    }
    assert experiment_of(BASE, space, params_of(BASE, space, {})) == BASE


def test_an_experiment_outside_of_its_space_is_refused() -> None:
    with pytest.raises(UserError, match=r"method\.beta"):
        params_of(BASE, {"method.beta": Distribution.model_validate({"uniform": [5, 6]})}, {})


def test_values_that_cannot_stand_together_are_a_config_error() -> None:
    with pytest.raises(ConfigError):
        experiment_of(
            BASE, {"training.batch_size": Distribution.model_validate({"int": [0, 9]})}, {"training.batch_size": 0}
        )


def test_a_grid_lists_choices_steps_and_whole_numbers() -> None:
    space = {
        "a": Distribution.model_validate({"choice": [1, 2]}),
        "b": Distribution.model_validate({"int": [1, 5], "step": 2}),
        "c": Distribution.model_validate({"uniform": [0, 1], "step": 0.5}),
    }
    assert listed(space) == {"a": [1, 2], "b": [1, 3, 5], "c": [0.0, 0.5, 1.0]}
    with pytest.raises(UserError, match="use choice"):
        listed({"d": Distribution.model_validate({"uniform": [0, 1]})})
