"""`search.race` and `search.fidelity`: what cannot work is refused before anything is trained."""

import pytest

from hypercl.config import ConfigError, SweepFile, check_sweep, loads

BASE = "experiment: {tasks: {name: split_digits}}\nspace: {method.beta: {log_uniform: [1e-3, 10]}}\n"


def file_of(race: str, rest: str = "") -> SweepFile:
    return loads(f"{BASE}search: {{trials: 20, race: {race}}}\n{rest}", "file.yaml")


def problems_of(race: str, rest: str = "") -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        check_sweep(file_of(race, rest), "file.yaml")
    return {problem.path: problem.render("file.yaml") for problem in caught.value.problems}


def test_a_race_of_one_goal_is_taken() -> None:
    check_sweep(file_of("{every: 10}"), "file.yaml")


def test_several_goals_cannot_be_raced() -> None:
    rest = "objective: {maximize: validation/final_accuracy, minimize: compression_ratio}"
    assert "several goals cannot be raced" in problems_of("{}", rest)["search.race"]


def test_what_is_the_same_on_every_seed_cannot_be_raced() -> None:
    told = problems_of("{}", "objective: {minimize: compression_ratio}")["search.race"]
    assert "compression_ratio does not vary with the seed" in told


def test_attempts_of_stability_decay_cannot_be_raced() -> None:
    assert "attempts at one task" in problems_of("{}", "protocol: {name: stability_decay}")["search.race"]


def test_a_round_is_no_longer_than_the_race() -> None:
    assert "at most 4" in problems_of("{seeds: 4, block: 5}")["search.race.block"]


def test_a_race_in_between_comes_before_the_end_of_the_search() -> None:
    assert "there is a race then anyway" in problems_of("{every: 20}")["search.race.every"]


@pytest.mark.parametrize("fidelity", ["auto", "{training.iterations: 0.1}", "{tasks.num_tasks: 0.5}"])
def test_a_fraction_of_a_length_is_taken(fidelity: str) -> None:
    check_sweep(loads(f"{BASE}search: {{fidelity: {fidelity}}}", "file.yaml"), "file.yaml")


@pytest.mark.parametrize(
    ("path", "share", "override"),
    [
        ("method.beta", 0.5, ""),
        ("training.epochs", 0.5, ""),
        ("tasks.num_tasks", 0.2, ""),
        ("tasks.num_tasks", 0.99, ""),
        ("tasks.num_tasks", 0.5, "protocol={name: first_k}"),
        ("tasks.num_tasks", 0.5, "by_task={training.optimizer.lr: [1, 1, 1, 1, 1]}"),
        ("training.iterations", 0.1, "space={training.iterations: {int: [1, 9000]}}"),
    ],
)
def test_a_fraction_that_shortens_nothing_or_cannot_be_is_refused(path: str, share: float, override: str) -> None:
    overrides = [f"search.fidelity={{{path}: {share}}}", *([override] if override else [])]
    with pytest.raises(ConfigError) as caught:
        check_sweep(loads(BASE, "file.yaml", overrides), "file.yaml")
    assert [problem.path for problem in caught.value.problems] == [f"search.fidelity.{path}"]


def test_two_tasks_cannot_be_fewer_and_no_share_is_offered() -> None:
    overrides = ["tasks.num_tasks=2", "search.fidelity={tasks.num_tasks: 0.5}"]
    with pytest.raises(ConfigError) as caught:
        check_sweep(loads(BASE, "file.yaml", overrides), "file.yaml")
    (problem,) = caught.value.problems
    assert (problem.path, problem.allowed) == ("search.fidelity.tasks.num_tasks", "")
    assert problem.fix == "shorten training.iterations or training.epochs instead"


@pytest.mark.parametrize("given", ["0.1", "fast", "[0.1]", "{training.iterations: 1}", "{training.iterations: 0}"])
def test_what_is_no_fraction_is_refused(given: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(BASE, "file.yaml", [f"search.fidelity={given}"])
    assert [problem.path.removesuffix(".training.iterations") for problem in caught.value.problems] == [
        "search.fidelity"
    ]


def test_attempts_of_stability_decay_are_of_full_length() -> None:
    space = "{method.beta: {choice: [10]}, training.optimizer.lr: {log_uniform: [1e-4, 1e-2]}}"
    overrides = [f"space={space}", "protocol=stability_decay", "search.fidelity=auto"]
    with pytest.raises(ConfigError) as caught:
        check_sweep(loads(BASE, "file.yaml", overrides), "file.yaml")
    assert [problem.path for problem in caught.value.problems] == ["search.fidelity"]


def test_the_squared_error_is_sought_of_a_regression_alone() -> None:
    goal = "objective: {minimize: validation/final_mse}\n"
    check_sweep(loads(BASE.replace("split_digits", "toy_regression") + goal, "file.yaml"), "file.yaml")
    with pytest.raises(ConfigError, match="have no squared error"):
        check_sweep(loads(BASE + goal, "file.yaml"), "file.yaml")


def test_confidence_is_sought_of_classes_alone() -> None:
    goal = "objective: {minimize: validation/calibration_error}\n"
    check_sweep(loads(BASE + goal, "file.yaml"), "file.yaml")
    with pytest.raises(ConfigError, match="have no confidence"):
        check_sweep(loads(BASE.replace("split_digits", "toy_regression") + goal, "file.yaml"), "file.yaml")
