"""Targets that read sequences, against torch's own layers; replicas and gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hypercl.config import ConfigError, UserError, loads
from hypercl.config.models import LSTM, Transformer
from hypercl.targets import GeneratedModel, build_target


def lstm(predicts: Any = "last", shape: tuple[int, ...] = (6, 3), hidden: tuple[int, ...] = (5, 4)) -> GeneratedModel:
    return build_target(LSTM(hidden=hidden, predicts=predicts), shape, 7)


def outputs(model: GeneratedModel, inputs: Tensor, weights: Tensor | None = None) -> Tensor:
    weights = model.initial_weights() if weights is None else weights
    return model(weights, model.initial_buffers(), inputs, training=False)[0]


def test_an_lstm_computes_what_torchs_own_does() -> None:
    model = lstm("each_step")
    module: Any = model.module
    inputs = torch.randn(2, 6, 3)
    states = inputs
    for cell, units in zip(module.cells, (5, 4), strict=True):
        own = nn.LSTM(states.shape[-1], units, batch_first=True)
        order = torch.cat([torch.arange(part * units, (part + 1) * units) for part in (0, 1, 3, 2)])  # i, f, g, o
        with torch.no_grad():
            own.weight_ih_l0.copy_(cell.weight[order, : states.shape[-1]])
            own.weight_hh_l0.copy_(cell.weight[order, states.shape[-1] :])
            own.bias_ih_l0.copy_(cell.bias[order])
            own.bias_hh_l0.zero_()
        states = own(states)[0]
    expected = functional.linear(states, module.head.weight, module.head.bias)
    torch.testing.assert_close(outputs(model, inputs), expected)
    last = lstm("last")
    torch.testing.assert_close(outputs(last, inputs, model.initial_weights()), expected[:, -1])


def test_an_lstm_reads_an_image_row_by_row() -> None:
    model, images = lstm(shape=(2, 6, 3)), torch.randn(4, 2, 6, 3)
    rows = torch.stack([torch.cat([images[:, 0, row], images[:, 1, row]], -1) for row in range(6)], 1)
    same = lstm(shape=(6, 6))
    torch.testing.assert_close(outputs(model, images), outputs(same, rows, model.initial_weights()))


def test_forget_biases_begin_at_1() -> None:
    module: Any = lstm().module
    assert module.cells[0].bias[5:10].tolist() == [1.0] * 5


@pytest.mark.parametrize("config", [LSTM(hidden=(5,)), LSTM(hidden=(5,), predicts="each_step"), Transformer(width=8)])
@pytest.mark.parametrize("shared", [True, False])
def test_replicas_equal_separate_passes(config: Any, shared: bool) -> None:
    model = build_target(config, (4, 3), 5)
    weights = torch.stack([model.initial_weights() + 0.1 * torch.randn(model.num_weights) for _ in range(3)])
    inputs = torch.randn(2, 4, 3) if shared else torch.randn(3, 2, 4, 3)
    together, _ = model.bundle(weights, {}, inputs, training=True)
    for index in range(3):
        alone, _ = model(weights[index], {}, inputs if shared else inputs[index], training=True)
        torch.testing.assert_close(together[index], alone)
    assert model.way(torch.device("cpu"), training=True) == ("stacked" if isinstance(config, LSTM) else "vmap")


def test_a_transformer_computes_what_torchs_own_does() -> None:
    model = build_target(Transformer(width=8, heads=2, layers=2, patch=2), (3, 4, 6), 5)
    module: Any = model.module
    images = torch.randn(2, 3, 4, 6)
    tokens = functional.unfold(images, 2, stride=2).mT  # patches row by row, each channel by channel
    tokens = module.embed(tokens) + module.positions
    for block in module.blocks:
        own = nn.TransformerEncoderLayer(8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True)
        pairs = (
            (own.self_attn.in_proj_weight, block.attention.weight),
            (own.self_attn.in_proj_bias, block.attention.bias),
            (own.self_attn.out_proj.weight, block.mixed.weight),
            (own.self_attn.out_proj.bias, block.mixed.bias),
            (own.linear1.weight, block.hidden.weight),
            (own.linear1.bias, block.hidden.bias),
            (own.linear2.weight, block.out.weight),
            (own.linear2.bias, block.out.bias),
        )
        with torch.no_grad():
            for into, values in pairs:
                into.copy_(values)
        tokens = own(tokens)
    expected = module.head(module.norm(tokens).mean(1))
    torch.testing.assert_close(outputs(model, images), expected, rtol=1e-4, atol=1e-5)


def test_each_step_has_outputs_and_the_heads_belong_to_its_last_layer() -> None:
    model = lstm("each_step")
    assert (model.output_steps, lstm().output_steps) == (6, 0)
    assert outputs(model, torch.randn(2, 6, 3)).shape == (2, 6, 7)
    assert (model.output_of() >= 0).sum() == 7 * 5


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="reads sequences"):
        lstm(shape=(3,))
    with pytest.raises(UserError, match=r"target.patch: 4 does not divide images of 6 x 8"):
        build_target(Transformer(), (1, 6, 8), 2)
    with pytest.raises(ConfigError, match="no multiple of heads"):
        loads("experiment: {tasks: split_digits, target: {name: transformer, width: 30}}", "x")
