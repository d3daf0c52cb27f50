from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hypercl.hypernets import Hypernetwork
from hypercl.regularizers import DirectForm, HeadMask, draw_subset

NUM_WEIGHTS, TASKS = 23, 4
HEADS = torch.tensor([[0, 1], [1, 2], [2, 4], [4, 5]])
OUTPUT_OF = torch.cat([torch.full((8,), -1), torch.arange(5).repeat_interleave(2), torch.arange(5)])


def tensors(hypernet: Hypernetwork, seed: int, scale: float = 1.0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = hypernet.shapes.items()
    return {n: scale * torch.randn(s, generator=generator, dtype=torch.float64) for n, s in shapes}


class Setting:
    """A hypernetwork, the parameters before a task, and others some steps later."""

    def __init__(self, hidden: tuple[int, ...] = (5,), chunk_size: int = 9) -> None:
        self.hypernet = Hypernetwork(
            NUM_WEIGHTS, chunk_size, hidden, task_embedding=3, chunk_embedding=2, activation="tanh"
        )
        self.before = tensors(self.hypernet, 1)
        steps = tensors(self.hypernet, 2, 0.1)
        self.now = {name: parameter + steps[name] for name, parameter in self.before.items()}
        self.embeddings = torch.randn(TASKS, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def loop(
        self,
        theta: dict[str, Tensor],
        tasks: list[int],
        masked: bool,
        moved: Tensor | None = None,
        importance: Tensor | None = None,
    ) -> Tensor:
        """The definition, one task and one weight at a time."""
        total = torch.zeros((), dtype=torch.float64)
        for task in tasks:
            embedding = self.embeddings[task : task + 1]
            now = embedding if moved is None else moved[task : task + 1]
            old, new = self.hypernet(self.before, embedding)[0], self.hypernet(theta, now)[0]
            for weight in range(NUM_WEIGHTS):
                own = OUTPUT_OF[weight]
                if not masked or own == -1 or HEADS[task, 0] <= own < HEADS[task, 1]:
                    factor = 1 if importance is None else importance[task, weight % importance.shape[1]]
                    total = total + factor * (old[weight] - new[weight]) ** 2
        return total / len(tasks)


@settings(max_examples=25, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 4), max_size=2).map(tuple),
    chunk_size=st.integers(2, 25),
    tasks=st.none() | st.lists(st.integers(0, TASKS - 1), min_size=1, unique=True),
    masked=st.booleans(),
    store=st.booleans(),
    moving=st.booleans(),
    factors=st.sampled_from([None, 1, NUM_WEIGHTS]),
)
def test_value_and_gradient_equal_a_loop_over_tasks_and_weights(
    hidden, chunk_size, tasks, masked, store, moving, factors
):
    setting = Setting(hidden, chunk_size)
    form = DirectForm(setting.hypernet, HeadMask(OUTPUT_OF, HEADS) if masked else None, store)
    importance = None if factors is None else torch.rand(TASKS, factors, dtype=torch.float64)
    anchor = form.anchor(setting.before, setting.embeddings, importance)
    moved = setting.embeddings + 0.1 if moving else None
    subset = None if tasks is None else torch.tensor(tasks)
    value, gradient = form.value_and_grad(setting.now, anchor, tasks=subset, embeddings=moved)
    leaves = {name: parameter.clone().requires_grad_() for name, parameter in setting.now.items()}
    if moved is not None:
        leaves["embeddings"] = moved = moved.clone().requires_grad_()
    expected = setting.loop(leaves, list(range(TASKS)) if tasks is None else tasks, masked, moved, importance)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-12)
    grads = torch.autograd.grad(expected, list(leaves.values()))
    assert gradient.keys() == leaves.keys()
    for name, grad in zip(leaves, grads, strict=True):
        torch.testing.assert_close(gradient[name], grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True], ids=["all heads", "own heads"])
def test_the_gradient_equals_finite_differences(masked):
    setting = Setting()
    form = DirectForm(setting.hypernet, HeadMask(OUTPUT_OF, HEADS) if masked else None)
    anchor = form.anchor(setting.before, setting.embeddings)
    _, gradient = form.value_and_grad(setting.now, anchor)
    step = 1e-6
    for name, parameter in setting.now.items():
        for place in range(0, parameter.numel(), 3):
            values = []
            for sign in (1, -1):
                moved = parameter.clone()
                moved.view(-1)[place] += sign * step
                values.append(form.value_and_grad({**setting.now, name: moved}, anchor)[0])
            numeric = (values[0] - values[1]) / (2 * step)
            torch.testing.assert_close(gradient[name].view(-1)[place], numeric, rtol=1e-6, atol=1e-7)


def test_a_task_that_has_not_moved_costs_nothing():
    setting = Setting()
    form = DirectForm(setting.hypernet)
    value, gradient = form.value_and_grad(setting.before, form.anchor(setting.before, setting.embeddings))
    assert value == 0
    assert not any(grad.any() for grad in gradient.values())


def test_an_anchor_does_not_follow_the_parameters_it_was_taken_from():
    setting = Setting()
    for store in (True, False):
        form = DirectForm(setting.hypernet, store=store)
        theta, embeddings = {n: p.clone() for n, p in setting.before.items()}, setting.embeddings.clone()
        anchor = form.anchor(theta, embeddings)
        expected, _ = form.value_and_grad(setting.now, anchor)
        for tensor in (*theta.values(), embeddings):
            tensor.zero_()
        assert form.value_and_grad(setting.now, anchor)[0] == expected
        assert expected > 0


def test_only_a_storing_form_keeps_targets():
    setting = Setting()
    stored = DirectForm(setting.hypernet).anchor(setting.before, setting.embeddings).targets
    assert stored is not None
    assert stored.shape == (TASKS, NUM_WEIGHTS)
    assert DirectForm(setting.hypernet, store=False).anchor(setting.before, setting.embeddings).targets is None


def test_nothing_is_differentiated_through_the_arguments():
    setting = Setting()
    form = DirectForm(setting.hypernet)
    theta = {name: parameter.clone().requires_grad_() for name, parameter in setting.now.items()}
    value, gradient = form.value_and_grad(theta, form.anchor(theta, setting.embeddings))
    assert not value.requires_grad
    assert not any(grad.requires_grad for grad in gradient.values())
    assert all(parameter.grad is None for parameter in theta.values())


def test_the_mean_over_all_subsets_is_the_value_over_all_tasks():
    setting = Setting()
    form = DirectForm(setting.hypernet, HeadMask(OUTPUT_OF, HEADS))
    anchor = form.anchor(setting.before, setting.embeddings)
    subsets = [torch.tensor(subset) for subset in combinations(range(TASKS), 2)]
    results = [form.value_and_grad(setting.now, anchor, tasks=subset) for subset in subsets]
    value, gradient = form.value_and_grad(setting.now, anchor)
    torch.testing.assert_close(torch.stack([part for part, _ in results]).mean(), value)
    for name, grad in gradient.items():
        torch.testing.assert_close(torch.stack([part[name] for _, part in results]).mean(0), grad)


def test_a_subset_has_no_task_twice_and_every_subset_is_as_likely():
    generator = torch.Generator().manual_seed(1)
    draws = [tuple(sorted(draw_subset(4, 2, generator).tolist())) for _ in range(3000)]
    counts = {subset: draws.count(subset) for subset in set(draws)}
    assert set(counts) == set(combinations(range(4), 2))
    assert all(430 < count < 570 for count in counts.values())


def test_a_subset_larger_than_the_past_is_the_whole_past():
    assert sorted(draw_subset(3, 5, torch.Generator().manual_seed(1)).tolist()) == [0, 1, 2]
