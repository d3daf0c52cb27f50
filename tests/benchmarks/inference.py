"""Group `inference`: evaluation where the task is inferred by entropy, against one where it is given.

Both on the validation data of all five tasks of Split MNIST, each task's weights generated once an evaluation. Five
networks see every sample instead of one, so the floor is 5 times the time.
"""

from collections.abc import Callable, Generator, Iterator

import torch

from hypercl.config import Experiment
from hypercl.tasks import open_stream
from hypercl.training.evaluate import Evaluation, accuracies, accuracies_of_unknown
from hypercl.training.parts import Networks
from tests.benchmarks.options import Options
from tests.benchmarks.table import Row, share
from tests.benchmarks.timing import alternate, timed
from tests.benchmarks.whole_run import split_mnist

CPU = torch.device("cpu")


def measures(options: Options) -> Iterator[Row]:
    """HNET+ENT in scenario class."""
    given = split_mnist(options, 1)
    sides = {"given": timed(_evaluation(given, options)), "inferred": timed(_evaluation(_inferring(given), options))}
    times = alternate(sides, options.seconds)
    samples = sum(len(split) for split in _what(given, options).splits)
    note = f"{samples:,} samples of five tasks; floor 5"
    yield share("SplitMNIST: task inferred over task given", "<= 7", "s", times["inferred"], times["given"], note)


def _inferring(given: Experiment) -> Experiment:
    kept = {"beta": given.method.beta, "regularizer": {"mask_heads": False}}
    sections = given.model_dump(exclude={"method"}) | {"method": {"name": "hnet_ent", **kept}}
    return Experiment.model_validate(sections | {"tasks": {**sections["tasks"], "scenario": "class"}})


def _evaluation(experiment: Experiment, options: Options) -> Callable[[], object]:
    networks, what = Networks.of(experiment, CPU), _what(experiment, options)
    bundle = networks.bundle(experiment, [1])
    state = bundle.init()

    def evaluate() -> object:
        if experiment.tasks.scenario == "task":
            return _ended(accuracies(bundle, state, what))
        return _ended(accuracies_of_unknown(bundle, state, what, len(what.tasks)))

    return evaluate


def _what(experiment: Experiment, options: Options) -> Evaluation:
    stream = open_stream(experiment.tasks, options.data_dir, offline=True)
    tasks = [stream.task(index) for index in range(stream.shape.num_tasks)]
    return Evaluation(tasks, [task.validation for task in tasks])


def _ended(measuring: Generator[None, None, object]) -> object:
    while True:
        try:
            next(measuring)
        except StopIteration as end:
            return end.value
