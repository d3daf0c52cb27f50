"""Inputs of any size, standardised and back, against one number at a time."""

import torch

from hypercl.methods.scale import restored, scale_of, standardized


def drawn(*shape: int) -> torch.Tensor:
    return 5 + 3 * torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_a_scale_is_the_mean_and_deviation_of_each_number() -> None:
    inputs = drawn(2, 7, 3, 4)  # replicas, samples, input shape
    scale = scale_of(inputs, 2)
    assert scale.shape == (2, 2, 12)
    for replica in range(2):
        for number in range(12):
            column = inputs[replica].reshape(7, 12)[:, number]
            mean = sum(column.tolist()) / 7
            variance = sum((value - mean) ** 2 for value in column.tolist()) / 7
            torch.testing.assert_close(scale[replica, :, number], torch.tensor([mean, variance**0.5]).double())
        torch.testing.assert_close(scale_of(inputs[replica], 2), scale[replica])


def test_standardised_inputs_have_mean_0_and_deviation_1_and_come_back() -> None:
    inputs = drawn(2, 7, 3, 4)
    scale = scale_of(inputs, 2)
    plain = standardized(inputs, scale)
    torch.testing.assert_close(plain.mean(1), torch.zeros(2, 3, 4).double())
    torch.testing.assert_close(plain.std(1, correction=0), torch.ones(2, 3, 4).double())
    torch.testing.assert_close(restored(plain, scale), inputs)
    torch.testing.assert_close(standardized(inputs[1], scale[1]), plain[1])


def test_what_is_constant_is_only_shifted() -> None:
    inputs = torch.full((4, 1), 7.0)
    scale = scale_of(inputs, 1)
    assert scale.tolist() == [[7.0], [1.0]]
    assert standardized(inputs + 2, scale).tolist() == [[2.0]] * 4
