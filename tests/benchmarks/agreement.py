"""Before anything is timed: ours and hypnettorch's compute the same."""

import torch
from torch import Tensor

from hypercl.config import Experiment, UserError, assign
from hypercl.targets import GeneratedModel
from hypercl.tasks import Shape
from tests.benchmarks.sides import Batch, Ours, Theirs, chunk_first

LOSS = 1e-4
"""Relative difference allowed of the task's losses, in float32."""
GRADIENTS = 1e-2
"""The same of the gradients and of the regulariser, which is measured where they lead. Mostly 1e-6 was measured; but
where an activation lies so close to 0 that rounding decides its sign, or through ResNet-32, hypnettorch's gradient in
float32 is 1e-3 to 3e-3 from that in float64, in which the two are 5e-15 apart."""
MOVED = 0.01
"""Share of theta's norm by which the look-ahead moves it."""


class Disagreement(UserError):
    """The two do not compute the same: a comparison of their times would mean nothing."""


def require_agreement(experiment: Experiment, shape: Shape, task: int, batch: Batch) -> None:
    """Compares the first step of a task: both losses, and the gradients of theta and of the task's embedding.

    It is a step of plain gradient descent from the same weights, so that what a step takes from the weights is the
    gradient times the rate; the look-ahead is that of the same optimiser. The rate moves theta by 1 % on the task's
    gradient alone, and beta is such that both parts of the gradient are of one size.

    Raises:
        Disagreement: the message says what differs, and by how much.
    """
    plain = assign(experiment, {"training.optimizer": {"name": "sgd", "lr": 1.0, "momentum": 0.0}})
    begun = Ours(plain, shape, task, batch[0].device).state
    before, embedding = begun["theta"], begun["embeddings"][task]
    theirs = Theirs(plain, shape, before, begun["embeddings"], plain=True).start_task(task)
    value = theirs.task_loss(batch)
    of_task = [parameter.grad.clone() for parameter in theirs.hnet.unconditional_params]
    of_embedding = theirs.hnet.conditional_params[task].grad.clone()
    rate = theirs.of_theta.param_groups[0]["lr"] = MOVED * _norm(list(before.values())) / _norm(of_task)
    pull = theirs.regularizer(1.0)
    of_pull = [p.grad - grad for p, grad in zip(theirs.hnet.unconditional_params, of_task, strict=True)]
    beta = _norm(of_task) / _norm(of_pull)

    balanced = assign(plain, {"method.beta": beta, "training.optimizer.lr": rate})
    ours = Ours(balanced, shape, task, batch[0].device)
    _order_as_theirs(ours, theirs)
    losses = ours.step(batch)
    after = ours.state["theta"]
    found = chunk_first({name: (before[name] - after[name]) / rate for name in before}, plain.hypernet)
    expected = [grad + beta * other for grad, other in zip(of_task, of_pull, strict=True)]
    require_close("the task's loss", losses["task"], value, LOSS)
    require_close("the regulariser", losses["regularizer"], pull, GRADIENTS)
    require_close("the gradient of theta", _flat(found), _flat(expected), GRADIENTS)
    moved = (embedding - ours.state["embeddings"][task]) / rate
    require_close("the gradient of the embedding", moved, of_embedding, GRADIENTS)


def require_equal_steps(experiment: Experiment, shape: Shape, theirs: Theirs, batch: Batch) -> None:
    """The first step of a task, as it will be timed; compares the losses.

    Args:
        experiment: the settings.
        shape: of the stream.
        theirs: with the weights that ours begins with; takes the step.
        batch: for both.

    Raises:
        Disagreement: the message says what differs, and by how much.
    """
    ours = Ours(experiment, shape, theirs.task, batch[0].device)
    _order_as_theirs(ours, theirs)
    expected, found = theirs.step(batch), ours.step(batch)
    require_close("the task's loss, with Adam", found["task"], expected["task"], LOSS)
    require_close("the regulariser, with Adam", found["regularizer"], expected["regularizer"], GRADIENTS)


def require_close(what: str, ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    """Raises Disagreement where the norm of the difference is more than so much of theirs."""
    ours, theirs = ours.detach().double(), theirs.detach().double()
    difference, size = float((ours - theirs).norm()), float(theirs.norm())
    if not difference <= tolerance * size:
        raise Disagreement(
            f"ours and hypnettorch's disagree in {what}: the difference is {difference:.3g}, theirs is {size:.3g}\n"
            f"    allowed: a difference of {tolerance:g} of theirs\n"
            "    fix:     nothing is timed until the two compute the same"
        )


def _order_as_theirs(ours: Ours, theirs: Theirs) -> None:
    """hypnettorch's ResNet has all normalisations' scales and shifts first: its chunks hold other weights than ours."""
    target: GeneratedModel = ours.learner.spec.target
    names = sorted(target.shapes, key=lambda name: "norm" not in name)
    target.shapes = {name: target.shapes[name] for name in names}
    if [list(shape) for shape in target.shapes.values()] != theirs.mnet.param_shapes:
        raise Disagreement("the tensors that ours generates are not those that hypnettorch's main network has")


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _norm(tensors: list[Tensor]) -> float:
    return float(_flat(tensors).norm())
