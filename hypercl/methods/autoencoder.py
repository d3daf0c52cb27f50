"""A variational autoencoder as a pure function of its weights (Kingma and Welling, 2014)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from hypercl.targets import GeneratedModel


@dataclass(frozen=True)
class VariationalAutoencoder:
    """An encoder to the mean and log variance of a code, and a decoder from a code, and a condition, to pixels.

    All weights are arguments, (num_weights,), or (replicas, num_weights); all else then has an axis of replicas in
    front too. What is random comes in as a tensor.
    """

    encoder: GeneratedModel
    """(samples, *input_shape) -> (samples, 2 * latent)."""
    decoder: GeneratedModel
    """(samples, latent + condition) -> logits (samples, pixels)."""

    def costs(self, weights: tuple[Tensor, Tensor], inputs: Tensor, noise: Tensor, condition: Tensor) -> Tensor:
        """The negative evidence lower bound of each sample, divided by the number of pixels.

        Mean binary cross entropy of the pixels + KL / pixels, the code's prior being N(0, I).

        Args:
            weights: the encoder's and the decoder's.
            inputs: (samples, *input_shape), in 0 .. 1.
            noise: from N(0, I), (samples, latent).
            condition: of all samples, (size,), or (replicas, size).

        Returns:
            (samples,), or (replicas, samples).
        """
        encoder, decoder = weights
        mean, log_variance = _outputs(self.encoder, encoder, inputs).chunk(2, -1)
        code = mean + (log_variance / 2).exp() * noise
        logits = _outputs(self.decoder, decoder, _with(condition, code))
        pixels = inputs.flatten(-len(self.encoder.input_shape)).to(logits.dtype)
        misfit = binary_cross_entropy_with_logits(logits, pixels, reduction="none").mean(-1)
        return misfit + divergence(mean, log_variance) / logits.shape[-1]

    @torch.no_grad()
    def decode(self, decoder: Tensor, code: Tensor, condition: Tensor) -> Tensor:
        """Inputs in 0 .. 1 for codes.

        Args:
            decoder: weights of one decoder, or (decoders, num_weights).
            code: (samples, latent), or (decoders, samples, latent).
            condition: (size,), or (decoders, size).

        Returns:
            (samples, *input_shape), or (decoders, samples, *input_shape).
        """
        logits = _outputs(self.decoder, decoder, _with(condition, code.to(decoder.dtype)))
        return logits.sigmoid().unflatten(-1, self.encoder.input_shape)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL of N(mean, variance) from N(0, I): -1/2 sum (1 + log variance - mean^2 - variance), over the last axis."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(-1)


def _outputs(network: GeneratedModel, weights: Tensor, inputs: Tensor) -> Tensor:
    run = network if weights.dim() == 1 else network.bundle
    outputs, _ = run(weights, {}, inputs, True)
    return outputs if outputs.dtype == torch.float64 else outputs.float()


def _with(condition: Tensor, code: Tensor) -> Tensor:
    """[code, condition]: (..., samples, latent + size)."""
    beside = condition.to(code.dtype).unsqueeze(-2).expand(*code.shape[:-1], -1)
    return torch.cat([code, beside], -1)
