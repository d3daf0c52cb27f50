from typing import get_args

import pytest
import torch

from hypercl.activations import ACTIVATIONS
from hypercl.config.models.target import Activation


def test_every_activation_a_file_may_name_has_a_function():
    assert set(ACTIVATIONS) == set(get_args(Activation))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_an_activation_is_elementwise_and_not_linear(name):
    activation = ACTIVATIONS[name]
    inputs = torch.linspace(-3, 3, 12).view(3, 4)
    outputs = activation(inputs)
    torch.testing.assert_close(outputs[1, 2], activation(inputs[1, 2]))
    assert outputs.shape == inputs.shape
    one, two = torch.tensor(1.0), torch.tensor(-2.0)
    assert not torch.isclose(activation(one) + activation(two), activation(one + two))
