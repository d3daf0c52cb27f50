"""What must fit between a stream, a hypernetwork and a method; each mistake names the fix."""

import pytest

from hypercl.config import ConfigError, loads


def experiment(text: str):
    return loads(f"experiment: {{{text}}}", "file.yaml").experiment


DIGITS = "tasks: {name: split_digits, scenario: class}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{DIGITS}, method: {{name: hnet}}", "only in task: use hnet_ent, hnet_tir or hnet_replay, or a baseline"),
        ("tasks: {name: split_digits}, method: {name: hnet_ent}", "where the task is given, use hnet"),
        (f"{DIGITS}, method: {{name: scratch}}, hypernet: {{name: none}}", "scratch cannot predict in scenario class"),
        (f"{DIGITS}, method: {{name: joint}}", "give hypernet: {name: none}"),
        (f"{DIGITS}, method: {{name: ewc}}, hypernet: {{name: full}}", "or leave it out"),
        (f"{DIGITS}, method: {{name: hnet_ent}}, hypernet: {{name: none}}", "give hypernet chunked or full"),
        (
            "tasks: {name: split_digits, scenario: class, num_tasks: 5, classes_per_task: 1}, method: {name: hnet_ent}",
            "the entropy of a certain answer is always 0",
        ),
        ("tasks: {name: split_cifar}, method: {name: dgr}", "set tasks.normalize to false"),
        (
            "tasks: {name: permuted_mnist, num_tasks: 120}, method: {name: hnet_replay}",
            "condition_size 100 cannot tell 120 tasks",
        ),
        (
            "tasks: {name: permuted_mnist, num_tasks: 12}, method: {name: hnet_replay, generator: {embedding: class}}",
            "condition_size 100 cannot tell 120 classes apart as one_hot: make it as large, or use gaussian",
        ),
        (
            "tasks: {name: split_digits, scenario: class, num_tasks: 5, classes_per_task: 1}, "
            "method: {name: hnet_tir, generator: {embedding: class}}",
            "method.generator.embedding class would have no effect: each task has one class; leave it out",
        ),
        ("tasks: {name: split_digits}, method: {name: dgr, generator: {embedding: class}}", "unknown key"),
        (
            "tasks: {name: split_digits}, method: {name: hnet_replay, generator: {hypernet: {name: none}}}",
            "give chunked or full, or use the method dgr",
        ),
        (
            "tasks: {name: split_digits}, method: {name: hnet_replay, generator: {deviation: 0.3}}",
            "deviation 0.3 would have no effect with likelihood bernoulli: leave it out, or use gaussian",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_fix(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        experiment(text)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["ewc", "online_ewc", "si", "lwf", "dgr", "er", "stored_real", "hnet_replay"])
def test_methods_without_a_hypernetwork_need_not_say_so(name: str) -> None:
    assert experiment(f"{DIGITS}, method: {{name: {name}}}").hypernet.name == "none"


def test_inputs_of_any_size_are_replayed_by_a_gaussian_decoder() -> None:
    method = "method: {name: hnet_replay, generator: {likelihood: gaussian, deviation: 0.3}}"
    assert experiment(f"tasks: {{name: split_cifar}}, {method}").tasks.name == "split_cifar"


def test_gaussian_conditions_tell_any_number_of_tasks_apart() -> None:
    tasks = "tasks: {name: permuted_mnist, num_tasks: 120}"
    method = "method: {name: hnet_replay, generator: {condition: gaussian}}"
    assert experiment(f"{tasks}, {method}").tasks.num_tasks == 120


@pytest.mark.parametrize("share", ["2", "0", "true", "much", "[0.5]"])
def test_a_share_of_replay_that_cannot_be_is_told_in_one_sentence(share: str) -> None:
    with pytest.raises(ConfigError, match="give a share between 0 and 1") as caught:
        experiment(f"{DIGITS}, method: {{name: er, replay_share: {share}}}")
    assert str(caught.value).startswith("1 problem")
