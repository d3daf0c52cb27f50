"""Agreement with hypnettorch, weights copied over."""

import pytest
import torch
from hypnettorch.hnets.chunked_mlp_hnet import ChunkedHMLP
from hypnettorch.hnets.mlp_hnet import HMLP

from hypercl.hypernets import Hypernetwork

SHAPES = [[9, 8], [9], [4, 9], [4]]
NUM_WEIGHTS = sum(torch.Size(shape).numel() for shape in SHAPES)


def with_one_head(layers):
    """The head's weight and bias, the last two, as one parameter."""
    return [*layers[:-2], torch.cat([layers[-2], layers[-1].unsqueeze(1)], dim=1)]


@pytest.mark.parametrize("hidden", [(), (6,), (6, 5)], ids=str)
@pytest.mark.parametrize("chunk_size", [20, 29, NUM_WEIGHTS])
def test_a_chunked_hypernetwork_generates_what_hypnettorch_generates(hidden, chunk_size):
    torch.manual_seed(1)
    theirs = ChunkedHMLP(
        SHAPES, chunk_size, chunk_emb_size=3, layers=hidden, cond_in_size=4, num_cond_embs=3, verbose=False
    )
    ours = Hypernetwork(NUM_WEIGHTS, chunk_size, hidden, task_embedding=4, chunk_embedding=3)
    embeddings = torch.stack([embedding.detach() for embedding in theirs.conditional_params])
    *layers, chunks = [parameter.detach().clone() for parameter in theirs.unconditional_params]
    layers[0] = torch.cat([layers[0][:, 3:], layers[0][:, :3]], dim=1)  # its input is [chunk, task], ours [task, chunk]
    theta = dict(zip(ours.shapes, [*with_one_head(layers), chunks], strict=True))
    expected = theirs(cond_id=[0, 1, 2], ret_format="flattened")
    torch.testing.assert_close(ours(theta, embeddings), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("hidden", [(), (6,), (6, 5)], ids=str)
def test_a_full_hypernetwork_generates_what_hypnettorch_generates(hidden):
    torch.manual_seed(1)
    theirs = HMLP(SHAPES, uncond_in_size=0, layers=hidden, cond_in_size=4, num_cond_embs=3, verbose=False)
    ours = Hypernetwork(NUM_WEIGHTS, NUM_WEIGHTS, hidden, task_embedding=4)
    embeddings = torch.stack([embedding.detach() for embedding in theirs.conditional_params])
    theta = dict(zip(ours.shapes, with_one_head([p.detach() for p in theirs.unconditional_params]), strict=True))
    expected = theirs(cond_id=[0, 1, 2], ret_format="flattened")
    torch.testing.assert_close(ours(theta, embeddings), expected, rtol=1e-5, atol=1e-5)
