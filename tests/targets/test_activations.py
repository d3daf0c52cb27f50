from typing import get_args

import pytest
import torch
from torch.nn import functional

from hypercl.config.models.target import Activation


@pytest.mark.parametrize("name", get_args(Activation))
def test_every_activation_of_a_file_is_an_elementwise_function_of_torch_that_is_not_linear(name):
    activation = getattr(functional, name)
    inputs = torch.linspace(-3, 3, 12).view(3, 4)
    outputs = activation(inputs)
    torch.testing.assert_close(outputs[1, 2], activation(inputs[1, 2]))
    assert outputs.shape == inputs.shape
    one, two = torch.tensor(1.0), torch.tensor(-2.0)
    assert not torch.isclose(activation(one) + activation(two), activation(one + two))
