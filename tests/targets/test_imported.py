import sys

import pytest
import torch

from hypercl.config import UserError
from hypercl.config.models.target import ImportedTarget
from hypercl.targets import build_target, count_weights, draw_weights


@pytest.fixture
def folder(tmp_path):
    """A folder with a user's own file."""
    (tmp_path / "users_nets.py").write_text(
        "import torch\n"
        "number = 3\n"
        "class Nets:\n"
        "    @staticmethod\n"
        "    def linear(classes, bias=True):\n"
        "        return torch.nn.Linear(4, classes, bias=bias)\n"
        "def text(num_classes):\n"
        "    return 'net'\n"
        "def failing(num_classes):\n"
        "    raise RuntimeError('the moon is full')\n"
        "def lazy(num_classes):\n"
        "    return torch.nn.Sequential(torch.nn.LazyLinear(6), torch.nn.ReLU(), torch.nn.LazyLinear(num_classes))\n"
        "def trained(num_classes):\n"
        "    torch.hub.load_state_dict_from_url('https://example.invalid/weights.pth', progress=False)\n"
    )
    (tmp_path / "users_broken.py").write_text("import a_package_nobody_has\n")
    (tmp_path / "users_typo.py").write_text("def net(:\n")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("users_")]:
        del sys.modules[name]


def build(folder, path, **keywords):
    return build_target(ImportedTarget(path=path, **keywords), (4,), 3, [folder])


def test_a_callable_in_a_users_folder_is_found_and_called_with_its_keywords(folder):
    model = build(folder, "users_nets:Nets.linear", outputs="classes", kwargs={"bias": False})
    assert list(model.shapes) == ["weight"]
    assert model.num_weights == 12


def test_the_search_path_is_left_as_it_was(folder):
    before = list(sys.path)
    build(folder, "users_nets:Nets.linear", outputs="classes")
    with pytest.raises(UserError):
        build(folder, "users_net:Nets")
    assert sys.path == before


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("users_net:Nets", r"(?s)no module 'users_net'.*searched: {folder}.*did you mean 'users_nets'"),
        ("zzz.qqq:Nets", r"(?s)no module 'zzz'.*put the file into one of these folders"),
        ("users_nets:Netz", "users_nets has no 'Netz': did you mean 'Nets'"),
        ("users_nets:Nets.liner", "has no 'liner': did you mean 'linear'"),
        ("users_nets:number", "users_nets:number is a int, which cannot be called"),
        ("users_nets:text", "returned a str, not a torch.nn.Module"),
        ("users_nets:failing", "users_nets:failing failed: RuntimeError: the moon is full"),
        ("users_nets:Nets.linear", r"(?s)'num_classes'.*set target.outputs to the keyword"),
        ("users_nets:trained", "tries to download weights from https://example.invalid/weights.pth"),
        ("users_broken:net", "users_broken failed: ModuleNotFoundError: No module named 'a_package_nobody_has'"),
        ("users_typo:net", "importing users_typo failed: SyntaxError"),
    ],
)
def test_what_cannot_be_a_target_is_told_with_the_reason(folder, tmp_path, monkeypatch, path, message):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    with pytest.raises(UserError, match=message.replace("{folder}", str(folder))):
        build(folder, path)


def test_trained_weights_of_torchvision_are_refused_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    download = torch.hub.download_url_to_file
    config = ImportedTarget(path="torchvision.models:resnet18", kwargs={"weights": "DEFAULT"})
    with pytest.raises(UserError, match="tries to download weights"):
        build_target(config, (3, 32, 32), 1000)
    assert torch.hub.download_url_to_file is download


def test_the_number_of_outputs_cannot_be_given_twice(folder):
    with pytest.raises(UserError, match=r"'num_classes' is the number of outputs.*\(3\)"):
        build(folder, "users_nets:text", kwargs={"num_classes": 5})


def test_lazy_layers_are_completed_by_the_inputs_of_the_stream(folder):
    model = build(folder, "users_nets:lazy")
    assert [tuple(shape) for shape in model.shapes.values()] == [(6, 4), (6,), (3, 6), (3,)]
    config = ImportedTarget(path="users_nets:lazy")
    assert count_weights(config, (4,), 3, [folder]) == model.num_weights
    drawn = [draw_weights(config, (4,), 3, seed, [folder]) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
