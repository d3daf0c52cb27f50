"""EWC: what holds the weights, and for whom."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from few_samples import FewSamples
from test_learners import batch, experiment, learner, same, trained
from test_replicas import SEEDS, assert_replicas_are_single_runs, doubled
from test_replicas import trained as trained_in_float64
from torch import Tensor
from torch.nn.functional import cross_entropy

from hypercl.config import UserError
from hypercl.methods import State, StepInfo
from hypercl.training import build_bundle, build_learner

CPU = torch.device("cpu")
NORM = ("target.name=import", "target.path=small_nets:NormNet", "target.kwargs={width: 5}")
NAMES = ("ewc", "online_ewc")


def method(*changes: str, name: str = "ewc", strength: float = 100.0) -> Any:
    return learner(f"method={{name: {name}, strength: {strength}}}", "hypernet={name: none}", *changes)


def looped_fisher(of: Any, state: State, task: int, samples: Sequence[int], true: bool) -> Tensor:
    """Written out: one sample at a time, over the outputs that the task's loss is over."""
    weights, buffers = state["theta"]["weights"].clone().requires_grad_(), state["buffers"]["0"]
    head = of.spec.heads[task]
    first = 0 if of.spec.shape.scenario == "class" else head.start
    data, total = FewSamples(task), torch.zeros_like(weights)
    for sample in samples:
        inputs, labels = data[torch.tensor([sample])]
        inputs = inputs.to(weights.dtype)
        logits, _ = of.spec.target(weights, buffers, inputs, training=False)
        logits = logits[:, first : head.stop]
        answer = labels + head.start - first if true else logits.argmax(1)
        total += torch.autograd.grad(cross_entropy(logits, answer), weights)[0] ** 2
    return total / len(samples)


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
@pytest.mark.parametrize("labels", ["predicted", "given"])
def test_holds_each_weight_by_the_squared_gradients_of_its_task(scenario: str, labels: str) -> None:
    of = method(f"tasks.scenario={scenario}", f"method.fisher_labels={labels}", "training.label_smoothing=0.1", *NORM)
    before = of.start_task(trained(of, 1), 1)
    after = of.end_task(before, 1, FewSamples(1))
    found = after["held"]["precision"] - before["held"]["precision"]
    expected = looped_fisher(of, before, 1, range(24), labels == "given")
    assert expected.max() > 1e-4
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_labels_make_a_difference() -> None:
    found = [trained(method(f"method.fisher_labels={labels}"), 1)["held"] for labels in ("predicted", "given")]
    assert not torch.allclose(found[0]["precision"], found[1]["precision"])


def test_takes_as_many_samples_as_it_is_told_other_ones_for_another_seed() -> None:
    seeds = [method("method.fisher_samples=5", f"training.seed={seed}") for seed in (1, 2)]
    state = trained(method("method.fisher_samples=5"), 1)
    found = [of.end_task(of.init() | {"theta": state["theta"]}, 0, FewSamples(0))["held"] for of in seeds]
    assert not torch.equal(found[0]["precision"], found[1]["precision"])
    every = method("method.fisher_samples=24").end_task(state, 1, FewSamples(1))
    torch.testing.assert_close(every["held"], method().end_task(state, 1, FewSamples(1))["held"])


def test_its_gradient_is_that_of_the_list_of_earlier_tasks() -> None:
    """Three tasks; in float64, so that a step of plain descent shows the gradient."""
    of = method("training.optimizer={name: sgd, lr: 0.1}", strength=3.0)
    fishers, centres = [], []
    state = doubled(of.init())
    for task in range(2):
        state = doubled(of.start_task(state, task))
        inputs, labels = batch(task)
        state, _ = of.step(state, of.task_context(state, task), [(inputs.double(), labels)], StepInfo(task, 0, 0.1))
        fishers.append(looped_fisher(of, state, task, range(24), true=False))
        centres.append(state["theta"]["weights"].clone())
        state = of.end_task(state, task, FewSamples(task))
    state = doubled(of.start_task(state, 2))
    weights = state["theta"]["weights"].add_(0.01).clone().requires_grad_()
    inputs, labels = batch(2)
    inputs = inputs.double()
    logits, _ = of.spec.target(weights, {}, inputs, training=True)
    penalty = 0.5 * (torch.stack(fishers) * (weights - torch.stack(centres)) ** 2).sum()
    loss = cross_entropy(logits[:, 4:6], labels) + 3.0 * penalty
    (gradient,) = torch.autograd.grad(loss, weights)
    state, losses = of.step(state, of.task_context(state, 2), [(inputs, labels)], StepInfo(2, 0, 0.1))
    torch.testing.assert_close(losses["regularizer"], penalty.detach(), rtol=1e-6, atol=0)
    torch.testing.assert_close(state["theta"]["weights"], (weights - 0.1 * gradient).detach(), rtol=1e-9, atol=1e-9)


def test_online_holds_decay_times_the_earlier_tasks_and_the_new_one_once_a_task() -> None:
    of = method("method.decay=0.25", name="online_ewc")
    state, expected = of.init(), torch.zeros(of.spec.target.num_weights)
    for task in range(3):
        state = of.start_task(state, task)
        for step in range(4):
            state, _ = of.step(
                state, of.task_context(state, task), [batch(10 * task + step)], StepInfo(task, step, 1e-2)
            )
        expected = 0.25 * (expected + looped_fisher(of, state, task, range(24), true=False))
        state = of.end_task(state, task, FewSamples(task))
        torch.testing.assert_close(state["held"]["precision"], expected, rtol=1e-3, atol=1e-6)
        assert torch.equal(state["held"]["centre"], state["theta"]["weights"])
    assert state["held"]["offset"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_does_not_grow_with_the_tasks(name: str) -> None:
    kept = [trained(method(name=name), tasks)["held"] for tasks in (1, 3)]
    assert {k: v.shape for k, v in kept[0].items()} == {k: v.shape for k, v in kept[1].items()}
    assert not any(k in method(name=name).inference_state(trained(method(name=name), 1)) for k in ("held", "optimizer"))


@pytest.mark.parametrize("name", NAMES)
def test_without_strength_it_is_finetuning(name: str) -> None:
    finetuned = trained(learner("method={name: finetune}", "hypernet={name: none}"), 3)
    assert same(trained(method(name=name, strength=0), 3)["theta"], finetuned["theta"])
    assert not same(trained(method(name=name), 3)["theta"], finetuned["theta"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strength", [1e7, 1e9])
def test_stays_finite_at_the_published_strengths(name: str, strength: float) -> None:
    """Adam bounds a step, however steep the penalty."""
    of = method(name=name, strength=strength)
    state = trained(of, 3, steps=20)
    assert all(value.isfinite().all() for value in [*state["theta"].values(), *state["held"].values()])


REPLICAS = {"samples": ["method.fisher_samples=7"], "running statistics": NORM, "class": ["tasks.scenario=class"]}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("changes", REPLICAS.values(), ids=REPLICAS)
def test_each_replica_equals_its_own_single_run(name: str, changes: Sequence[str]) -> None:
    own = f"method={{name: {name}, strength: 100}}"
    # some gradients are 0 up to rounding, which Adam would make steps of
    assert_replicas_are_single_runs(5, own, "hypernet={name: none}", "training.optimizer.name=sgd", *changes)


@pytest.mark.parametrize("name", [*NAMES, "si"])
def test_replicas_of_several_strengths_train_as_each_would_alone(name: str) -> None:
    strengths = (0, 10.0, 1000.0)
    optimizer = "training.optimizer={name: sgd, lr: 0.0003}"
    settings = [
        experiment(f"method={{name: {name}, strength: {strength}}}", "hypernet={name: none}", optimizer)
        for strength in strengths
    ]
    bundle = build_bundle(settings, CPU)
    state, _ = trained_in_float64(bundle, 4, SEEDS, 3e-2)
    found = []
    for index, (setting, seed) in enumerate(zip(settings, SEEDS, strict=True)):
        expected, _ = trained_in_float64(build_learner(setting, CPU), 4, (seed,), 3e-2)
        weights = state["theta"]["weights"][index]
        torch.testing.assert_close(weights, expected["theta"]["weights"], rtol=1e-6, atol=1e-9)
        found.append(weights)
    assert not torch.allclose(found[1], found[2], rtol=1e-6)


def test_a_target_that_cannot_compute_one_sample_is_refused_before_training() -> None:
    with pytest.raises(UserError, match=r"LonelyNet cannot run on inputs of shape \(1, "):
        method("target.name=import", "target.path=small_nets:LonelyNet", "target.kwargs={width: 5}")


def regression(labels: str) -> tuple[Any, State]:
    of = learner(
        "tasks=toy_regression", "target={name: mlp, hidden: [4], activation: tanh}", "hypernet={name: none}",
        f"method={{name: ewc, strength: 1, fisher_labels: {labels}}}",
    )  # fmt: skip
    return of, of.init()


class Points:
    """Three samples of a regression, whose numbers are off by 0.5."""

    x = torch.tensor([[-4.0], [-3.0], [-2.0]])

    def __len__(self) -> int:
        return 3

    def __getitem__(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        return self.x[samples], self.y[samples]

    y: Tensor


@pytest.mark.parametrize(("labels", "scale"), [("predicted", 1.0), ("given", 0.25)])
def test_the_fisher_information_of_a_regression_is_the_squared_gradient_of_its_output(
    labels: str, scale: float
) -> None:
    of, state = regression(labels)
    weights = state["theta"]["weights"].clone().requires_grad_()
    outputs, _ = of.spec.target(weights, state["buffers"]["0"], Points.x.to(weights.dtype), training=False)
    expected = sum(torch.autograd.grad(one, weights, retain_graph=True)[0] ** 2 for one in outputs.flatten()) / 3
    data = Points()
    data.y = outputs.detach() - 0.5
    held = of.end_task(state, 0, data)["held"]
    torch.testing.assert_close(held["precision"], scale * expected, rtol=1e-4, atol=1e-6)
