"""The contract of every kind of hypernetwork: shapes, tasks, replicas, gradients, counts, the regulariser's forms."""

import re
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor

from hypercl.config import UserError
from hypercl.config.models import Regularizer
from hypercl.config.models.hypernet import AnyHypernet
from hypercl.config.models.section import Section, kind_of, models_in
from hypercl.hypernets import build_hypernet
from hypercl.hypernets.not_generated import TaskWeights
from hypercl.methods.regularizer import build_regularizer
from hypercl.regularizers import HeadMask, Point
from hypercl.testing import MethodContract

CHUNKS: dict[str, Any] = {"hidden": (4,), "task_embedding": 3, "chunk_embedding": 2, "activation": "tanh"}
IMAGES: dict[str, Any] = {"chunk_image": (2, 3), "filters": (4, 2), "attention": (2,), "kernel": 3}
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "chunked": {"": CHUNKS | {"chunk_size": 7}, "linear": CHUNKS | {"hidden": (), "chunk_size": 7}},
    "task_chunked": {
        "": CHUNKS | {"chunk_size": 7},
        "linear": CHUNKS | {"hidden": (), "chunk_size": 7},
        "noisy": CHUNKS | {"chunk_size": 60, "noise": 2, "dropout": 0.3, "normalization": "layer"},
    },
    "structured": {
        "": CHUNKS | {"chunk_size": 12},
        "linear": CHUNKS | {"hidden": (), "chunk_size": 6},
        "noisy": CHUNKS | {"chunk_size": 60, "noise": 2, "dropout": 0.3, "normalization": "layer"},
        "hyperfan": CHUNKS | {"chunk_size": 12, "init": {"name": "hyperfan_in"}},
    },
    "full": {"": {"hidden": (4,), "task_embedding": 3}},
    "perturbed": {"": CHUNKS | {"chunk_size": 7, "perturbation": 0.5}},
    "partial": {
        "shared": CHUNKS | {"chunk_size": 7, "generated": ("0", "norm.bias")},
        "frozen": CHUNKS | {"chunk_size": 7, "generated": ("head",), "others": "frozen"},
        "task": CHUNKS | {"chunk_size": 7, "generated": ("1.*",), "others": "task"},
        "own chunks": CHUNKS | {"hidden": (), "chunk_size": 7, "generated": ("0", "1"), "own_chunks": True},
    },
    "self_attention": {
        "": CHUNKS
        | {"hidden": (), "chunk_image": (6, 5), "filters": (9, 3, 2), "attention": (1, 2), "kernel": 3}
        | {"embedding_scale": 0.1},
        "noisy": CHUNKS
        | {"chunk_image": (2, 9, 2), "filters": (2, 3), "attention": (), "kernel": 5, "noise": 2, "dropout": 0.3},
    },
    "modulation": {
        "shared": {"hidden": (4,), "task_embedding": 3},
        "task": {"hidden": (), "task_embedding": 3, "others": "task"},
    },
    "composed": {
        "": {
            "parts": (
                {"weights": ("norm.*", "0.modulation"), "net": "shared"},
                {"weights": ("1",), "net": {"name": "full", "hidden": (), "task_embedding": 2, "noise": 1}},
                {"weights": ("0.bias",), "net": "task"},
                {"weights": ("head.bias",), "net": {"name": "self_attention", **CHUNKS, **IMAGES}},
                {"weights": ("head", "0.weight"), "net": {"name": "structured", **CHUNKS, "chunk_size": 6}},
            )
        }
    },
}
"""Of each kind, by a label."""
CASES = [pytest.param(name, label, id=f"{name} {label}") for name, kinds in SETTINGS.items() for label in kinds]
FORMS = [
    pytest.param(name, label, form, id=f"{name} {label} {form}")
    for name, kinds in SETTINGS.items()
    for label in kinds
    for form in ("gram", "direct")
    if (name, form) != ("self_attention", "gram")
]
"""Where the last layer is a convolution, there is the direct form alone."""
MODELS: dict[str, type[Section]] = {kind_of(model): model for model in models_in(AnyHypernet)}

SHAPES = (
    ("0.weight", (4, 3)),
    ("0.bias", (4,)),
    ("0.modulation.gain", (4,)),
    ("0.modulation.shift", (4,)),
    ("norm.weight", (4,)),
    ("norm.bias", (4,)),
    ("1.weight", (6, 3)),
    ("head.weight", (4, 6)),
    ("head.bias", (4,)),
)
NUM_WEIGHTS = sum(prod(shape) for _, shape in SHAPES)
OUTPUT_OF = torch.cat([torch.full((NUM_WEIGHTS - 28,), -1), torch.arange(4).repeat_interleave(6), torch.arange(4)])
HEADS = torch.tensor([[0, 1], [1, 3], [3, 4]])


def built(name: str, label: str, num_tasks: int = 3) -> Any:
    config: Any = MODELS[name].model_validate(SETTINGS[name][label])
    return build_hypernet(config, NUM_WEIGHTS, num_tasks, SHAPES, own_weights)


def own_weights(seed: int) -> Tensor:
    """What the target's module would begin with."""
    return torch.randn(NUM_WEIGHTS, generator=generator(seed))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parameters(net: Any, seed: int) -> dict[str, Tensor]:
    draws = generator(seed)
    return {name: torch.randn(shape, generator=draws).double() for name, shape in net.shapes.items()}


def embeddings(net: Any, tasks: int, seed: int = 3) -> Tensor:
    return torch.randn(tasks, net.embedding_size, generator=generator(seed)).double()


def same_for_all_tasks(net: Any) -> Tensor:
    """Which weights are the same for all tasks."""
    same = torch.zeros(NUM_WEIGHTS, dtype=torch.bool)
    for part in getattr(net, "parts", ()):
        for each in part.weights if not part.net.embedding_size else ():
            same[each] = True
    return same


def trained_on_their_task(net: Any) -> Tensor:
    """Which columns of the embeddings are weights of a task's own, which no other task's steps move."""
    own = torch.zeros(net.embedding_size, dtype=torch.bool)
    for part in getattr(net, "parts", ()):
        if isinstance(part.net, TaskWeights):
            own[part.columns] = True
    return own


def drawn(net: Any, tasks: int, seed: int = 5) -> dict[str, Tensor]:
    return {name: value.double() for name, value in net.draw(tasks, generator(seed)).items()}


def test_every_kind_keeps_the_contract() -> None:
    assert set(SETTINGS) == set(MODELS) - {"none"}


@pytest.mark.parametrize(("name", "label"), CASES)
class TestEveryKind:
    def test_counts_the_parameters_that_it_draws(self, name: str, label: str) -> None:
        net = built(name, label)
        theta, each = net.init(generator(1)), net.init_embeddings(2, generator(2))
        assert {key: tuple(value.shape) for key, value in theta.items()} == net.shapes
        assert sum(value.numel() for value in theta.values()) == net.num_parameters
        assert each.shape == (2, net.embedding_size)
        assert net.random == bool(net.draw(1, generator(1)))

    def test_generates_every_weight_of_any_number_of_tasks(self, name: str, label: str) -> None:
        net = built(name, label)
        theta, e = parameters(net, 1), embeddings(net, 5)
        weights = net(theta, e)
        assert weights.shape == (5, NUM_WEIGHTS)
        assert torch.equal(weights.std(0) > 0, ~same_for_all_tasks(net))
        assert len(weights[0].unique()) == NUM_WEIGHTS
        for task in range(5):
            torch.testing.assert_close(net(theta, e[task : task + 1])[0], weights[task])

    def test_replicas_equal_separate_passes(self, name: str, label: str) -> None:
        net = built(name, label)
        thetas, e = [parameters(net, seed) for seed in (1, 2)], torch.stack([embeddings(net, 3, n) for n in (3, 4)])
        draws = [drawn(net, 3, seed) for seed in (5, 6)]
        both = net(
            {key: torch.stack([theta[key] for theta in thetas]) for key in thetas[0]},
            e,
            {key: torch.stack([draw[key] for draw in draws]) for key in draws[0]},
        )
        for index in range(2):
            torch.testing.assert_close(both[index], net(thetas[index], e[index], draws[index]))

    @pytest.mark.parametrize("tasks", [1, 3])
    def test_takes_a_gradient_back_as_autograd_does(self, name: str, label: str, tasks: int) -> None:
        net = built(name, label)
        theta = {key: value.requires_grad_() for key, value in parameters(net, 1).items()}
        e = embeddings(net, tasks).requires_grad_()
        gradient = torch.randn(tasks, NUM_WEIGHTS, generator=generator(7)).double()
        expected = net(theta, e, drawn(net, tasks))
        weights, back = net.generate(theta, e, drawn(net, tasks))
        torch.testing.assert_close(weights, expected.detach())
        of_theta, of_embeddings = back(gradient)
        *grads, own = torch.autograd.grad(expected, [*theta.values(), e], gradient)
        assert list(of_theta) == list(theta)
        torch.testing.assert_close(list(of_theta.values()), grads)
        torch.testing.assert_close(of_embeddings, own)

    @pytest.mark.parametrize("kind", ["first_order", "value_preserving"])
    def test_has_regularisers_of_the_step(self, name: str, label: str, kind: Any) -> None:
        net = built(name, label)
        before, e = parameters(net, 1), embeddings(net, 3)
        names, step = list(before), {key: 0.1 * value for key, value in parameters(net, 2).items()}

        def weights(at: dict[str, Tensor], share: float) -> Tensor:
            return net({key: value + share * step[key] for key, value in at.items()}, e)

        def value_at(at: dict[str, Tensor]) -> Tensor:
            if kind == "first_order":  # the derivative along the step, by differences
                moved = (weights(at, 1e-4) - weights(at, -1e-4)) / 2e-4
                moved = (4 * moved - (weights(at, 2e-4) - weights(at, -2e-4)) / 4e-4) / 3
            else:
                moved = weights(at, 1.0) - weights(at, 0.0)
            return moved.square().sum() / 3

        leaves = {key: tensor.clone().requires_grad_() for key, tensor in before.items()}
        value = value_at(leaves)
        grads = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
        regularizer: Any = build_regularizer(net, None, Regularizer(kind=kind))
        ahead, gradient = (
            {key: before[key] + step[key] for key in names},
            {key: torch.zeros_like(before[key]) for key in names},
        )
        anchor = regularizer.anchor(before, e)
        found = regularizer.add_gradient_(gradient, ahead, anchor, origin=Point(before, None))
        exact = 1e-8 if kind == "first_order" else 1e-9
        torch.testing.assert_close(found, value.detach(), rtol=exact, atol=exact)
        torch.testing.assert_close(list(gradient.values()), list(grads), rtol=exact, atol=exact)


def test_weights_that_are_not_generated_start_as_the_targets_own() -> None:
    shared, frozen, task = (built("partial", label) for label in ("shared", "frozen", "task"))
    theta = shared.init(generator(4))
    torch.testing.assert_close(theta["1.head"].squeeze(1), shared.parts[1].of(own_weights(4)))
    weights = [frozen(frozen.init(generator(seed)), torch.zeros(1, frozen.embedding_size))[0] for seed in (1, 2)]
    constant = frozen.parts[1].of(own_weights(0))
    assert all(torch.equal(frozen.parts[1].of(each), constant) for each in weights)
    first, second = task.init_embeddings(2, generator(4))[:, task.parts[1].columns]
    assert not torch.equal(first, second)
    assert first.std() > 0.5


def test_the_chunk_size_of_several_parts_is_that_of_a_generated_one() -> None:
    assert built("partial", "frozen").chunk_size == 7


def test_layers_that_differ_by_a_number_are_offered_as_one_pattern() -> None:
    shapes = [(f"blocks.{number}.{layer}.weight", (2, 2)) for number in range(12) for layer in ("conv", "norm")]
    config: Any = MODELS["partial"].model_validate({"generated": ["blocks.3.convs"]})
    with pytest.raises(UserError) as refusal:
        build_hypernet(config, 96, 3, shapes)
    assert str(refusal.value).endswith(
        "allowed: blocks.*.conv, blocks.*.norm\n    fix:     did you mean 'blocks.*.conv'?"
    )


def test_a_perturbed_hypernetwork_adds_noise_in_training_alone() -> None:
    net = built("perturbed", "")
    theta, e = parameters(net, 1), embeddings(net, 200)
    noise = net(theta, e, drawn(net, 200)) - net(theta, e)
    assert noise.std().item() == pytest.approx(0.5, rel=0.05)
    assert noise.mean().item() == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([("2", "full"), ("*", "full")], "'2' names no layer.*allowed: 0, 0.modulation, norm, 1, head"),
        ([("head", "full")], "no part names the weight 0.weight"),
        ([("*", "full"), ("head", "full")], r"names all weights of \['head'\]"),
    ],
)
def test_parts_that_do_not_fit_the_target_are_refused(parts: list[tuple[str, str]], words: str) -> None:
    content = {"parts": [{"weights": [pattern], "net": net} for pattern, net in parts]}
    config: Any = MODELS["composed"].model_validate(content)
    with pytest.raises(UserError, match=re.compile(words, re.DOTALL)):
        build_hypernet(config, NUM_WEIGHTS, 3, SHAPES)


def test_a_partial_hypernetwork_that_leaves_nothing_out_is_refused() -> None:
    config: Any = MODELS["partial"].model_validate({"generated": ["*"]})
    with pytest.raises(UserError, match=r"hypernet.generated: this names all layers"):
        build_hypernet(config, NUM_WEIGHTS, 3, SHAPES)


SMALL = {"hidden": [6], "chunk_size": 200, "task_embedding": 4, "chunk_embedding": 3}
PARTS = [{"weights": ["layers.0.bias"], "net": "shared"}, {"weights": ["layers.0"], "net": "frozen"}]
_HYPERNETS: dict[str, dict[str, Any]] = {
    "task_chunked": SMALL,
    "structured": SMALL,
    "partial": SMALL | {"generated": ["layers.0"], "others": "task"},
    "modulation": {"hidden": [6], "task_embedding": 4},
    "self_attention": {"chunk_image": [10, 20], "filters": [8, 4], "attention": [1], "kernel": 3, "task_embedding": 4},
    "composed": {"parts": [*PARTS, {"weights": ["*"], "net": {"name": "perturbed", **SMALL}}]},
}
for _name, _settings in _HYPERNETS.items():
    _sections = {"hypernet": {"name": _name, **_settings}}
    _contract = {"method": {"name": "hnet", "beta": 0.5}, "sections": _sections, "__module__": __name__}
    globals()[f"Test_{_name}"] = type(f"Test_{_name}", (MethodContract,), _contract)


@pytest.mark.parametrize(("name", "label", "form"), FORMS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("tasks", "moving"), [(None, True), (torch.tensor([2, 0]), False)])
def test_is_regularised_as_autograd_says(
    name: str, label: str, form: Any, masked: bool, tasks: Tensor | None, moving: bool
) -> None:
    net = built(name, label)
    before, e = parameters(net, 1), embeddings(net, 3)
    change = parameters(net, 2)
    now = {key: (value + 0.1 * change[key]).requires_grad_() for key, value in before.items()}
    step = 0.1 * embeddings(net, 3, 9) * ~trained_on_their_task(net)
    at = (e + step if moving else e.clone()).requires_grad_()
    subset = range(3) if tasks is None else tasks
    residual = (net(now, at) - net(before, e))[subset]
    if masked:
        first, end = HEADS[subset, :1], HEADS[subset, 1:]
        residual = residual * ((OUTPUT_OF < 0) | (first <= OUTPUT_OF) & (end > OUTPUT_OF))
    value = residual.square().sum() / len(subset)
    *grads, of_embeddings = torch.autograd.grad(value, [*now.values(), at])

    mask = HeadMask(OUTPUT_OF, HEADS) if masked else None
    regularizer: Any = build_regularizer(net, mask, Regularizer(form=form))
    gradient = {key: torch.ones_like(shifted) for key, shifted in now.items()}
    options: dict[str, Any] = {"tasks": tasks}
    if moving:
        options["embeddings"], gradient["embeddings"] = at.detach(), torch.zeros_like(e)
    detached = {key: shifted.detach() for key, shifted in now.items()}
    found = regularizer.add_gradient_(gradient, detached, regularizer.anchor(before, e), 0.5, **options)
    torch.testing.assert_close(found, value.detach(), rtol=1e-9, atol=1e-9)
    for key, grad in zip(now, grads, strict=True):
        torch.testing.assert_close(gradient[key], 1 + 0.5 * grad, rtol=1e-9, atol=1e-9)
    if moving:
        torch.testing.assert_close(gradient["embeddings"], 0.5 * of_embeddings, rtol=1e-9, atol=1e-9)
