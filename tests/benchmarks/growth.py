"""Group `growth`: what a step costs at 99 earlier tasks, against one earlier task and against its plain products."""

from collections.abc import Iterator
from typing import Any

import torch

from tests.benchmarks.options import Options
from tests.benchmarks.products import products_of_step
from tests.benchmarks.products import stepper as products_stepper
from tests.benchmarks.settings import PERMUTED_MNIST_10, PERMUTED_MNIST_100, RESNET_32, Setting, synthetic_batches
from tests.benchmarks.sides import Ours
from tests.benchmarks.table import Row, share
from tests.benchmarks.timing import alternate, timed

MANY, FEW = 99, 1
PAIRS = 256
"""Fewer than the pairs of one earlier task: as many are compared at 99 earlier tasks as at one."""
GOALS = ((RESNET_32, "<= 1.1"), (PERMUTED_MNIST_10, "<= 1.5"), (PERMUTED_MNIST_100, "<= 5"))
CPU = torch.device("cpu")


def measures(options: Options) -> Iterator[Row]:
    """Ours at 99 earlier tasks in the column `ours`, what it is compared with in the column `peer`."""
    for setting, goal in GOALS:
        sides = _sides(setting)
        if setting is PERMUTED_MNIST_100:
            learner = sides["many"].learner
            products = products_of_step(setting.experiment(), learner.spec.hypernet, learner.spec.target, MANY)
            more = {"products": timed(products_stepper(products, CPU))}
        else:
            products, more = [], {}
        times = _times(setting, sides, more, options)
        yield share(_name(setting, "exact"), goal, "ms", times["many"] * 1e3, times["few"] * 1e3)
        if products:
            work = sum(product.flops for product in products) / 1e9
            note = f"{work:.1f} GFLOP at {work / times['products']:.0f} GFLOP/s"
            what = f"step at {MANY} earlier tasks over its plain matrix products, {setting.name}"
            yield share(what, "<= 1.5", "ms", times["many"] * 1e3, times["products"] * 1e3, note)
    sides = _sides(PERMUTED_MNIST_100, method__regularizer__pairs=PAIRS)
    times = _times(PERMUTED_MNIST_100, sides, {}, options)
    what = _name(PERMUTED_MNIST_100, f"{PAIRS} pairs a step")
    yield share(what, "<= 1.3", "ms", times["many"] * 1e3, times["few"] * 1e3)


def _sides(setting: Setting, **settings: Any) -> dict[str, Any]:
    experiment, shape = setting.experiment(**settings), setting.shape(tasks=MANY + 1)
    return {name: Ours(experiment, shape, task, CPU) for name, task in (("many", MANY), ("few", FEW))}


def _times(setting: Setting, sides: dict[str, Any], more: dict[str, Any], options: Options) -> dict[str, float]:
    batches = synthetic_batches(setting.shape(), setting.experiment().training.batch_size, CPU)
    return alternate({name: timed(side.stepper(batches)) for name, side in sides.items()} | more, options.seconds)


def _name(setting: Setting, what: str) -> str:
    return f"step at {MANY} earlier tasks over step at {FEW}, {setting.name}, {what}"
