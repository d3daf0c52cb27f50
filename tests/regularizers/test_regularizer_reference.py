"""Agreement of value and gradient with hypnettorch, weights copied over."""

import pytest
import torch
from hypnettorch.hnets.chunked_mlp_hnet import ChunkedHMLP
from hypnettorch.hnets.mlp_hnet import HMLP
from hypnettorch.mnets.mlp import MLP as TheirMLP
from hypnettorch.utils.hnet_regularizer import calc_fix_target_reg, get_current_targets

from hypercl.config.models.target import MLP
from hypercl.hypernets import Hypernetwork
from hypercl.regularizers import DirectForm, HeadMask
from hypercl.targets import build_target

TASKS, CHUNK_EMBEDDING = 3, 3


def task_first(weight):
    """hypnettorch reads [chunk embedding, task embedding], we [task embedding, chunk embedding]."""
    return torch.cat([weight[:, CHUNK_EMBEDDING:], weight[:, :CHUNK_EMBEDDING]], dim=1)


@pytest.mark.parametrize("masked", [False, True], ids=["all heads", "own heads"])
@pytest.mark.parametrize("lookahead", [False, True], ids=["here", "look-ahead"])
@pytest.mark.parametrize("chunked", [False, True], ids=["full", "chunked"])
def test_value_and_gradient_equal_those_of_hypnettorch(chunked, lookahead, masked):
    torch.manual_seed(1)
    target = build_target(MLP(hidden=(6,)), (1, 2, 4), num_outputs=2 * TASKS)
    main = TheirMLP(n_in=8, n_out=2 * TASKS, hidden_layers=(6,), verbose=False)
    keywords = {"layers": (7, 5), "cond_in_size": 4, "num_cond_embs": TASKS, "verbose": False}
    if chunked:
        theirs = ChunkedHMLP(main.param_shapes, 25, chunk_emb_size=CHUNK_EMBEDDING, **keywords)
    else:
        theirs = HMLP(main.param_shapes, **keywords)
    ours = Hypernetwork(
        target.num_weights,
        chunk_size=25 if chunked else target.num_weights,
        hidden=(7, 5),
        task_embedding=4,
        chunk_embedding=CHUNK_EMBEDDING if chunked else 0,
    )

    def copied(parameters):
        first, *others = [parameter.detach().clone() for parameter in parameters]
        chunks = [others.pop()] if chunked else []
        *others, weight, bias = others
        layers = [task_first(first) if chunked else first, *others, torch.cat([weight, bias.unsqueeze(1)], dim=1)]
        return dict(zip(ours.shapes, [*layers, *chunks], strict=True))

    before = copied(theirs.unconditional_params)
    embeddings = torch.stack([embedding.detach() for embedding in theirs.conditional_params])
    targets = get_current_targets(TASKS, theirs)
    with torch.no_grad():
        for parameter in theirs.unconditional_params:
            parameter += 0.1 * torch.randn_like(parameter)
    steps = [0.05 * torch.randn_like(p) if lookahead else torch.zeros_like(p) for p in theirs.unconditional_params]
    heads = [[2 * task, 2 * task + 1] for task in range(TASKS)]
    expected = calc_fix_target_reg(
        theirs,
        TASKS,
        targets=targets,
        dTheta=steps,
        mnet=main if masked else None,
        inds_of_out_heads=heads if masked else None,
    )
    gradients = torch.autograd.grad(expected, list(theirs.unconditional_params))

    mask = HeadMask(target.output_of(), torch.tensor([[2 * t, 2 * t + 2] for t in range(TASKS)])) if masked else None
    form = DirectForm(ours, mask)
    shifted = copied([p + step for p, step in zip(theirs.unconditional_params, steps, strict=True)])
    value, gradient = form.value_and_grad(shifted, form.anchor(before, embeddings))
    torch.testing.assert_close(value, expected.detach(), rtol=1e-5, atol=1e-5)
    for ours_of, theirs_of in zip(gradient.values(), copied(gradients).values(), strict=True):
        torch.testing.assert_close(ours_of, theirs_of, rtol=1e-5, atol=1e-5)
    assert value > 0
