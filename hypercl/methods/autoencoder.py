"""A variational autoencoder (Kingma and Welling, 2014) as pure functions of the weights of its two networks."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from hypercl.methods.network_learner import at_least_float32
from hypercl.targets import GeneratedModel


@dataclass(frozen=True)
class VariationalAutoencoder:
    """Encoder to mean and log variance of a code; decoder from code and condition to inputs; pure functions of weights.

    Weights are arguments, (num_weights,), or (replicas, num_weights) with a leading replica axis everywhere. Random
    numbers are passed in as tensors.
    """

    encoder: GeneratedModel
    """(samples, *input_shape) -> (samples, 2 * latent)."""
    decoder: GeneratedModel
    """(samples, latent + condition) -> (samples, pixels): logits, or means where there is a `deviation`."""
    deviation: float | None = None
    """Of the normal distribution of an input given its code; None where pixels are Bernoulli variables."""

    def costs(
        self,
        weights: tuple[Tensor, Tensor],
        inputs: Tensor,
        noise: Tensor,
        condition: Tensor,
        labels: Tensor | None = None,
    ) -> Tensor:
        """The negative evidence lower bound of each sample, divided by the number of pixels, without constants.

        Mean over the pixels of the binary cross entropy, or of (x - mean)^2 / (2 deviation^2), + KL / pixels, the
        code's prior being N(0, I).

        Args:
            weights: of encoder and decoder, or of a decoder for each class, (classes, num_weights).
            inputs: (samples, *input_shape), in 0 .. 1 without a deviation.
            noise: from N(0, I), (samples, latent).
            condition: the decoder's, (size,), or of each class, (classes, size).
            labels: class of each sample, int64, (samples,), where each class has a decoder.

        Returns:
            (samples,).
        """
        encoder, decoder = weights
        mean, log_variance = _outputs(self.encoder, encoder, inputs).chunk(2, -1)
        code = mean + (log_variance / 2).exp() * noise
        if labels is None:
            outputs = _outputs(self.decoder, decoder, _conditioned(code, condition))
        else:
            outputs = self._by_own_class(decoder, code, condition, labels)
        pixels = inputs.flatten(-len(self.encoder.input_shape)).to(outputs.dtype)
        if self.deviation is None:
            misfit = binary_cross_entropy_with_logits(outputs, pixels, reduction="none")
        else:
            misfit = (outputs - pixels).square() / (2 * self.deviation**2)
        return misfit.mean(-1) + divergence(mean, log_variance) / outputs.shape[-1]

    def _by_own_class(self, decoders: Tensor, code: Tensor, conditions: Tensor, labels: Tensor) -> Tensor:
        """Outputs (samples, pixels), each sample's by the decoder of its class, of decoders (classes, num_weights).

        Every decoder decodes every code, so that shapes depend on no label.
        """
        codes = code.unsqueeze(-3).expand(*decoders.shape[:-1], *code.shape[-2:])
        inputs = _conditioned(codes, conditions).flatten(0, -3)
        logits = torch.unflatten(_outputs(self.decoder, decoders.flatten(0, -2), inputs), 0, decoders.shape[:-1])
        own = labels[..., None, :, None].expand(*labels.shape[:-1], 1, -1, logits.shape[-1])
        return logits.gather(-3, own).squeeze(-3)

    @torch.no_grad()
    def decode(self, decoder: Tensor, code: Tensor, condition: Tensor) -> Tensor:
        """The means of inputs, (samples, *input_shape), for codes (samples, latent) and a condition (size,).

        In 0 .. 1 without a deviation. With weights (decoders, num_weights) all have a leading axis of decoders.
        """
        outputs = _outputs(self.decoder, decoder, _conditioned(code.to(decoder.dtype), condition))
        means = outputs.sigmoid() if self.deviation is None else outputs
        return torch.unflatten(means, -1, self.encoder.input_shape)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL of N(mean, variance) from N(0, I): -1/2 sum (1 + log variance - mean^2 - variance), over the last axis."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(-1)


def _outputs(network: GeneratedModel, weights: Tensor, inputs: Tensor) -> Tensor:
    forward = network if weights.dim() == 1 else network.bundle
    outputs, _ = forward(weights, {}, inputs, True)
    return at_least_float32(outputs)


def _conditioned(code: Tensor, condition: Tensor) -> Tensor:
    """[code, condition]: (..., samples, latent + size)."""
    repeated = condition.to(code.dtype).unsqueeze(-2).expand(*code.shape[:-1], -1)
    return torch.cat([code, repeated], -1)
