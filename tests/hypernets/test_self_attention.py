"""Chunks as images: sizes of feature maps, self-attention and transposed convolutions against plain computations."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.nn import functional

from hypercl.config.models import Normal, SelfAttentionHypernet
from hypercl.hypernets import SelfAttentionHypernetwork, build_hypernet
from hypercl.hypernets.self_attention import map_sizes


def built(num_weights: int = 70, **options: Any) -> SelfAttentionHypernetwork:
    config = SelfAttentionHypernet.model_validate(
        {"chunk_image": (7, 5), "filters": (16, 3), "attention": (1,), "kernel": 3, "task_embedding": 4}
        | {"chunk_embedding": 2, "activation": "tanh", **options}
    )
    net = build_hypernet(config, num_weights, num_tasks=3)
    assert isinstance(net, SelfAttentionHypernetwork)
    return net


def random_theta(net: SelfAttentionHypernetwork) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)
    return {name: torch.randn(shape, generator=draws).double() for name, shape in net.shapes.items()}


@pytest.mark.parametrize(
    ("image", "layers", "sizes"),
    [
        ((36, 36), 4, [(3, 3), (5, 5), (9, 9), (18, 18), (36, 36)]),
        ((11, 21), 2, [(3, 6), (6, 11), (11, 21)]),
        ((4, 9), 3, [(4, 3), (4, 3), (4, 5), (4, 9)]),
    ],
)
def test_each_layer_doubles_the_sides_that_are_then_larger_than_4(image: Any, layers: int, sizes: Any) -> None:
    assert map_sizes(image, layers) == sizes


def test_weights_are_the_pixels_of_transposed_convolutions_with_attention() -> None:
    net = built()
    theta, e = random_theta(net), torch.randn(1, 4, generator=torch.Generator().manual_seed(2)).double()
    images: list[torch.Tensor] = []
    for chunk in theta["chunks"]:
        inputs = torch.cat([e[0], chunk, torch.ones(1).double()])
        maps = (theta["head"] @ inputs).tanh().view(16, 4, 3)
        pixels, attended = maps.flatten(1), torch.zeros(16, 12).double()
        query, key, value = (theta[f"attention.1.{part}.weight"] @ pixels for part in ("query", "key", "value"))
        for place in range(12):
            shares = torch.softmax(torch.stack([key[:, other] @ query[:, place] for other in range(12)]), 0)
            attended[:, place] = value @ shares
        maps = maps + theta["attention.1.gamma"] * attended.view_as(maps)
        for layer, (height, width) in ((2, (4, 3)), (3, (7, 5))):
            weight, bias = theta[f"convolution.{layer}.weight"], theta[f"convolution.{layer}.bias"]
            stride = 1 if layer == 2 else 2
            full = functional.conv_transpose2d(maps[None], weight, bias, stride)[0]
            maps = full[:, 1 : 1 + height, 1 : 1 + width]
            maps = maps.tanh() if layer == 2 else maps
        images.append(maps.flatten())
    torch.testing.assert_close(net(theta, e)[0], torch.cat(images)[:70])


def test_attention_begins_without_effect() -> None:
    net, plain = built(), built(attention=())
    theta = net.init(torch.Generator().manual_seed(3))
    e = torch.randn(2, 4, generator=torch.Generator().manual_seed(4))
    assert torch.equal(net(theta, e), plain({name: theta[name] for name in plain.shapes}, e))
    theta["attention.1.gamma"] += 1
    assert not torch.allclose(net(theta, e), plain(theta, e))


def test_initial_weights_are_as_the_section_init_says() -> None:
    net = built(filters=(64, 64)).initialized(1.0, Normal(std=0.5))
    theta = net.init(torch.Generator().manual_seed(5))
    assert theta["convolution.2.weight"].std().item() == pytest.approx(0.5, rel=0.05)
    assert not theta["convolution.2.bias"].any()


def test_the_network_of_the_authors_code_has_five_layers() -> None:
    config = SelfAttentionHypernet(task_embedding=32, chunk_embedding=32)
    net = build_hypernet(config, 468_540, num_tasks=6)
    channels = (128, 512, 256, 128, 1)
    convolutions = sum(25 * before * after + after for before, after in pairwise(channels))
    attention = sum(2 * (n // 8) * n + n * n + 1 for n in (128, 256))
    chunks = -(-468_540 // 36**2)
    assert net.num_parameters == convolutions + attention + 128 * 9 * 65 + chunks * 32
