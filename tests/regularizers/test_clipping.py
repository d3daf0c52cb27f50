import pytest
import torch

from hypercl.regularizers import clip_norm


@pytest.mark.parametrize("bound", [1e-3, 1.0, 7.0, 1e6])
def test_clipping_equals_that_of_torch(bound):
    generator = torch.Generator().manual_seed(1)
    gradients = {"a": torch.randn(4, 3, generator=generator), "b": torch.randn(5, generator=generator) * 3}
    parameters = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients.values()]
    for parameter, gradient in zip(parameters, gradients.values(), strict=True):
        parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(parameters, bound)
    for clipped, parameter in zip(clip_norm(gradients, bound).values(), parameters, strict=True):
        torch.testing.assert_close(clipped, parameter.grad)


def test_a_small_gradient_and_a_missing_bound_change_nothing():
    gradients = {"a": torch.tensor([0.3, 0.4])}
    assert torch.equal(clip_norm(gradients, 1.0)["a"], gradients["a"])
    assert clip_norm(gradients, None) is gradients


def test_the_bound_is_on_the_norm_over_all_tensors():
    clipped = clip_norm({"a": torch.tensor([3.0]), "b": torch.tensor([4.0])}, 1.0)
    torch.testing.assert_close(torch.cat(list(clipped.values())), torch.tensor([0.6, 0.8]))


def test_a_gradient_that_is_not_finite_stays_so():
    clipped = clip_norm({"a": torch.tensor([1.0, float("nan")]), "b": torch.tensor([2.0])}, 1.0)
    assert clipped["b"].isnan().all()
