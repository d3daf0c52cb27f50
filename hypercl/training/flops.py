"""Floating-point operations of training: counted at one real step of each task, by PyTorch's own formulas."""

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from hypercl.config import Experiment
from hypercl.methods import Batch, Losses, State, StepInfo
from hypercl.tasks import BundledBatches, open_stream
from hypercl.tensors import leaves, numbers, same_tensors
from hypercl.training.capture import Stepping
from hypercl.training.device import computing, resolve
from hypercl.training.folder import RunFolders
from hypercl.training.parts import Networks, seeds_of
from hypercl.training.run_state import RunState


def step_(run_state: RunState, learner: Stepping, context: Any, batches: Sequence[Batch], info: StepInfo) -> Losses:
    """Takes a step of a run, counting its operations once per task.

    Returns:
        The losses.
    """
    if run_state.is_counted(info.task):
        run_state.state, losses = learner.step(run_state.state, context, batches, info)
        return losses
    run_state.state, losses, found = counted_step(learner, run_state.state, context, batches, info)
    if isinstance(found, int):
        run_state.flops_a_step[info.task] = found
    else:
        run_state.uncounted = found
    return losses


def counted_step(
    learner: Stepping, state: State, context: Any, batches: Sequence[Batch], info: StepInfo
) -> tuple[State, Losses, int | str]:
    """A step as `learner.step` makes it, bit for bit, and its floating-point operations.

    Counted are products of matrices and convolutions, forward and backward, a multiplication and its addition as two:
    what `torch.utils.flop_counter` has a formula for (mm, addmm, bmm, baddbmm, convolution, scaled
    dot-product attention), and beside it the same products in place and those with a vector. What works on each number
    by itself counts nothing: activations, normalisation, losses, optimisers, penalties over weights.

    A step that cannot be made under the counter is made without it, from the state as it was.

    Args:
        learner: makes the step.
        state: changed in place, as by a plain step.
        context: what the step needs beside the state.
        batches: of the tasks trained on.
        info: where in the stream.

    Returns:
        The new state; losses by name; operations of all replicas, or a sentence on why they are not counted.
    """
    same, saved = same_tensors(state), [(leaf, leaf.to("cpu", copy=True)) for leaf in leaves(state)]
    try:
        with _Counter() as counter:
            new, losses = learner.step(state, context, batches, info)
        return new, losses, counter.total
    except Exception as error:
        with torch.no_grad():
            for leaf, copy in saved:
                leaf.copy_(copy)
        new, losses = learner.step(same, context, batches, info)
        return new, losses, f"a step cannot be made under the counter: {type(error).__name__}: {error}".split("\n")[0]


class _Counter(TorchDispatchMode):
    """Adds up the operations of what is called inside of it."""

    def __init__(self) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        from torch.utils.flop_counter import flop_registry  # brings triton along; what trains nothing needs neither

        aten = torch.ops.aten
        self.total, self._formulas = 0, dict(flop_registry)
        self._formulas |= dict.fromkeys((aten.addmm_, aten.baddbmm_), _added)
        self._formulas |= dict.fromkeys((aten.mv, aten.dot, aten.vdot), _with_vector)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        options: dict[str, Any] = kwargs or {}
        out = func(*args, **options)
        if formula := self._formulas.get(func.overloadpacket):
            self.total += formula(*args, **options, out_val=out)
        return out

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to be skipped by it, torch would import its compiler, 3 s of each process."""
        return False


def _added(_: Tensor, first: Tensor, second: Tensor, **__: Any) -> int:
    """Of a product (..., n, m) x (..., m, k) that is added to something: 2 n m k each."""
    return 2 * first.numel() * second.shape[-1]


def _with_vector(first: Tensor, *_: Any, **__: Any) -> int:
    """Of a product with a vector: two for each number of what stands before it."""
    return 2 * first.numel()


def two_steps(experiment: Experiment, place: RunFolders) -> float:
    """Seconds a step, the mean of the first task's and the last one's (which protects all the others).

    Takes two steps of all replicas in each and times the second; writes nothing.
    """
    experiment = resolve(experiment)
    training = experiment.training
    with computing(training) as device:
        stream = open_stream(experiment.tasks, place.data_dir, place.offline, place.import_paths)
        networks = Networks.of(experiment, device, place.import_paths)
        learner = networks.bundle(experiment, networks.groups(experiment))
        seconds: list[float] = []
        for task in (0, stream.shape.num_tasks - 1):
            state = learner.start_task(learner.init(), task)
            context = learner.task_context(state, task)
            tasks = [stream.task(index).to(device) for index in learner.trains_on(task)]
            batches = [BundledBatches(each, training.batch_size, seeds_of(experiment)) for each in tasks]
            took = 0.0
            for step in range(2):
                began = time.monotonic()
                state, losses = learner.step(
                    state, context, [batch(step) for batch in batches], StepInfo(task, step, training.optimizer.lr)
                )
                numbers(losses["task"])
                took = time.monotonic() - began
            seconds.append(took)
    return sum(seconds) / len(seconds)
