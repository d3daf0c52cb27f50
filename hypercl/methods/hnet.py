"""A task-conditioned hypernetwork whose outputs for earlier embeddings are held fixed (von Oswald et al., 2020)."""

import torch
from torch import Tensor

from hypercl.config.method import Hnet
from hypercl.methods.hypernet_learner import HypernetLearner, Parts, Tensors
from hypercl.methods.learner import Losses, Memory, Moment, State
from hypercl.regularizers import DirectForm, HeadMask, OutputRegularizer, clip_norm, draw_subset
from hypercl.seeds import generator


class HnetLearner(HypernetLearner):
    """loss = L_task + beta * R, R the output regulariser at theta + dtheta.

    Only theta feels R; an embedding is trained on its own task alone and frozen afterwards.
    Adds to the state `anchor`, theta as it was before the task; the outputs made with it are memory, not state.
    """

    def __init__(self, parts: Parts, config: Hnet) -> None:
        super().__init__(parts)
        self.config = config
        heads = torch.tensor([[head.start, head.stop] for head in parts.heads], device=parts.device)
        mask = HeadMask(parts.target.output_of().to(parts.device), heads) if config.regularizer.mask_heads else None
        self.regularizer: OutputRegularizer = DirectForm(parts.hypernet, mask, store=config.regularizer.tasks is None)

    def init(self) -> State:
        return {**super().init(), "anchor": {}}

    def start_task(self, state: State, task: int) -> State:
        anchor = dict(state["theta"]) if self._protects(task) else {}
        return {**super().start_task(state, task), "anchor": anchor}

    def memory(self, state: State, task: int) -> Memory:
        if not self._protects(task):
            return None
        return self.regularizer.anchor(state["anchor"], state["embeddings"][:task])

    def end_task(self, state: State, task: int) -> State:
        del task
        return {**state, "anchor": {}}

    def knowledge(self, state: State) -> State:
        return {key: value for key, value in super().knowledge(state).items() if key != "anchor"}

    def _protected(self, state: State, memory: Memory, grads: Tensors, now: Moment) -> tuple[Tensors, Losses]:
        if memory is None:
            return grads, {}
        theta = self._look_ahead(state, grads, now) if self.config.lookahead else state["theta"]
        value, pull = self.regularizer.value_and_grad(theta, memory, self._subset(now))
        return {name: grad + self.config.beta * pull[name] for name, grad in grads.items()}, {"regularizer": value}

    def _look_ahead(self, state: State, grads: Tensors, now: Moment) -> Tensors:
        """Where the optimiser would go on the task's gradient alone; a constant to the gradient of R."""
        bounded = clip_norm(grads, self.parts.training.clip_norm)
        return self._moved(state["theta"], bounded, state["optimizer"]["theta"], now.lr)[0]

    def _protects(self, task: int) -> bool:
        return task > 0 and self.config.beta > 0

    def _subset(self, now: Moment) -> Tensor | None:
        """The earlier tasks that this step compares; None for all."""
        size = self.config.regularizer.tasks
        if size is None or size >= now.task:
            return None
        draw = generator(self.parts.training.seed, "regularized tasks", now.task, now.step)
        return draw_subset(now.task, size, draw).to(self.parts.device)
