"""SI: the path integral, and what is made of it."""

from typing import Any

import pytest
import torch
from few_samples import FewSamples
from test_learners import batch, copied, learner, same, trained
from test_replicas import assert_replicas_are_single_runs
from torch.nn.functional import cross_entropy

from hypercl.methods import State, StepInfo

SGD = "training.optimizer={name: sgd, lr: 0.001}"


def method(*changes: str, strength: float = 1.0) -> Any:
    return learner(f"method={{name: si, strength: {strength}}}", "hypernet={name: none}", *changes)


def stepped(of: Any, state: State, steps: range) -> State:
    """After some steps of the second task."""
    context = of.task_context(state, 1)
    for step in steps:
        state, _ = of.step(state, context, [batch(step)], StepInfo(1, step, 1e-2))
    return state


def test_along_small_steps_of_descent_omega_is_by_how_much_the_loss_fell() -> None:
    of = method(SGD)
    state = of.start_task(of.init(), 0)
    context, losses = of.task_context(state, 0), []
    for step in range(200):
        state, found = of.step(state, context, [batch(0)], StepInfo(0, step, 5e-3))
        losses.append(float(found["task"]))
    assert losses[-1] < 0.8 * losses[0]
    assert float(state["path"].sum()) == pytest.approx(losses[0] - losses[-1], rel=0.03)


@pytest.mark.parametrize("optimizer", ["{name: sgd, lr: 0.01, momentum: 0.9}", "{name: adam, lr: 0.01}"])
def test_omega_is_of_the_tasks_gradient_alone_and_of_the_real_step(optimizer: str) -> None:
    """On a later task, where the penalty pulls too, and the gradient is clipped."""
    of = method(f"training.optimizer={optimizer}", "training.clip_norm=0.01", strength=1000.0)
    state = of.start_task(trained(of, 1), 1)
    context, expected, losses = of.task_context(state, 1), torch.zeros(of.spec.target.num_weights), {}
    for step in range(4):
        inputs, labels = batch(50 + step)
        before = state["theta"]["weights"].clone().requires_grad_()
        logits, _ = of.spec.target(before, {}, inputs, training=True)
        (gradient,) = torch.autograd.grad(cross_entropy(logits[:, 2:4], labels), before)
        state, losses = of.step(state, context, [(inputs, labels)], StepInfo(1, step, 1e-2))
        expected -= gradient * (state["theta"]["weights"] - before.detach())
    assert losses["regularizer"] > 0
    assert expected.abs().max() > 1e-6
    torch.testing.assert_close(state["path"], expected, rtol=1e-3, atol=1e-8)


def test_importance_is_what_the_path_gained_over_the_squared_way_and_its_penalty_has_no_half() -> None:
    of = method("method.damping=0.01", SGD, strength=7.0)
    state, start = of.start_task(of.init(), 0), of.init()["theta"]["weights"]
    for step in range(10):
        state, _ = of.step(state, of.task_context(state, 0), [batch(step)], StepInfo(0, step, 1e-1))
    weights = state["theta"]["weights"].clone()
    importance = (state["path"] / ((weights - start) ** 2 + 0.01)).clamp(min=0)
    assert importance.max() > 1e-3
    state = of.start_task(of.end_task(state, 0, FewSamples(0)), 1)
    state["theta"]["weights"] += 0.1
    moved = state["theta"]["weights"].clone().requires_grad_()
    inputs, labels = batch(60)
    logits, _ = of.spec.target(moved, {}, inputs, training=True)
    penalty = (importance * (moved - weights) ** 2).sum()
    (gradient,) = torch.autograd.grad(cross_entropy(logits[:, 2:4], labels) + 7.0 * penalty, moved)
    state, losses = of.step(state, of.task_context(state, 1), [(inputs, labels)], StepInfo(1, 0, 0.1))
    torch.testing.assert_close(losses["regularizer"], penalty.detach())
    torch.testing.assert_close(state["theta"]["weights"], (moved - 0.1 * gradient).detach())


def test_no_weight_is_driven_away_from_what_it_was() -> None:
    """A step up the loss makes omega negative."""
    of = method(SGD)
    state = of.start_task(of.init(), 0)
    state, _ = of.step(state, of.task_context(state, 0), [batch(0)], StepInfo(0, 0, -0.1))
    assert (state["path"] < 0).any()
    held = of.end_task(state, 0, FewSamples(0))["held"]
    assert (held["precision"] >= 0).all()
    assert same(held, of.end_task(state, 0, FewSamples(1))["held"])


def test_importances_of_tasks_add_up_and_a_new_path_begins_with_each() -> None:
    of = method()
    first, last = trained(of, 1), trained(of, 3)
    assert (last["held"]["precision"] >= first["held"]["precision"] - 1e-6).float().mean() > 0.9
    assert torch.equal(last["held"]["centre"], last["theta"]["weights"])
    assert not of.start_task(last, 1)["path"].any()


def test_going_back_to_the_best_weights_of_a_task_goes_back_to_the_path_that_led_there() -> None:
    of = method()
    state = of.start_task(trained(of, 1), 1)
    state = stepped(of, state, range(3))
    best, then = copied(of.inference_state(state)), of.end_task(copied(state), 1, FewSamples(1))
    state = stepped(of, state, range(3, 6))
    assert not same(of.end_task(state, 1, FewSamples(1))["held"], then["held"])
    assert same(of.end_task({**state, **best}, 1, FewSamples(1))["held"], then["held"])


def test_a_task_resumed_in_its_middle_has_the_same_path() -> None:
    of = method()
    half = stepped(of, of.start_task(trained(of, 1), 1), range(3))
    stored = copied(half)
    assert same(stepped(method(), stored, range(3, 6)), stepped(of, half, range(3, 6)))


def test_without_strength_it_is_finetuning() -> None:
    finetuned = trained(learner("method={name: finetune}", "hypernet={name: none}"), 3)
    assert same(trained(method(strength=0), 3)["theta"], finetuned["theta"])


def test_each_replica_equals_its_own_single_run() -> None:
    assert_replicas_are_single_runs(17, "method={name: si, strength: 10}", "hypernet={name: none}", SGD)
