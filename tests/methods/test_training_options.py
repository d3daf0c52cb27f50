"""Dropout of the target, soft targets and precision in the steps of a learner."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softmax

from hypercl.config import loads
from hypercl.methods import Batch, Learner, State, StepInfo
from hypercl.training import build_learner

CPU = torch.device("cpu")
DROPPING = ("target.name=import", "target.path=small_nets:DropNet", "target.kwargs={width: 40}")


def learner(*overrides: str) -> Any:
    text = """
experiment:
  tasks: {name: split_digits, num_tasks: 3}
  target: {name: mlp, hidden: [12]}
  hypernet: {name: chunked, hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}
  method: {name: hnet, beta: 0.5}
  training: {optimizer: {name: adam, lr: 1e-2}}
"""
    return build_learner(loads(text, "x", overrides).experiment, CPU)


def batch(seed: int) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(16, 1, 8, 8, generator=draw), torch.randint(0, 2, (16,), generator=draw)


def masks_of(method: Any, moments: list[StepInfo]) -> list[Tensor]:
    """What the dropout layer of `DropNet` dropped, call by call."""
    found: list[Tensor] = []
    method.spec.target.module[2].register_forward_hook(lambda _, __, output: found.append(output == 0))
    state = method.init()
    for info in moments:
        state = method.start_task(state, info.task)
        state, _ = method.step(state, None, [batch(0) for _ in method.trains_on(info.task)], info)
    return found


def trained(method: Learner, steps: int, task: int = 0, state: State | None = None) -> State:
    state = method.start_task(state or method.init(), task)
    context = method.task_context(state, task)
    for step in range(steps):
        state, _ = method.step(state, context, [batch(step % 3)], StepInfo(task, step, 1e-2))
    return state


def test_masks_depend_on_seed_task_and_step_and_nothing_else() -> None:
    moments = [StepInfo(0, 0, 0.1), StepInfo(0, 1, 0.1), StepInfo(1, 0, 0.1), StepInfo(0, 0, 0.1)]
    torch.manual_seed(1)
    first = masks_of(learner(*DROPPING), moments)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = masks_of(learner(*DROPPING), moments)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, first, again))
    assert torch.equal(first[0], first[3])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
    assert not torch.equal(first[0], masks_of(learner(*DROPPING, "training.seed=2"), moments)[0])


def test_joint_draws_other_masks_for_each_tasks_batch() -> None:
    found = masks_of(learner(*DROPPING, "method.name=joint"), [StepInfo(2, 0, 0.1)])
    assert len(found) == 3
    assert not any(torch.equal(found[a], found[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


def test_soft_targets_keep_answers_from_growing_certain() -> None:
    inputs, labels = batch(0)
    sure = []
    for smoothing in (0.0, 0.2):
        method = learner(f"training.label_smoothing={smoothing}", "training.seed=2")
        state = method.start_task(method.init(), 0)
        for step in range(150):
            state, _ = method.step(state, None, [(inputs, labels)], StepInfo(0, step, 1e-2))
        answers = method.predictor(state, 0)(inputs)
        assert (answers.argmax(1) == labels).all()
        sure.append(float(softmax(answers, 1).max(1).values.mean()))
    assert sure[0] > 0.98
    assert sure[1] == pytest.approx(0.8, abs=0.01)


def test_bf16_rounds_training_and_answers_alike_and_keeps_the_state_in_float32() -> None:
    exact, rounded = learner(), learner("training.precision=bf16")
    state = exact.start_task(exact.init(), 0)
    info = StepInfo(0, 0, 1e-2)
    losses = [float(each.step(deepcopy(state), None, [batch(0)], info)[1]["task"]) for each in (exact, rounded)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    answers = [each.predictor(state, 0)(batch(0)[0]) for each in (exact, rounded)]
    assert answers[1].dtype == torch.float32
    assert not torch.equal(*answers)
    torch.testing.assert_close(answers[0], answers[1], rtol=0.05, atol=0.05)
    after = trained(rounded, 3)
    values = [*after["theta"].values(), after["embeddings"], *after["optimizer"]["theta"].values()]
    assert {value.dtype for value in values if value.is_floating_point()} == {torch.float32}


def test_bf16_learns() -> None:
    method = learner("training.precision=bf16", "target={name: mlp, hidden: [12], batch_norm: true}")
    state = trained(method, 90)
    right = [(method.predictor(state, 0)(batch(seed)[0]).argmax(1) == batch(seed)[1]).float().mean() for seed in (0, 1)]
    assert min(right) > 0.9
    assert {value.dtype for value in state["buffers"]["0"].values()} == {torch.float32, torch.int64}


def test_bf16_leaves_the_regulariser_exact() -> None:
    """A drift far below the 8 bits of bfloat16: the value is the same to the last bit, and not zero."""
    still = ("method.lookahead=false", "training.optimizer.lr=1e-6")
    exact, rounded = learner(*still), learner(*still, "training.precision=bf16")
    state = exact.start_task(trained(exact, 5), 1)
    context = exact.task_context(state, 1)
    state, _ = exact.step(state, context, [batch(0)], StepInfo(1, 0, 1e-6))
    info, methods = StepInfo(1, 1, 1e-6), (exact, rounded)
    values = [each.step(deepcopy(state), context, [batch(1)], info)[1]["regularizer"] for each in methods]
    assert torch.equal(*values)
    assert 0 < float(values[0]) < 1e-5
