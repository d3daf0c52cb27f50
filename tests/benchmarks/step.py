"""Group `step`: a training step against hypnettorch's, and against the target trained plainly."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from hypercl.config import Experiment
from hypercl.targets.networks import ResNet
from hypercl.tasks import Shape
from tests.benchmarks.agreement import require_agreement, require_equal_steps
from tests.benchmarks.apart import Apart
from tests.benchmarks.options import Options
from tests.benchmarks.settings import (
    PERMUTED_MNIST_10,
    PERMUTED_MNIST_100,
    RESNET_32,
    SPLIT_MNIST,
    Setting,
    synthetic_batches,
)
from tests.benchmarks.sides import Batch, Ours, Tensors, Theirs
from tests.benchmarks.table import Row, share, speedup
from tests.benchmarks.timing import alternate, timed

GOALS = ((SPLIT_MNIST, ">= 7"), (PERMUTED_MNIST_10, ">= 10"), (PERMUTED_MNIST_100, ">= 70"), (RESNET_32, ">= 2.1"))
GPU_ROWS = ((RESNET_32, RESNET_32.earlier, ">= 6"), (PERMUTED_MNIST_100, 99, ">= 100"))


def measures(options: Options) -> Iterator[Row]:
    """Whole steps, look-ahead and optimiser included, on synthetic batches: medians, the two in turns."""
    for setting, goal in GOALS:
        for cl1 in (False, True):
            yield _against_hypnettorch(setting, setting.earlier, cl1, goal, options, torch.device("cpu"))
    yield _against_plain(options)
    for setting, earlier, goal in GPU_ROWS:
        if torch.cuda.is_available():
            yield _against_hypnettorch(setting, earlier, False, goal, options, torch.device("cuda"))
        else:
            yield Row(_name(setting, earlier, False) + " on a GPU", goal, "ms", note="no CUDA device here")


def _against_hypnettorch(
    setting: Setting, earlier: int, cl1: bool, goal: str, options: Options, device: torch.device
) -> Row:
    # hypnettorch's look-ahead adds epsilon before the bias correction, torch's Adam after it: 1e-8 would tell the two
    # apart by 10 % of R at the first step
    experiment, shape = setting.experiment(cl1, training__optimizer__eps=1e-12), setting.shape(cl1)
    batches = synthetic_batches(shape, experiment.training.batch_size, device)
    require_agreement(experiment, shape, earlier, batches[0])
    ours = Ours(experiment, shape, earlier, device)
    weights = (ours.state["theta"], ours.state["embeddings"])
    require_equal_steps(experiment, shape, Theirs(experiment, shape, *weights).start_task(earlier), batches[0])
    with Apart(their_steps, experiment, shape, earlier, device, *weights) as theirs:
        times = alternate({"peer": theirs.seconds, "ours": timed(ours.stepper(batches))}, options.seconds)
    where = " on a GPU" if device.type == "cuda" else ""
    return speedup(_name(setting, earlier, cl1) + where, goal, times["ours"], times["peer"])


def their_steps(
    experiment: Experiment, shape: Shape, task: int, device: torch.device, theta: Tensors, embeddings: torch.Tensor
) -> Iterator[bool]:
    """hypnettorch's steps at a task, one a turn."""
    theirs = Theirs(experiment, shape, theta, embeddings).start_task(task)
    step = theirs.stepper(synthetic_batches(shape, experiment.training.batch_size, device))
    while True:
        step()
        yield True


def _against_plain(options: Options) -> Row:
    """Our step at five earlier tasks over a step of the same ResNet-32 with weights of its own."""
    experiment, shape = RESNET_32.experiment(), RESNET_32.shape()
    batches = synthetic_batches(shape, experiment.training.batch_size, torch.device("cpu"))
    ours = Ours(experiment, shape, RESNET_32.earlier, torch.device("cpu"))
    channels_last = [(inputs.to(memory_format=torch.channels_last), labels) for inputs, labels in batches]
    plain = {
        form: timed(_plain_step(shape.input_shape[0], shape.num_outputs, channels_last, {form: True}))
        for form in ("fused", "foreach")
    }
    times = alternate({"ours": timed(ours.stepper(batches)), **plain}, options.seconds)
    quicker = min(plain, key=lambda form: times[form])
    what = f"step, {RESNET_32.name}, {RESNET_32.earlier} earlier tasks, over a plain step (channels last)"
    return share(what, "<= 1.15", "ms", times["ours"] * 1e3, times[quicker] * 1e3, f"plain Adam: {quicker}")


def _plain_step(channels: int, outputs: int, batches: list[Batch], form: dict[str, bool]) -> Any:
    """A call that trains hypercl's ResNet-32 as a module of its own: no hypernetwork, no regulariser."""
    net = ResNet(channels, outputs, blocks=5).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, **form)
    turns = cycle(batches)

    def step() -> None:
        inputs, labels = next(turns)
        optimizer.zero_grad()
        cross_entropy(net(inputs), labels).backward()
        optimizer.step()

    return step


def _name(setting: Setting, earlier: int, cl1: bool) -> str:
    heads = "heads of CL1" if cl1 else "one head"
    return f"step, {setting.name}, {earlier} earlier tasks, {heads}"
