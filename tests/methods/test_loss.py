"""The paper's soft targets."""

import pytest
import torch
from torch.nn import functional

from hypercl.methods.loss import classification_loss, squared_error


def drawn(classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(classes)
    return torch.randn(9, classes, generator=draw), torch.randint(0, classes, (9,), generator=draw)


@pytest.mark.parametrize(("classes", "smoothing"), [(10, 0.05), (2, 0.05), (2, 0.49), (3, 0.3)])
def test_the_right_class_has_what_is_left_and_the_others_share_the_rest(classes: int, smoothing: float) -> None:
    logits, labels = drawn(classes)
    targets = torch.full_like(logits, smoothing / (classes - 1))
    targets[torch.arange(9), labels] = 1 - smoothing
    assert targets.sum(1) == pytest.approx(1)
    expected = -(targets * functional.log_softmax(logits, 1)).sum(1).mean()
    torch.testing.assert_close(classification_loss(logits, labels, smoothing), expected)


def test_without_smoothing_it_is_cross_entropy_to_the_last_bit() -> None:
    logits, labels = drawn(10)
    assert torch.equal(classification_loss(logits, labels), functional.cross_entropy(logits, labels))


def test_one_class_alone_has_nothing_to_smooth() -> None:
    logits, labels = torch.randn(9, 1), torch.zeros(9, dtype=torch.int64)
    assert float(classification_loss(logits, labels, 0.05)) == 0


def test_half_precision_logits_are_computed_with_in_float32() -> None:
    logits, labels = drawn(10)
    loss = classification_loss(logits.bfloat16(), labels, 0.05)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, classification_loss(logits.bfloat16().float(), labels, 0.05))


def test_the_squared_error_is_the_mean_of_each_replica() -> None:
    draw = torch.Generator().manual_seed(1)
    outputs, labels = torch.randn(2, 5, 3, generator=draw), torch.randn(2, 5, 3, generator=draw)
    each = [functional.mse_loss(one, other) for one, other in zip(outputs, labels, strict=True)]
    torch.testing.assert_close(squared_error(outputs, labels), torch.stack(each))
