"""However the replicas of a bundle are grouped, they take the same steps."""

from itertools import accumulate

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hypercl.config import Experiment, loads
from hypercl.methods import StepInfo
from hypercl.tensors import copied, leaves
from hypercl.training.bundle import Bundle, in_halves
from hypercl.training.memory import halved
from hypercl.training.parts import Networks

CPU = torch.device("cpu")


def experiment(replicas: int, *overrides: str) -> Experiment:
    text = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
  target: {name: mlp, hidden: [5]}
  hypernet: {name: chunked, hidden: [4], chunk_size: 60, task_embedding: 3, chunk_embedding: 3}
  training: {batch_size: 4, threads: 1, device: cpu, seed: 3}
"""
    return loads(text, "x", (f"training.replicas={replicas}", *overrides)).experiment


def bundle_of(groups: list[int], *overrides: str) -> Bundle:
    setting = experiment(sum(groups), *overrides)
    return Networks.of(setting, CPU).bundle(setting, groups)


def batch(replicas: int, seed: int) -> tuple[Tensor, Tensor]:
    """The batch of a replica does not depend on how many there are."""
    each = [torch.Generator().manual_seed(100 * seed + replica) for replica in range(replicas)]
    inputs = torch.stack([torch.rand(4, 1, 8, 8, generator=own, dtype=torch.float64) for own in each])
    return inputs, torch.stack([torch.randint(2, (4,), generator=own) for own in each])


def doubled(tree: dict) -> dict:
    return {
        key: doubled(value) if isinstance(value, dict) else value.double() if value.is_floating_point() else value
        for key, value in tree.items()
    }


def trained(bundle: Bundle, steps: int) -> tuple[list[Tensor], Tensor, Tensor]:
    """Losses (replicas,) of each step, logits (replicas, samples, classes), and what is finite, in float64."""
    state, losses = doubled(bundle.init()), []
    for task in range(2):
        state = doubled(bundle.start_task(state, task))
        context = bundle.task_context(state, task)
        for step in range(steps):
            drawn = [batch(bundle.replicas, 10 * task + step) for _ in bundle.trains_on(task)]
            state, found = bundle.step(state, context, drawn, StepInfo(task, step, 1e-2))
            losses.append(found["task"])
        state = bundle.end_task(state, task, ())
    inputs = batch(1, 99)[0][0]
    logits = torch.cat([predict(inputs) for predict in bundle.predictors(state, [1, 0])], dim=1)
    return losses, logits, bundle.finite(bundle.inference_state(state))


@settings(max_examples=12, deadline=None)
@given(
    replicas=st.integers(1, 5),
    cuts=st.sets(st.integers(1, 4), max_size=3),
    method=st.sampled_from(["hnet", "scratch", "joint"]),
)
def test_groups_change_nothing_but_what_is_computed_at_once(replicas: int, cuts: set[int], method: str) -> None:
    inside = [cut for cut in sorted(cuts) if cut < replicas]
    groups = [stop - start for start, stop in zip([0, *inside], [*inside, replicas], strict=True)]
    assert list(accumulate(groups))[-1] == replicas
    chosen = f"method.name={method}"
    (losses, logits, finite), (own_losses, own_logits, _) = (
        trained(bundle_of(each, chosen), 3) for each in (groups, [1] * replicas)
    )
    assert logits.shape[0] == len(finite) == replicas
    assert finite.all()
    torch.testing.assert_close(losses, own_losses, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(logits, own_logits, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("groups", [[3], [2, 1], [1, 2], [1, 1, 1]])
def test_what_is_not_finite_is_found_and_made_zero_for_its_replica_alone(groups: list[int]) -> None:
    bundle = bundle_of(groups)
    state = bundle.start_task(bundle.init(), 0)
    before = copied(state)
    for group, own in bundle._parts(state):
        if group.start <= 1 < group.start + group.size:
            theta = own["theta"]["head"]
            (theta if group.size == 1 else theta[1 - group.start])[0] = torch.nan
    assert bundle.finite(bundle.inference_state(state)).tolist() == [True, False, True]
    bundle.blank_(state, [1])
    assert bundle.finite(bundle.inference_state(state)).all()
    for (group, own), (_, old) in zip(bundle._parts(state), bundle._parts(before), strict=True):
        for value, kept in zip(leaves(own), leaves(old), strict=True):
            for place in range(group.size) if value.dim() or group.size == 1 else ():
                mine, was = (each if group.size == 1 else each[place] for each in (value, kept))
                assert torch.equal(mine, torch.zeros_like(mine) if group.start + place == 1 else was)


def test_the_samples_predicted_at_once_fall_with_the_replicas() -> None:
    found = [bundle_of([replicas]).samples for replicas in (1, 16, 32, 128)]
    assert found == [1000, 1000, 500, 125]
    with_convolutions = Networks.of(experiment(1, "target={name: zenkenet}", "tasks={name: split_cifar}"), CPU)
    assert [with_convolutions.bundle(experiment(each), [each]).samples for each in (1, 16, 32)] == [250, 250, 125]


@pytest.mark.parametrize("groups", [[4], [3, 2], [2, 1], [1]])
def test_groups_that_are_halved_in_the_middle_take_the_same_steps(groups: list[int]) -> None:
    whole, parts = (bundle_of(sizes) for sizes in (groups, halved(groups)))
    state = doubled(whole.start_task(doubled(whole.init()), 0))
    apart = in_halves(copied(state), groups)
    drawn = [batch(sum(groups), 7) for _ in whole.trains_on(0)]
    losses = []
    for bundle, start in ((whole, state), (parts, apart)):
        new, _ = bundle.step(start, bundle.task_context(start, 0), drawn, StepInfo(0, 0, 1e-2))
        _, found = bundle.step(new, bundle.task_context(new, 0), drawn, StepInfo(0, 1, 1e-2))
        losses.append(found["task"])
    assert torch.allclose(*losses, rtol=1e-9)
    assert max(halved(groups)) <= (max(groups) + 1) // 2
