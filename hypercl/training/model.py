"""A trained run as a model: predictions, a task's weights, its network as a plain module."""

from collections.abc import Iterator, Sequence
from copy import copy, deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from hypercl.config import UserError
from hypercl.config import load as load_config
from hypercl.config.models import at_task
from hypercl.methods import Decision, Network, NetworkLearner
from hypercl.remote import bring_checkpoints
from hypercl.training.checkpoint import Checkpoints
from hypercl.training.export import write_target
from hypercl.training.kept import KeptStates
from hypercl.training.parts import Networks
from hypercl.training.run_state import RunState


class TrainedModel:
    """What a run has learned so far.

    Inputs are (samples, channels, height, width), as the stream gives them to the network: float32 in 0 .. 1, of
    permuted streams with the task's permutation (`task.inputs(images)` of `hypercl.tasks.open_stream`). Tasks count
    from 0.

    Args:
        folder: of the run.
        seed: which of several seeds (`training.replicas`); None is the first.
        device: where it computes.
        import_paths: folders in which a user's own modules are looked for.

    Raises:
        UserError: the folder holds no run, or no task has been learned yet.
    """

    def __init__(
        self, folder: Path, seed: int | None = None, device: str = "cpu", import_paths: Sequence[Path] = ()
    ) -> None:
        self.folder, self.seed, self.import_paths = folder, seed, import_paths
        path = folder / "config.yaml"
        if not path.is_file():
            raise UserError(f"{folder} holds no run (it has no config.yaml)")
        self.experiment = load_config(path).experiment
        self.device = torch.device(device)
        bring_checkpoints(folder)
        checkpoints = Checkpoints(folder / "checkpoints", set_aside=False)
        content = checkpoints.newest(self.device)
        if content is None and checkpoints.steps:
            fix = "put them back from a copy; `hypercl doctor` lists all that is damaged in a results folder"
            raise UserError(f"{checkpoints.folder}: no checkpoint is sound\n    fix:     {fix}")
        run = RunState.of(content) if content else None
        if run is None or not run.spent:
            raise UserError(f"{folder}: no task has been learned yet\n    fix:     train it (further), then load it")
        self.learned = len(run.spent)
        """Number of tasks learned."""
        networks = Networks.of(self.experiment, self.device, import_paths)
        self.shape = networks.shape
        """Of the stream: input shape, classes of each task, scenario, the outputs of each task (`heads`)."""
        self._bundle = networks.bundle(at_task(self.experiment, self.learned - 1), run.groups)
        seeds = [self.experiment.training.seed + place for place in range(self._bundle.replicas)]
        if seed is not None and seed not in seeds:
            raise UserError(f"{folder} was not trained with seed {seed}; it has {seeds}")
        self._replica = 0 if seed is None else seeds.index(seed)
        self._state = run.state

    def predict(self, inputs: Tensor, task: int | None = None) -> Tensor:
        """The predicted class of each input: int64, (samples,); of a regression the numbers, (samples, outputs).

        With `scenario: task` a class counts within its task, with `class` over the stream, with `domain` it is the one
        of all tasks.

        Args:
            inputs: (samples, *input_shape).
            task: the task they belong to; None where the method infers it.

        Raises:
            UserError: the task is needed and not given, or is not learned.
        """
        if self.shape.regression and task is not None:
            return self.logits(inputs, task)
        if task is not None:
            classes = self.logits(inputs, task).argmax(-1)
            return classes + (self.shape.heads[task].start if self.shape.scenario == "class" else 0)
        return self._inferred(inputs)[0]

    def decide(self, inputs: Tensor, task: int | None = None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """As `predict`, with the softmax probability of each class among those of its task, or where no task is given
        and none inferred among all learned, and the task: given or inferred, (samples,), else None. Predictions of a
        regression have no probability (None).

        Raises:
            UserError: as `predict`.
        """
        if task is None:
            classes, tasks = self._inferred(inputs)
        else:
            classes, tasks = self.predict(inputs, task), torch.full((len(inputs),), task)
        if self.shape.regression:
            return classes, None, tasks
        if tasks is None:
            heads = range(self.learned) if self.shape.scenario == "class" else range(1)
            scores = torch.cat([self.logits(inputs, one) for one in heads], dim=-1).softmax(-1)
            return classes, scores.gather(-1, classes[:, None]).squeeze(-1), None
        found = torch.zeros(len(inputs), device=self.device)
        for one in range(self.learned):
            own = (tasks == one).nonzero().squeeze(-1)
            if len(own):
                scores = self.logits(inputs[own.to(inputs.device)], one)
                found[own.to(self.device)] = scores.softmax(-1).amax(-1)
        return classes, found, tasks

    def logits(self, inputs: Tensor, task: int) -> Tensor:
        """The outputs of a task's head: (samples, classes of the task)."""
        self._require_learned(task)
        predict = next(self._bundle.predictors(self._state, [task]))
        return torch.cat([predict(part)[self._replica] for part in self._parts(inputs)])

    def logits_at(self, embeddings: Tensor, inputs: Tensor, task: int) -> Iterator[Tensor]:
        """As `logits`, with the weights generated from each of some embeddings, (n, dim), in place of the task's own.

        Raises:
            UserError: as `embedding`.
        """
        self.embedding(task)
        learner, state, place = self._networks()
        head = self.shape.heads[task]
        for embedding in embeddings:
            network = learner.network(state, task, embedding)
            weights = network.weights if place is None else network.weights[place]
            buffers = {name: value if place is None else value[place] for name, value in network.buffers.items()}
            with torch.no_grad():
                outputs, _ = learner.spec.target(weights, buffers, inputs.to(self.device), training=False)
            yield outputs[:, head].cpu()

    def history(self) -> "Iterator[TrainedModel]":
        """The model as it was after each of its tasks, the first one first; none where the run did not keep them, as
        trials do not, nor a run whose test data is opened."""
        kept = KeptStates(self.folder, lambda: None)
        for task in range(self.learned) if kept.complete(self.learned) else ():
            model = copy(self)
            model._state, model.learned = kept.after(task, self.device), task + 1
            yield model

    @property
    def generated(self) -> bool:
        """Whether there is a hypernetwork, and so task embeddings."""
        return not self._networks()[0].own_weights

    def infer_task(self, inputs: Tensor) -> Tensor:
        """The task that each input is taken to belong to: int64, (samples,).

        Raises:
            UserError: the method infers no task.
        """
        tasks = self._inferred(inputs)[1]
        if tasks is None:
            raise UserError(f"method {self.experiment.method.name} infers no task")
        return tasks

    def embedding(self, task: int) -> Tensor:
        """A task's embedding: (dim,).

        Raises:
            UserError: the task is not learned, or there is no hypernetwork.
        """
        learner, state, place = self._networks()
        embeddings = state["embeddings"] if place is None else state["embeddings"][place]
        if learner.own_weights:
            raise UserError(f"method {self.experiment.method.name} has no hypernetwork, and so no task embeddings")
        self._require_learned(task)
        return embeddings[task].clone()

    def weights(self, task: int) -> dict[str, Tensor]:
        """The target's weights for a task, by the names of its parameters."""
        return self._target_state(task)[0]

    def target(self, task: int) -> nn.Module:
        """The target with a task's weights and buffers, in evaluation mode: a module like any other.

        It has the outputs of all tasks; those of this one are `outputs[:, model.shape.heads[task]]`.
        """
        weights, buffers = self._target_state(task)
        module = deepcopy(self._networks()[0].spec.target.module)
        with torch.no_grad():
            for name, value in weights.items():
                module.get_parameter(name).copy_(value)
            for name, value in buffers.items():
                module.get_buffer(name).copy_(value)
        return module.eval()

    def export(self, task: int, path: str | Path) -> Path:
        """Writes a task's target for use elsewhere: `.safetensors` (weights and buffers by name), `.pt2` (a program
        of torch.export that gives the task's logits for any number of samples) or `.onnx` (the same for ONNX).

        Raises:
            UserError: the task is not learned, another suffix, a target that cannot be traced, or `.onnx` without its
                packages.

        Example:
            model.export(0, "task-1.pt2")
            logits = torch.export.load("task-1.pt2").module()(inputs)
        """
        target = self.target(task)
        about = {"task": task, "classes": self.shape.classes[task], "scenario": self.shape.scenario}
        about |= {"target": self.experiment.target.model_dump(mode="json")}
        place = Path(path).expanduser()
        write_target(target, self.shape.heads[task], self.shape.input_shape, about, place)
        return place

    def _target_state(self, task: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weights and buffers of a task, by name."""
        learner, state, place = self._networks()
        self._require_learned(task)
        network: Network = learner.network(state, task)
        vector = network.weights if place is None else network.weights[place]
        buffers = {name: value if place is None else value[place] for name, value in network.buffers.items()}
        weights = {name: value.detach().clone() for name, value in learner.spec.target.split(vector).items()}
        return weights, buffers

    def _networks(self) -> tuple[NetworkLearner, dict[str, Tensor], int | None]:
        learner, state, place = self._bundle.member(self._state, self._replica)
        if not isinstance(learner, NetworkLearner):
            raise UserError(f"method {self.experiment.method.name} is your own: only predictions can be asked of it")
        return learner, state, place

    def _inferred(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """The method's decision on each input after all passes: its outputs, and its task if it infers one."""
        if self.shape.scenario == "task":
            raise UserError("tasks.scenario is task: name the task of the inputs, predict(inputs, task=0)")
        parts = list(self._parts(inputs))
        decisions: list[Decision | None] = [None] * len(parts)
        for infer in self._bundle.task_inferences(self._state, self.learned):
            decisions = [infer(part, decision) for part, decision in zip(parts, decisions, strict=True)]
        made = [decision for decision in decisions if decision is not None]
        tasks = [decision.tasks[self._replica] for decision in made if decision.tasks is not None]
        return torch.cat([decision.outputs[self._replica] for decision in made]), torch.cat(tasks) if tasks else None

    def _parts(self, inputs: object) -> Iterator[Tensor]:
        """As many inputs at once as are quick to predict."""
        if not isinstance(inputs, Tensor):
            raise UserError(
                f"inputs are a {type(inputs).__name__}; allowed: a torch.Tensor\n"
                "    fix:     torch.as_tensor(inputs, dtype=torch.float32)"
            )
        if tuple(inputs.shape[1:]) != self.shape.input_shape:
            raise UserError(
                f"inputs have shape {tuple(inputs.shape)}; allowed: (samples, "
                f"{', '.join(map(str, self.shape.input_shape))})"
            )
        if not inputs.is_floating_point():
            raise UserError(f"inputs are {inputs.dtype}; allowed: floats, as `task.inputs(images)` of the stream gives")
        whole, most = inputs.to(self.device, torch.float32), self._bundle.samples
        return (whole[start : start + most] for start in range(0, len(whole), most))

    def _require_learned(self, task: int) -> None:
        if not 0 <= task < self.learned:
            raise UserError(f"task {task} is not learned; this run has learned tasks 0 to {self.learned - 1}")
