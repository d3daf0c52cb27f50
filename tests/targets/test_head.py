import pytest
from torch import nn

from hypercl.config import UserError
from hypercl.targets.generated import find_head


def network(**layers: nn.Module) -> nn.Module:
    module = nn.Module()
    for name, layer in layers.items():
        module.add_module(name, layer)
    return module


def test_the_head_is_the_last_linear_layer_with_as_many_outputs():
    module = network(early=nn.Linear(4, 10), head=nn.Linear(6, 10), auxiliary=nn.Linear(10, 3))
    assert find_head(module, 10, None) == ("head", module.get_submodule("head"))


def test_a_named_layer_is_taken():
    module = network(early=nn.Linear(4, 10), head=nn.Linear(6, 10))
    assert find_head(module, 10, "early")[0] == "early"


def test_a_module_that_is_one_layer_is_its_own_head():
    module = nn.Linear(4, 2)
    assert find_head(module, 2, None) == ("", module)


def test_a_layer_whose_weights_serve_elsewhere_is_no_head():
    tied = nn.Linear(10, 10)
    embedding = nn.Embedding(10, 10)
    tied.weight = embedding.weight
    with pytest.raises(UserError, match="has 10 outputs and unshared weights"):
        find_head(network(embedding=embedding, head=tied), 10, None)


def test_without_a_head_the_linear_layers_are_listed_with_their_sizes():
    module = network(conv=nn.Conv2d(3, 10, 1), small=nn.Linear(4, 2))
    with pytest.raises(
        UserError, match=r"(?s)no linear layer of Module has 10 outputs.*small \(4 to 2\).*target\.head"
    ):
        find_head(module, 10, None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("classifer", r"(?s)no linear layer 'classifer'.*did you mean 'classifier'"),
        ("xyz", r"(?s)no linear layer 'xyz'.*allowed: classifier"),
        ("small", r"(?s)'small' does not have 10 outputs.*allowed: classifier"),
    ],
)
def test_a_named_layer_that_does_not_fit_is_refused(name, message):
    with pytest.raises(UserError, match=message):
        find_head(network(small=nn.Linear(4, 2), classifier=nn.Linear(4, 10)), 10, name)
