"""A plain module called with generated weights."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hypercl.config import UserError, did_you_mean
from hypercl.targets.bundled import Convolutions, Way, drawn_from, vmap_failure, vmapped
from hypercl.tensors import random_state_kept


def generated_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters to generate, by name, in the module's order: all that require a gradient, tied ones once."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


class GeneratedModel:
    """A module whose parameters are one flat vector, an argument of each call.

    Parameters that do not require a gradient remain constants of the module; buffers (such as the running statistics of
    batch normalisation) are arguments and results, so that a caller can keep them per task.

    Args:
        module: any module that maps (batch, *input_shape) to (batch, num_outputs).
        input_shape: of one input.
        num_outputs: outputs, all heads together.
        head: name of the linear layer that computes the outputs; by default the last linear layer that fits.

    Raises:
        UserError: there is nothing to generate, the module cannot run on such inputs, it returns something else, or
            `head` names no linear layer with `num_outputs` outputs.
    """

    def __init__(
        self, module: nn.Module, input_shape: tuple[int, ...], num_outputs: int, head: str | None = None
    ) -> None:
        parameters = generated_parameters(module)
        self.module = module
        self.input_shape = tuple(input_shape)
        self.num_outputs = num_outputs
        self.shapes: dict[str, torch.Size] = {name: parameter.shape for name, parameter in parameters.items()}
        """Shape of each generated parameter, in the order of the flat vector."""
        self.num_weights: int = sum(shape.numel() for shape in self.shapes.values())
        """Length of the flat vector."""
        if not self.num_weights:
            raise UserError(f"target: no parameter of {_name(module)} requires a gradient: nothing to generate")
        self._head = head
        self.random = False
        """Whether a training-mode forward draws random numbers from torch (dropout and the like)."""
        if head is not None:
            find_head(module, num_outputs, head)
        with Convolutions() as convolutions:
            self.random = self._try_out()
        self.convolves = convolutions.seen
        """Whether a forward computes convolutions."""

    def to(self, device: torch.device | str) -> "GeneratedModel":
        """Moves the module's constants and initial buffers; returns itself."""
        self.module.to(device)
        return self

    def initial_buffers(self) -> dict[str, Tensor]:
        """Copies of the module's initial buffers, on its device."""
        return {name: buffer.detach().clone() for name, buffer in self.module.named_buffers()}

    def initial_weights(self) -> Tensor:
        """The module's own parameters as one vector: (num_weights,)."""
        return torch.cat([parameter.detach().flatten() for parameter in generated_parameters(self.module).values()])

    def split(self, weights: Tensor) -> dict[str, Tensor]:
        """Views of a flat vector (num_weights,), one for each generated parameter."""
        parts = torch.split(weights, [shape.numel() for shape in self.shapes.values()], dim=-1)
        shapes = self.shapes.items()
        return {name: part.view(*part.shape[:-1], *shape) for (name, shape), part in zip(shapes, parts, strict=True)}

    def __call__(
        self, weights: Tensor, buffers: dict[str, Tensor], inputs: Tensor, training: bool, seed: int | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One forward pass: outputs (batch, num_outputs), and buffers (new tensors in training, else the same dict).

        Args:
            weights: (num_weights,).
            buffers: from `initial_buffers` or an earlier call; never modified.
            inputs: (batch, *input_shape).
            training: whether layers behave as in training.
            seed: of the module's own random numbers, such as dropout masks, in training; torch's global state is then
                not changed. Without a seed they are drawn from that state.
        """
        if self.module.training != training:
            self.module.train(training)
        state = self.split(weights) | {name: buffer.clone() for name, buffer in buffers.items()}
        seeded = drawn_from(seed, inputs.device) if training and self.random and seed is not None else nullcontext()
        with seeded:
            outputs = functional_call(self.module, state, (inputs,))
        # functional_call writes buffers that the module replaces, rather than changes in place, back into `state` too
        return outputs, {name: state[name].detach() for name in buffers} if training else buffers

    def bundle(
        self,
        weights: Tensor,
        buffers: dict[str, Tensor],
        inputs: Tensor,
        training: bool,
        seeds: Sequence[int] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One forward pass with each of several vectors of weights; each result equals that of a call with it alone.

        As a call, with a leading bundle axis of weights, buffers and results; inputs (bundle, batch, *input_shape), or
        (batch, *input_shape) for all; one seed per vector.
        """
        shared = inputs.dim() == len(self.input_shape) + 1
        way = self.way(inputs.device, training)
        if way == "loop":
            batches = inputs.expand(len(weights), *inputs.shape) if shared else inputs
            members = zip(weights.unbind(), batches.unbind(), seeds or [None] * len(weights), strict=True)
            passes = [
                self(vector, {name: value[index] for name, value in buffers.items()}, batch, training, seed)
                for index, (vector, batch, seed) in enumerate(members)
            ]
            outputs = torch.stack([output for output, _ in passes])
            after = {name: torch.stack([changed[name] for _, changed in passes]) for name in buffers}
        else:
            if self.module.training != training:
                self.module.train(training)
            state = self.split(weights) | buffers
            if way == "stacked":
                outputs, after = functional_call(self.module, state, (inputs,)), {}
            else:
                outputs, after = vmapped(self.module, state, tuple(buffers), inputs, shared)
        return outputs, {name: value.detach() for name, value in after.items()} if training else buffers

    def way(self, device: torch.device, training: bool) -> Way:
        """The fastest correct way for `bundle` to compute.

        A pass that draws random numbers is a loop, since each member draws from its own seed. vmap turns convolutions
        into grouped ones, which a CPU runs slower than one after the other, and a GPU faster.
        """
        if training and self.random:
            return "loop"
        if getattr(self.module, "takes_stacked_weights", False):
            return "stacked"
        return "loop" if device.type == "cpu" and (self.convolves or self._vmap_failure is not None) else "vmap"

    def require_bundle(self, device: torch.device) -> None:
        """Makes sure that a bundle can be computed on a device.

        Raises:
            UserError: it requires torch.vmap, which cannot run the module; names the layer.
        """
        if "vmap" in (self.way(device, False), self.way(device, True)) and self._vmap_failure is not None:
            raise UserError(
                f"training.replicas: a layer of the target cannot be replicated on a GPU: {self._vmap_failure}\n"
                "    fix:     --set training.replicas=1, or --device cpu, where replicas run one after the other"
            )

    @cached_property
    def _vmap_failure(self) -> str | None:
        """Why torch.vmap cannot run the module; it never runs a training pass that draws."""
        weights, buffers = self.initial_weights(), self.initial_buffers()
        inputs = torch.zeros(2, *self.input_shape, device=weights.device)
        modes = (False,) if self.random else (False, True)
        return vmap_failure(self.module, self.split(weights) | buffers, tuple(buffers), inputs, modes)

    def output_of(self) -> Tensor:
        """The output that a weight belongs to: int64, (num_weights,).

        Rows of the head's weight matrix and entries of its bias belong to one output each; all other weights are -1.

        Raises:
            UserError: no linear layer of the module can be its head.
        """
        name, layer = find_head(self.module, self.num_outputs, self._head)
        owners = {weight: torch.full((shape.numel(),), -1) for weight, shape in self.shapes.items()}
        units = torch.arange(self.num_outputs)
        if f"{name}.weight" in owners:
            owners[f"{name}.weight"] = units.repeat_interleave(layer.in_features)
        if f"{name}.bias" in owners:
            owners[f"{name}.bias"] = units
        return torch.cat(list(owners.values()))

    def _try_out(self) -> bool:
        """Runs two blank inputs; returns whether random numbers were drawn."""
        inputs = torch.zeros(2, *self.input_shape)
        with random_state_kept(), torch.no_grad():
            before = torch.get_rng_state()
            try:
                outputs: Any
                outputs, _ = self(self.initial_weights(), self.initial_buffers(), inputs, training=True)
            except Exception as error:
                raise UserError(
                    f"target: {_name(self.module)} cannot run on inputs of shape {tuple(inputs.shape)}: {error}"
                ) from error
            drawn = not torch.equal(before, torch.get_rng_state())
        if not isinstance(outputs, Tensor) or outputs.shape != (2, self.num_outputs):
            returned = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
            raise UserError(
                f"target: {_name(self.module)} returned {returned} for inputs of shape {tuple(inputs.shape)}, "
                f"not ({len(inputs)}, {self.num_outputs}): a target maps (batch, ...) to (batch, outputs)"
            )
        return drawn


def _name(module: nn.Module) -> str:
    return type(module).__name__


def find_head(module: nn.Module, num_outputs: int, name: str | None) -> tuple[str, nn.Linear]:
    """The linear layer whose rows are the outputs, with its name in the module.

    A layer that shares parameters with another cannot be the head: a row would belong to more than one output.

    Args:
        module: the target.
        num_outputs: outputs the head must have.
        name: the layer, from `target.head`; None takes the last linear layer that fits.

    Raises:
        UserError: there is no such layer, or it does not fit.
    """
    modules: dict[str, nn.Module] = dict(module.named_modules())
    layers = {path: layer for path, layer in modules.items() if isinstance(layer, nn.Linear)}
    fitting = [path for path in layers if _fits(module, path, layers[path], num_outputs)]
    choice = name if name is not None else next(reversed(fitting), None)
    if choice in fitting:
        return choice, layers[choice]
    allowed = f"allowed: {', '.join(fitting) or 'none'}"
    if name is None:
        what = f"no linear layer of {type(module).__name__} has {num_outputs} outputs and unshared weights"
        fix = "set target.head to the layer that computes the outputs, or method.regularizer.mask_heads: false"
    elif name in layers:
        what, fix = f"target.head: '{name}' does not have {num_outputs} outputs and unshared weights", allowed
    else:
        what = f"target.head: {type(module).__name__} has no linear layer '{name}'"
        fix = did_you_mean(name, list(layers)) or allowed
    sizes = ", ".join(
        f"{path or 'itself'} ({layer.in_features} to {layer.out_features})" for path, layer in layers.items()
    )
    raise UserError(f"{what}\n    linear layers: {sizes or 'none'}\n    fix:     {fix}")


def _fits(module: nn.Module, path: str, layer: nn.Linear, num_outputs: int) -> bool:
    names = [name for name, parameter in module.named_parameters(remove_duplicate=False) if parameter is layer.weight]
    return layer.out_features == num_outputs and names == [f"{path}.weight" if path else "weight"]
