"""What a step of an experiment costs on this machine: measured, not guessed."""

import time

from hypercl.config import Experiment
from hypercl.methods import Moment
from hypercl.tasks import BundledBatches, open_stream
from hypercl.training.device import computing, resolve
from hypercl.training.folder import Place
from hypercl.training.parts import Networks, seeds_of


def two_steps(experiment: Experiment, place: Place) -> float:
    """Seconds a step, the mean of the first task's and the last one's (which protects all the others).

    Takes two steps of all replicas in each and times the second; writes nothing.
    """
    experiment = resolve(experiment)
    training = experiment.training
    with computing(training) as device:
        stream = open_stream(experiment.tasks, place.data_dir, place.offline, place.import_paths)
        networks = Networks.of(experiment, device, place.import_paths)
        learner = networks.bundle(experiment, networks.groups(experiment))
        seconds = []
        for task in (0, stream.shape.num_tasks - 1):
            state = learner.start_task(learner.init(), task)
            memory = learner.memory(state, task)
            tasks = [stream.task(index).to(device) for index in learner.trains_on(task)]
            batches = [BundledBatches(each, training.batch_size, seeds_of(experiment)) for each in tasks]
            took = 0.0
            for step in range(2):
                began = time.monotonic()
                state, losses = learner.step(
                    state, memory, [batch(step) for batch in batches], Moment(task, step, training.optimizer.lr)
                )
                losses["task"].tolist()
                took = time.monotonic() - began
            seconds.append(took)
    return sum(seconds) / len(seconds)
