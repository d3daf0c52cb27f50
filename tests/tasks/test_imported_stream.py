import sys

import pytest
import torch
from stream_contract import StreamContract

from hypercl.config import UserError, loads
from hypercl.config.models.tasks import ImportedStream
from hypercl.tasks import open_stream, open_with_test

MODULE = """
import numpy as np
import torch
from torch.utils.data import TensorDataset


def data(task, train, classes, shape=(1, 4, 4)):
    random = torch.Generator().manual_seed(10 * task + train)
    count = 20 * classes
    images = torch.randint(256, (count, *shape), dtype=torch.uint8, generator=random)
    return images, torch.arange(count) % classes


def make(root, train):
    return [data(0, train, 2), data(1, train, 3)]


def blind(root, train):
    assert train, "the test data was asked for"
    return make(root, train)


def datasets(root, train):
    import users_helper  # found as long as the data is read
    return tuple(TensorDataset(images.float() / 255, labels) for images, labels in make(root, train))


def shifted(root, train, by):
    return [(images.numpy(), 100 * labels.numpy() + by) for images, labels in make(root, train)]


def changed(root, train, what):
    (images, labels), other = make(root, train)
    images = images.float() if what in ("nan", "float") else images
    if what == "shape":
        images = images[:, 0]
    elif what == "length":
        labels = labels[:7]
    elif what == "labels":
        labels = labels.float()
    elif what == "images":
        images = images.int()
    elif what == "nan":
        images[3, 0, 0, :2] = float("nan")
    elif what == "class":
        labels = labels + labels * torch.arange(len(labels)) % 7
    elif what == "test class" and not train:
        labels = labels + 5
    elif what == "test float" and not train:
        images, other = images.float(), [other[0].float(), other[1]]
    elif what == "one":
        return [(images, labels)]
    elif what == "none":
        return None
    elif what == "tensors":
        return [images, images]
    elif what == "text":
        return [("images", "labels"), other]
    elif what == "items":
        return [[1, 2, 3], other]
    elif what == "pictures":
        return [[("picture", 1)] * 3, other]
    elif what == "half":
        return [[(images[0], 0.5)] * 3, other]
    elif what == "sizes":
        return [[(images[0], 0), (images[0, :, 1:], 1), (images[0], 0)], other]
    elif what == "fails":
        return [data(0, train, "two"), other]
    return [(images, labels), other]
"""


def write(folder):
    (folder / "users_tasks.py").write_text(MODULE)
    (folder / "users_helper.py").write_text("")


def config(function="make", **changes):
    return ImportedStream.model_validate(
        {
            "path": f"users_tasks:{function}",
            "classes_per_task": [2, 3],
            "input_shape": [1, 4, 4],
            **changes,
        }
    )


@pytest.fixture
def folder(tmp_path):
    write(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("users_")]:
        del sys.modules[name]


class TestImportedStream(StreamContract):
    config = staticmethod(config)
    make_data = staticmethod(write)

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def found(cls, data_dir):
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(data_dir))
            patch.setenv("HYPERCL_TRUST", "users_tasks")
            yield
        sys.modules.pop("users_tasks", None)


def test_test_data_is_not_read_while_tuning(folder):
    stream = open_stream(config("blind"), folder, True, [folder])
    assert len(stream.task(1).train) == 54
    with pytest.raises(UserError, match=r"AssertionError: the test data was asked for(?s:.*)users_tasks.py:\d+"):
        open_with_test(config("blind"), folder, True, [folder])


def test_bytes_are_scaled_and_floats_taken_as_they_are(folder):
    whole, parts = (open_stream(config(name), folder, True, [folder]) for name in ("make", "datasets"))
    for index in range(2):
        one, other = whole.task(index), parts.task(index)
        assert torch.equal(one.train.labels, other.train.labels)
        assert torch.equal(one.inputs(one.train[torch.arange(9)][0]), other.inputs(other.train[torch.arange(9)][0]))
    assert torch.equal(one.inputs(one.train.images), one.train.images / 255)


def test_classes_are_the_sorted_labels_and_keywords_are_passed(folder):
    stream = open_with_test(config("shifted", kwargs={"by": 7}), folder, True, [folder])
    assert [stream.task(index).classes for index in range(2)] == [("7", "107"), ("7", "107", "207")]
    assert stream.test(1).labels.unique().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("shape", r"task 1, training data: images of shape \[4, 4\]; tasks.input_shape is \[1, 4, 4\]"),
        ("length", r"task 1, training data: 40 images and labels of shape \[7\]"),
        ("labels", "labels are torch.float32, not integers"),
        ("images", "images are torch.int32, not uint8"),
        ("nan", "2 values of images are NaN or infinite"),
        ("float", "of some tasks are uint8 and those of others floats"),
        ("class", r"task 1, training data: 8 classes \(0, 1, .*\); tasks.classes_per_task says 2"),
        ("test class", r"task 1, test data: labels 5, 6; the training data of the task has 0, 1"),
        ("test float", r"task 1, test data: images are torch.float32, but those of the training data torch.uint8"),
        ("one", "with train=True it returned 1 tasks; tasks.num_tasks is 2"),
        ("none", "it returned a NoneType, not a list with one data set per task"),
        ("tensors", r"a Tensor, not a pair \(images, labels\)"),
        ("text", "a str is not an array of numbers"),
        ("items", r"item 0 is a int, not a pair \(tensor, label\)"),
        ("pictures", "item 0 contains a str, not a tensor: use a transform"),
        ("half", "item 0 has the label 0.5, not an integer"),
        ("sizes", r"images of several shapes: \[1, 3, 4\], \[1, 4, 4\]"),
        ("fails", r"users_tasks:changed failed: TypeError: .*(?s:.*)users_tasks.py:\d+ in data: images"),
        ("nothing", ""),
    ],
)
def test_what_does_not_fit_the_settings_is_told_with_both(folder, what, message):
    asked = config("changed", kwargs={"what": what})
    if not message:
        assert len(open_with_test(asked, folder, True, [folder]).test(0)) == 40
        return
    with pytest.raises(UserError, match=r"^tasks.path: users_tasks:changed") as caught:
        open_with_test(asked, folder, True, [folder])
    assert caught.match(message)


def test_a_module_that_is_not_there_is_told_with_where_it_was_sought(folder):
    with pytest.raises(UserError, match=r"(?s)tasks.path: there is no module 'users_task'.*did you mean 'users_tasks'"):
        open_stream(config(path="users_task:make"), folder, True, [folder])


DRAWS = {
    "torch": "torch.randperm(64)",
    "numpy": "torch.from_numpy(np.random.permutation(64))",
    "random": "torch.tensor(random.sample(range(64), 64))",
}


def permuted(folder, module, draw, lazily=False):
    """A stream of own pixel orders, drawn as people draw them."""
    body = "yield" if lazily else "tasks.append"
    (folder / f"{module}.py").write_text(
        "import random\n"
        "import numpy as np, torch\n"
        "def make(root, train):\n"
        "    tasks = []\n"
        "    for _ in range(2):\n"
        f"        order = {draw}\n"
        "        x = torch.arange(64.0).repeat(40, 1) + torch.arange(40.0)[:, None] / 100 + train / 1000\n"
        f"        {body}((x[:, order].view(40, 1, 8, 8), torch.arange(40) % 2))\n"
        + ("" if lazily else "    return tasks\n")
    )
    count = "null, heads: shared" if lazily else 2
    text = (
        f"experiment: {{tasks: {{name: import, path: '{module}:make', num_tasks: {count}, classes_per_task: 2, "
        "input_shape: [1, 8, 8]}}"
    )
    return loads(text, "x").experiment.tasks


@pytest.mark.parametrize("lazily", [False, True], ids=["at once", "task by task"])
@pytest.mark.parametrize("library", DRAWS)
def test_draws_without_a_seed_are_the_same_for_training_test_and_the_next_call(tmp_path, library, lazily):
    tasks = permuted(tmp_path, f"drawn_{library}_{lazily}", DRAWS[library], lazily)
    before = torch.get_rng_state()
    stream = open_with_test(tasks, tmp_path, True, [tmp_path])
    again = open_stream(tasks, tmp_path, True, [tmp_path])
    orders = []
    for task in range(2):
        train, test = stream.task(task).train, stream.test(task)
        assert torch.equal(train.images, again.task(task).train.images)
        assert torch.equal(train.images[0].argsort(), test.images[0].argsort())
        orders.append(train.images[0].flatten().argsort())
    assert not torch.equal(*orders)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_without_a_seed_is_refused_when_test_data_is_opened(tmp_path):
    tasks = permuted(tmp_path, "unseeded_order", "torch.from_numpy(np.random.default_rng().permutation(64))")
    with pytest.raises(UserError, match=r"(?s)two calls with train=True returned different data.*fixed seed"):
        open_with_test(tasks, tmp_path, True, [tmp_path])


def test_test_data_that_repeats_training_data_is_warned_of(tmp_path):
    (tmp_path / "repeating.py").write_text(
        "import torch\n"
        "def make(root, train):\n"
        "    count = 40 if train else 16\n"
        "    return [(torch.rand(count, 1, 4, 4), torch.arange(count) % 2)]\n"
    )
    keys = "name: import, path: 'repeating:make', num_tasks: 1, classes_per_task: 2, input_shape: [1, 4, 4]"
    text = f"experiment: {{tasks: {{{keys}}}}}"
    with pytest.warns(UserWarning, match="test data: 16 of 16 images are training images too"):
        open_with_test(loads(text, "x").experiment.tasks, tmp_path, True, [tmp_path])
