"""The Gram form against the direct form, its oracle."""

from itertools import combinations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from hypercl.hypernets import Hypernetwork
from hypercl.regularizers import DirectForm, GramForm, HeadMask, costs, draw_subset
from hypercl.regularizers import masks as own_rows

NUM_WEIGHTS, TASKS, DIM = 23, 4, 3
HEADS = torch.tensor([[0, 1], [1, 2], [2, 4], [4, 5]])
OUTPUT_OF = torch.cat([torch.full((8,), -1), torch.arange(5).repeat_interleave(2), torch.arange(5)])


def tensors(hypernet: Hypernetwork, seed: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator, dtype=dtype) for name, shape in hypernet.shapes.items()}


def moved(theta: dict[str, Tensor], by: float) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {n: p + by * torch.randn(p.shape, generator=generator, dtype=p.dtype) for n, p in theta.items()}


def embeddings(tasks: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(tasks, DIM, generator=torch.Generator().manual_seed(3), dtype=dtype)


def hypernetwork(hidden: tuple[int, ...], chunk_size: int, **options) -> Hypernetwork:
    return Hypernetwork(NUM_WEIGHTS, chunk_size, hidden, DIM, chunk_embedding=2, **options)


def assert_same(left: tuple[Tensor, dict[str, Tensor]], right: tuple[Tensor, dict[str, Tensor]]) -> None:
    torch.testing.assert_close(left[0], right[0], rtol=1e-9, atol=1e-9)
    assert left[1].keys() == right[1].keys()
    for name in left[1]:
        torch.testing.assert_close(left[1][name], right[1][name], rtol=1e-9, atol=1e-9)


hypernets = st.one_of(
    st.builds(
        hypernetwork,
        hidden=st.lists(st.integers(1, 5), max_size=3).map(tuple),
        chunk_size=st.integers(1, 25),
        activation=st.sampled_from(["relu", "elu", "tanh", "gelu"]),
        normalization=st.sampled_from(["none", "layer"]),
        noise=st.integers(0, 2),
        dropout=st.sampled_from([0.0, 0.3]),
    ),
    st.builds(
        Hypernetwork,
        num_weights=st.just(NUM_WEIGHTS),
        chunk_size=st.just(NUM_WEIGHTS),
        hidden=st.lists(st.integers(1, 5), max_size=2).map(tuple),
        task_embedding=st.just(DIM),
    ),
)
owners = st.one_of(
    st.none(), st.just(OUTPUT_OF), st.lists(st.integers(-1, 4), min_size=23, max_size=23).map(torch.tensor)
)
subsets = st.none() | st.lists(st.integers(0, TASKS - 1), min_size=1, unique=True).map(torch.tensor)


def by_autograd(hypernet, output_of, before, now, e, at) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean over tasks of the squared distance of their weights that count, and its gradient, as the paper says it."""
    leaves = {name: value.clone().requires_grad_() for name, value in now.items()}
    at = (e if at is None else at).clone().requires_grad_()
    residual = hypernet(leaves, at) - hypernet(before, e)
    if output_of is not None:
        first, end = HEADS[: len(e), :1], HEADS[: len(e), 1:]
        residual = residual * ((output_of < 0) | (output_of >= first) & (output_of < end))
    value = residual.square().sum() / len(e)
    value.backward()
    return value.detach(), {**{name: leaf.grad for name, leaf in leaves.items()}, "embeddings": at.grad}


@settings(max_examples=120, deadline=None)
@given(hypernet=hypernets, output_of=owners, earlier=st.integers(1, TASKS), moving=st.booleans(), draws=st.booleans())
@example(hypernetwork((4,), NUM_WEIGHTS), OUTPUT_OF, 1, True, False)  # one chunk, one task, own heads
@example(hypernetwork((4,), NUM_WEIGHTS), OUTPUT_OF, 1, False, True)
def test_both_forms_are_what_autograd_finds_for_any_number_of_earlier_tasks(
    hypernet, output_of, earlier, moving, draws
):
    mask = None if output_of is None else HeadMask(output_of, HEADS)
    before, e = tensors(hypernet, 1), embeddings(earlier)
    now, at = moved(before, 0.1), e + 0.1 if moving else None
    value, gradient = by_autograd(hypernet, output_of, before, now, e, at)
    if not moving:
        del gradient["embeddings"]
    for form in (DirectForm(hypernet, mask), GramForm(hypernet, mask)):
        anchor = form.anchor(before, e)
        every = {"pairs": torch.arange(anchor.num_pairs)} if draws and isinstance(form, GramForm) else {}
        assert_same(form.value_and_grad(now, anchor, embeddings=at, **every), (value, gradient))


@settings(max_examples=120, deadline=None)
@given(
    hypernet=hypernets,
    output_of=owners,
    tasks=subsets,
    moving=st.booleans(),
    at_once=st.integers(1, 40),
    part=st.sampled_from([0, 10**6]),
)
def test_value_and_gradient_equal_those_of_the_direct_form(hypernet, output_of, tasks, moving, at_once, part):
    mask = None if output_of is None else HeadMask(output_of, HEADS)
    before, e = tensors(hypernet, 1), embeddings(TASKS)
    direct, gram, now = DirectForm(hypernet, mask), GramForm(hypernet, mask), moved(before, 0.1)
    at = e + 0.1 if moving else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "NUMBERS_AT_ONCE", at_once)
        patch.setattr(own_rows, "OPERATIONS_OF_A_PART", part)  # at no cost, heads are compared in many parts
        found = gram.value_and_grad(now, gram.anchor(before, e), tasks=tasks, embeddings=at)
    assert_same(found, direct.value_and_grad(now, direct.anchor(before, e), tasks=tasks, embeddings=at))


@pytest.mark.parametrize("hidden", [(), (4,)], ids=["linear", "deep"])
@pytest.mark.parametrize("chunk_size", [4, 6, 10], ids=["heads fill chunks", "a cut chunk", "few chunks"])
@pytest.mark.parametrize("masked", [False, True], ids=["all heads", "own heads"])
def test_the_mean_over_all_draws_of_pairs_is_value_and_gradient_over_all(hidden, chunk_size, masked):
    hypernet = hypernetwork(hidden, chunk_size, activation="tanh")
    before, e = tensors(hypernet, 1), embeddings(TASKS)[:3]
    form, at = GramForm(hypernet, HeadMask(OUTPUT_OF, HEADS) if masked else None), e + 0.1
    anchor, now = form.anchor(before, e), moved(before, 0.1)
    if masked and chunk_size == 4:  # pairs with no weight that counts are not drawn from
        assert anchor.num_pairs < 3 * hypernet.num_chunks
    draws = [torch.tensor(draw) for draw in combinations(range(anchor.num_pairs), 2)]
    found = [form.value_and_grad(now, anchor, embeddings=at, pairs=draw) for draw in draws]
    value = torch.stack([value for value, _ in found]).mean()
    gradient = {name: torch.stack([grads[name] for _, grads in found]).mean(0) for name in found[0][1]}
    assert_same((value, gradient), form.value_and_grad(now, anchor, embeddings=at))
    assert torch.stack([value for value, _ in found]).std() > 0


def test_all_pairs_drawn_are_all_tasks_compared():
    hypernet = hypernetwork((4,), 5)
    before, form = tensors(hypernet, 1), GramForm(hypernetwork((4,), 5), HeadMask(OUTPUT_OF, HEADS))
    anchor, now = form.anchor(before, embeddings(TASKS)), moved(before, 0.1)
    every = draw_subset(anchor.num_pairs, anchor.num_pairs, torch.Generator().manual_seed(1))
    assert_same(form.value_and_grad(now, anchor, pairs=every), form.value_and_grad(now, anchor))


@pytest.mark.parametrize("hidden", [(), (12,), (16, 30)], ids=["linear", "one layer", "two layers"])
@pytest.mark.parametrize("by", [1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("cancelling", [False, True], ids=["", "nearly cancelling"])
def test_in_float32_the_error_exceeds_the_direct_forms_by_no_more_than_its_bound(hidden, by, cancelling):
    """|error of the head's gradient 2 E^T Z| <= that of the direct form + c eps (|dZ A^T| + |Z* dA^T|) |Z|."""
    hypernet = Hypernetwork(3000, 400, hidden, DIM, 4, activation="relu")
    before, e = tensors(hypernet, 1, torch.float32), embeddings(6, torch.float32)
    now = moved(before, by)
    if cancelling and hidden:  # the last layer grows by what the head shrinks
        last = f"trunk.{len(hidden) - 1}."
        now = {name: (1 + by) * p if name.startswith(last) else p for name, p in before.items()}
        weight = before["head"][:, :-1]
        now["head"] = torch.cat([weight / (1 + by) + 0.01 * by * weight.roll(1), before["head"][:, -1:]], dim=1)
    before64, now64 = ({n: p.double() for n, p in theta.items()} for theta in (before, now))
    direct, gram = DirectForm(hypernet), GramForm(hypernet)
    exact, gradient = direct.value_and_grad(now64, direct.anchor(before64, e.double()))
    errors, values = [], []
    for form in (direct, gram):
        value, found = form.value_and_grad(now, form.anchor(before, e))
        errors.append(((found["head"] - gradient["head"])[:, :-1]).norm())
        values.append(abs(value - exact))
    z, held = (hypernet.hidden_activations(theta, e.double()) for theta in (now64, before64))
    steps = (z - held) @ now64["head"][:, :-1].mT
    moving = now64["head"] - before64["head"]
    rest = held @ moving[:, :-1].mT + moving[:, -1]
    parts, eps = steps.norm() + rest.norm(), torch.finfo(torch.float32).eps
    assert errors[1] <= 3 * errors[0] + 2 / 6 * eps * parts * z.norm()
    assert values[1] <= 3 * values[0] + 2 / 6 * eps * parts**2
    assert (parts > 20 * (steps + rest).norm()) == (cancelling and bool(hidden))


class Largest(TorchDispatchMode):
    """The most numbers in a tensor that was made new."""

    def __init__(self, *known: Tensor) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, list | tuple) else [result]:
            if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in self.known:
                self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


def largest(form: DirectForm | GramForm, tasks: int, hypernet: Hypernetwork) -> int:
    """Of a step."""
    before = tensors(hypernet, 1)
    anchor, now = form.anchor(before, embeddings(tasks)), moved(before, 0.1)
    held = [value for value in vars(anchor).values() if isinstance(value, Tensor)]
    with Largest(*held, *now.values()) as found:
        form.value_and_grad(now, anchor)
    return found.numbers


@pytest.mark.parametrize("masked", [False, True], ids=["all heads", "own heads"])
def test_a_linear_hypernetwork_forms_nothing_of_tasks_times_chunks(masked):
    tasks, hypernet = 500, Hypernetwork(20 * 300 - 7, 20, (), DIM, 4)
    output_of = torch.full((hypernet.num_weights,), -1)
    output_of[-2 * tasks :] = torch.arange(tasks).repeat_interleave(2)
    heads = torch.arange(tasks).unsqueeze(1) + torch.tensor([0, 1])
    form, before = GramForm(hypernet, HeadMask(output_of, heads) if masked else None), tensors(hypernet, 1)
    e = embeddings(tasks)
    with Largest() as found:
        form.value_and_grad(moved(before, 0.1), form.anchor(before, e), embeddings=e + 0.1)
    assert found.numbers < tasks * hypernet.num_chunks / 5


def test_a_step_forms_no_tensor_larger_than_a_block_of_pairs_or_the_head(monkeypatch):
    hypernet = Hypernetwork(300 * 50 - 9, 300, (20, 12), DIM, 4)
    monkeypatch.setattr(costs, "NUMBERS_AT_ONCE", 2000)
    few, many = (largest(GramForm(hypernet), tasks, hypernet) for tasks in (2, 80))
    assert few == many == 300 * 13
    assert largest(DirectForm(hypernet), 80, hypernet) >= 80 * hypernet.num_weights


def test_the_anchor_is_smaller_than_the_targets():
    hypernet = Hypernetwork(300 * 50, 300, (6,), DIM, 4)
    anchor = GramForm(hypernet).anchor(tensors(hypernet, 1), embeddings(80))
    kept = [value for value in vars(anchor).values() if isinstance(value, Tensor)]
    assert sum(tensor.numel() for tensor in kept) < 80 * hypernet.num_weights / 20


@pytest.mark.parametrize("hidden", [(), (5,)], ids=["linear", "deep"])
def test_a_task_that_has_not_moved_costs_nothing(hidden):
    form = GramForm(hypernetwork(hidden, 6), HeadMask(OUTPUT_OF, HEADS))
    theta = tensors(hypernetwork(hidden, 6), 1)
    value, gradient = form.value_and_grad(theta, form.anchor(theta, embeddings(TASKS)))
    assert value == 0
    assert not any(grad.any() for grad in gradient.values())


def test_an_anchor_does_not_follow_the_parameters_it_was_taken_from():
    for hidden in ((), (5,)):
        hypernet = hypernetwork(hidden, 6)
        form, theta, e = GramForm(hypernet), tensors(hypernet, 1), embeddings(TASKS)
        anchor, now = form.anchor(theta, e), moved(theta, 0.1)
        expected, _ = form.value_and_grad(now, anchor)
        for tensor in (*theta.values(), e):
            tensor.zero_()
        assert form.value_and_grad(now, anchor)[0] == expected > 0


def test_nothing_is_differentiated_through_the_arguments():
    hypernet = hypernetwork((5,), 6)
    form, theta = GramForm(hypernet), {n: p.requires_grad_() for n, p in tensors(hypernet, 1).items()}
    now = {name: (parameter + 0.1) for name, parameter in theta.items()}
    value, gradient = form.value_and_grad(now, form.anchor(theta, embeddings(TASKS)))
    assert not value.requires_grad
    assert not any(grad.requires_grad for grad in gradient.values())
    assert all(parameter.grad is None for parameter in theta.values())


def test_autocast_does_not_reach_it():
    hypernet = hypernetwork((5,), 6)
    theta = tensors(hypernet, 1, torch.float32)
    form, now, e = GramForm(hypernet), moved(theta, 1e-3), embeddings(TASKS, torch.float32)
    expected = form.value_and_grad(now, form.anchor(theta, e))
    with torch.autocast("cpu", torch.bfloat16):
        found = form.value_and_grad(now, form.anchor(theta, e))
    assert torch.equal(found[0], expected[0])


def test_products_are_in_full_float32_and_the_setting_is_put_back(monkeypatch):
    seen, hypernet = [], hypernetwork((5,), 6)
    theta, form = tensors(hypernet, 1, torch.float32), GramForm(hypernet)
    terms = Hypernetwork.first_layer_terms

    def watched(*arguments):
        seen.append(torch.get_float32_matmul_precision())
        return terms(*arguments)

    monkeypatch.setattr(Hypernetwork, "first_layer_terms", watched)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        form.value_and_grad(theta, form.anchor(theta, embeddings(TASKS, torch.float32)))
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == ["highest", "highest"]
