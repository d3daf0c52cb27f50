"""A task-conditioned hypernetwork whose outputs for earlier embeddings are held fixed (von Oswald et al., 2020)."""

import torch
from torch import Tensor

from hypercl.config.method import Hnet
from hypercl.methods.hypernet_learner import HypernetLearner, Parts, Protection, Tensors
from hypercl.methods.learner import Memory, Moment, State
from hypercl.regularizers import DirectForm, GramAnchor, GramForm, HeadMask, cheaper_form, clip_norm, draw_subset
from hypercl.seeds import generator


class HnetLearner(HypernetLearner):
    """loss = L_task + beta * R, R the output regulariser at theta + dtheta.

    An embedding is trained on its own task alone, which does not feel R, and frozen afterwards; or, if the method is
    asked to, it is trained on R alone while later tasks are learned, by an optimiser of its own.
    Adds to the state `anchor`, theta and the earlier embeddings as they were before the task; the outputs made with
    them are memory, not state.
    """

    def __init__(self, parts: Parts, config: Hnet) -> None:
        super().__init__(parts)
        self.config = config
        heads = torch.tensor([[head.start, head.stop] for head in parts.heads], device=parts.device)
        mask = HeadMask(parts.target.output_of().to(parts.device), heads) if config.regularizer.mask_heads else None
        self.direct = DirectForm(parts.hypernet, mask, store=config.regularizer.tasks is None)
        self.gram = GramForm(parts.hypernet, mask)

    def init(self) -> State:
        return {**super().init(), "anchor": {}}

    def start_task(self, state: State, task: int) -> State:
        state = {**super().start_task(state, task), "anchor": {}}
        if not self._protects(task):
            return state
        earlier = state["embeddings"][:task].clone()
        if self.config.train_earlier_embeddings:
            own = {"earlier": self.optimizer.init({"embeddings": earlier})}
            state = {**state, "optimizer": state["optimizer"] | own}
        return {**state, "anchor": {"theta": dict(state["theta"]), "embeddings": earlier}}

    def memory(self, state: State, task: int) -> Memory:
        if not self._protects(task):
            return None
        form = self.gram if self._form(task) == "gram" else self.direct
        return form.anchor(**state["anchor"])

    def end_task(self, state: State, task: int) -> State:
        del task
        return {**state, "anchor": {}}

    def knowledge(self, state: State) -> State:
        return {key: value for key, value in super().knowledge(state).items() if key != "anchor"}

    def _protected(self, state: State, memory: Memory, grads: Tensors, now: Moment) -> Protection:
        if memory is None:
            return Protection(grads)
        config, earlier = self.config, state["embeddings"][: now.task]
        theta, embeddings = state["theta"], earlier if config.train_earlier_embeddings else None
        if config.lookahead:
            theta = self._look_ahead(theta, grads, state["optimizer"]["theta"], now)
        if config.lookahead and embeddings is not None:
            unfelt = {"embeddings": torch.zeros_like(earlier)}
            own = {"embeddings": earlier}
            embeddings = self._look_ahead(own, unfelt, state["optimizer"]["earlier"], now)["embeddings"]
        if isinstance(memory, GramAnchor):
            pairs = self._pairs(now, memory.num_pairs)
            value, pull = self.gram.value_and_grad(theta, memory, self._tasks(now), embeddings, pairs)
        else:
            value, pull = self.direct.value_and_grad(theta, memory, self._tasks(now), embeddings)
        pulled = {name: grad + config.beta * pull[name] for name, grad in grads.items()}
        moved = self._earlier_moved(state, config.beta * pull["embeddings"], now) if embeddings is not None else None
        return Protection(pulled, {"regularizer": value}, moved)

    def _look_ahead(self, values: Tensors, grads: Tensors, state: Tensors, now: Moment) -> Tensors:
        """Where the optimiser would go on the task's gradient alone; a constant to the gradient of R."""
        return self._moved(values, clip_norm(grads, self.parts.training.clip_norm), state, now.lr)[0]

    def _earlier_moved(self, state: State, grad: Tensor, now: Moment) -> tuple[Tensor, Tensors]:
        """Embeddings of the earlier tasks after a step on R alone."""
        bounded = clip_norm({"embeddings": grad}, self.parts.training.clip_norm)
        earlier = {"embeddings": state["embeddings"][: now.task]}
        moved, optimizer = self._moved(earlier, bounded, state["optimizer"]["earlier"], now.lr)
        return moved["embeddings"], optimizer

    def _protects(self, task: int) -> bool:
        return task > 0 and self.config.beta > 0

    def _form(self, task: int) -> str:
        """The form in which a task's steps compare; the same whenever it is asked."""
        config = self.config.regularizer
        if config.form != "auto":
            return config.form
        if config.pairs is not None and config.pairs < self.gram.num_pairs(task):
            return "gram"
        return cheaper_form(self.gram.sizes(min(task, config.tasks or task)))

    def _tasks(self, now: Moment) -> Tensor | None:
        """The earlier tasks that this step compares; None for all."""
        size = self.config.regularizer.tasks
        if size is None or size >= now.task:
            return None
        draw = generator(self.parts.training.seed, "regularized tasks", now.task, now.step)
        return draw_subset(now.task, size, draw)

    def _pairs(self, now: Moment, num_pairs: int) -> Tensor | None:
        """The pairs (task, chunk) that this step compares, as numbers below `num_pairs`; None for all."""
        size = self.config.regularizer.pairs
        if size is None or size >= num_pairs:
            return None
        draw = generator(self.parts.training.seed, "regularized pairs", now.task, now.step)
        return draw_subset(num_pairs, size, draw)

