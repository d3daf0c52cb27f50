"""The Fisher information, by every way, is the mean of the squares of per-sample gradients."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from hypercl.regularizers import LayerByLayer, diagonal_fisher, layer_by_layer, quickest
from hypercl.regularizers.quadratic import Way, one_by_one, together

Likelihood = Callable[[Tensor, Tensor, Tensor], Tensor]
SAMPLES = 12


class Residual(nn.Module):
    """Strided, grouped and padded convolutions, normalisation, an addition, an activation in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.mixed = nn.Conv2d(4, 4, 3, stride=2, padding="valid", groups=2, bias=False)
        self.shortcut = nn.Conv2d(4, 4, 3, stride=2, dilation=1, padding_mode="reflect")
        self.head = nn.Linear(36, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        stem = self.norm(self.stem(inputs)).relu_()
        return self.head((self.mixed(stem) + self.shortcut(stem)).relu_().flatten(1))


class Tied(nn.Module):
    """A layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.turn, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(torch.tanh(self.turn(torch.tanh(self.turn(inputs.flatten(1))))))


class Branching(nn.Module):
    """Asks a number of the data, which torch.vmap refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.head = nn.Parameter(torch.ones(6)), nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        scaled = inputs.flatten(1) * self.scale
        return self.head(scaled if scaled.detach().sum().item() > 0 else -scaled)


def dense() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(5, 3)
    )


def layer_norm() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 3))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], object]] = {
    "dense": (dense, (6,), LayerByLayer),
    "residual": (Residual, (2, 8, 8), LayerByLayer),
    "tied": (Tied, (6,), together),
    "layer norm": (layer_norm, (6,), together),
    "branching": (Branching, (6,), one_by_one),
}


def network(name: str) -> tuple[Likelihood, LayerByLayer | None, Tensor, Tensor, Tensor]:
    """Its likelihood and layers, weights, and inputs and labels, in float64."""
    torch.manual_seed(3)
    make, shape, _ = NETWORKS[name]
    module = make().double()
    module(torch.rand(20, *shape, dtype=torch.float64))  # statistics that are not 0 and 1
    module.eval()
    shapes = {key: value.shape for key, value in module.named_parameters()}

    def likelihood(weights: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
        parts = weights.split([each.numel() for each in shapes.values()])
        state = {key: part.view(size) for (key, size), part in zip(shapes.items(), parts, strict=True)}
        outputs: Tensor = functional_call(module, state, (inputs,))
        return cross_entropy(outputs, labels, reduction="none")

    weights = torch.cat([each.detach().flatten() for each in module.parameters()])
    inputs, labels = torch.randn(SAMPLES, *shape, dtype=torch.float64), torch.arange(SAMPLES) % 3
    return likelihood, layer_by_layer(module, shapes), weights, inputs, labels


def looped(likelihood: Likelihood, weights: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
    total, weights = torch.zeros_like(weights), weights.clone().requires_grad_()
    for sample in range(len(inputs)):
        loss = likelihood(weights, inputs[sample : sample + 1], labels[sample : sample + 1])
        total += torch.autograd.grad(loss[0], weights)[0] ** 2
    return total / len(inputs)


@pytest.mark.parametrize("name", NETWORKS)
def test_is_the_mean_of_squared_gradients_taken_one_by_one(name: str) -> None:
    likelihood, layers, weights, inputs, labels = network(name)
    way = quickest(likelihood, layers, weights, inputs[:3])
    batches = zip(inputs.split(5), labels.split(5), strict=True)
    found = diagonal_fisher(likelihood, weights, batches, way)
    assert found.max() > 0
    torch.testing.assert_close(found, looped(likelihood, weights, inputs, labels), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", NETWORKS)
def test_takes_the_quickest_way_that_is_right(name: str) -> None:
    likelihood, layers, weights, inputs, _ = network(name)
    wanted = NETWORKS[name][2]
    way = quickest(likelihood, layers, weights, inputs[:3])
    assert isinstance(way, LayerByLayer) if wanted is LayerByLayer else way is wanted


@pytest.mark.parametrize("name", ["dense", "residual", "tied", "layer norm"])
@pytest.mark.parametrize("room", [1, 2000])
def test_samples_in_pieces_give_the_same_as_all_at_once(name: str, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    likelihood, layers, weights, inputs, labels = network(name)
    ways: list[Way] = [together] if layers is None or name == "tied" else [together, layers]
    whole = [way(likelihood, weights, inputs, labels) for way in ways]
    monkeypatch.setattr("hypercl.regularizers.quadratic.NUMBERS_AT_ONCE", room)
    monkeypatch.setattr("hypercl.regularizers.quadratic.PIECE", room)
    for way, expected in zip(ways, whole, strict=True):
        torch.testing.assert_close(way(likelihood, weights, inputs, labels), expected, rtol=1e-10, atol=1e-14)


def test_of_logistic_regression_is_what_its_formula_says() -> None:
    """With the labels drawn as the model says, F_w = mean p (1 - p) x^2; here every label is taken, weighted so."""
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(9, 4, generator=draw, dtype=torch.float64)
    weights = torch.randn(4, generator=draw, dtype=torch.float64)

    def likelihood(weights: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
        logits = inputs @ weights
        return cross_entropy(torch.stack([torch.zeros_like(logits), logits], 1), labels, reduction="none")

    share = torch.sigmoid(inputs @ weights)
    for label in (0, 1):
        labels = torch.full((9,), label)
        found = diagonal_fisher(likelihood, weights, [(inputs, labels)], together)
        expected = ((share - label) ** 2).unsqueeze(1) * inputs**2
        torch.testing.assert_close(found, expected.mean(0))


def test_what_cannot_compute_one_sample_raises() -> None:
    module = nn.BatchNorm1d(4, track_running_stats=False)

    def likelihood(weights: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(functional_call(module, {"weight": weights}, (inputs,)), labels, reduction="none")

    with pytest.raises(ValueError, match="more than 1 value"):
        quickest(likelihood, None, torch.ones(4), torch.rand(3, 4))
