"""The autoencoder's loss and samples against plain computations."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy

from hypercl.config.models.target import MLP
from hypercl.methods.autoencoder import VariationalAutoencoder, divergence
from hypercl.targets import build_target

LATENT, SIZE, SHAPE = 3, 2, (1, 4, 4)


@pytest.fixture
def autoencoder() -> VariationalAutoencoder:
    encoder = build_target(MLP(hidden=(7,)), SHAPE, 2 * LATENT)
    return VariationalAutoencoder(encoder, build_target(MLP(hidden=(6, 5)), (LATENT + SIZE,), 16))


def drawn(*shapes: tuple[int, ...]) -> list[Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=draw, dtype=torch.float64) / 3 for shape in shapes]


def test_the_loss_is_cross_entropy_and_divergence_by_pixels(autoencoder: VariationalAutoencoder) -> None:
    encoder, decoder = autoencoder.encoder, autoencoder.decoder
    of_encoder, of_decoder, noise, condition = drawn(
        (encoder.num_weights,), (decoder.num_weights,), (5, LATENT), (SIZE,)
    )
    inputs = torch.rand(5, *SHAPE, dtype=torch.float64)
    found = autoencoder.costs((of_encoder, of_decoder), inputs, noise, condition)

    for sample in range(5):
        moments, _ = encoder(of_encoder, {}, inputs[sample : sample + 1], training=False)
        mean, deviation = moments[0, :LATENT], (moments[0, LATENT:] / 2).exp()
        code = torch.cat([mean + deviation * noise[sample], condition])
        logits, _ = decoder(of_decoder, {}, code[None], training=False)
        misfit = binary_cross_entropy(logits[0].sigmoid(), inputs[sample].flatten())
        apart = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).sum()
        torch.testing.assert_close(found[sample], misfit + apart / 16)


def test_with_a_deviation_the_loss_is_the_density_of_a_normal_distribution_but_for_constants(
    autoencoder: VariationalAutoencoder,
) -> None:
    normal = VariationalAutoencoder(autoencoder.encoder, autoencoder.decoder, deviation=0.2)
    encoder, decoder = normal.encoder, normal.decoder
    of_encoder, of_decoder, noise, condition, inputs = drawn(
        (encoder.num_weights,), (decoder.num_weights,), (5, LATENT), (SIZE,), (5, *SHAPE)
    )
    found = normal.costs((of_encoder, of_decoder), 9 * inputs, noise, condition)
    for sample in range(5):
        moments, _ = encoder(of_encoder, {}, 9 * inputs[sample : sample + 1], training=False)
        mean, deviation = moments[0, :LATENT], (moments[0, LATENT:] / 2).exp()
        code = torch.cat([mean + deviation * noise[sample], condition])
        outputs, _ = decoder(of_decoder, {}, code[None], training=False)
        density = Normal(outputs[0], 0.2).log_prob(9 * inputs[sample].flatten()) - Normal(0.0, 0.2).log_prob(
            torch.zeros(16, dtype=torch.float64)
        )
        apart = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).sum()
        torch.testing.assert_close(found[sample], (apart - density.sum()) / 16)
    means, _ = decoder(of_decoder, {}, torch.cat([noise, condition.expand(5, -1)], -1), training=False)
    torch.testing.assert_close(normal.decode(of_decoder, noise, condition), means.reshape(5, *SHAPE))


def test_a_code_of_the_prior_costs_nothing() -> None:
    assert divergence(torch.zeros(2, 3), torch.zeros(2, 3)).tolist() == [0, 0]


def test_each_replica_costs_and_decodes_as_it_does_alone(autoencoder: VariationalAutoencoder) -> None:
    sizes = autoencoder.encoder.num_weights, autoencoder.decoder.num_weights
    of_encoder, of_decoder, noise, condition = drawn((2, sizes[0]), (2, sizes[1]), (2, 5, LATENT), (2, SIZE))
    inputs = torch.rand(2, 5, *SHAPE, dtype=torch.float64)
    costs = autoencoder.costs((of_encoder, of_decoder), inputs, noise, condition)
    images = autoencoder.decode(of_decoder, noise, condition)
    assert images.shape == (2, 5, *SHAPE)
    for each in range(2):
        own = autoencoder.costs((of_encoder[each], of_decoder[each]), inputs[each], noise[each], condition[each])
        torch.testing.assert_close(costs[each], own)
        torch.testing.assert_close(images[each], autoencoder.decode(of_decoder[each], noise[each], condition[each]))


def test_decoded_inputs_lie_between_black_and_white(autoencoder: VariationalAutoencoder) -> None:
    weights, code, condition = drawn((autoencoder.decoder.num_weights,), (50, LATENT), (SIZE,))
    images = autoencoder.decode(15 * weights, code, condition)
    assert 0 <= images.min() < 0.1
    assert 0.9 < images.max() <= 1
