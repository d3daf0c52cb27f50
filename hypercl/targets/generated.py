"""A plain module called with weights that somebody else generates."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hypercl.config import UserError, did_you_mean
from hypercl.targets.bundled import Convolutions, Way, cannot_bundle, drawn_from, vmap_failure, vmapped, way_of
from hypercl.tensors import random_state_kept


def generated_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters to be generated, by name, in the module's order: all that require a gradient, tied ones once."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


class GeneratedModel:
    """A module whose parameters are one flat vector given with each call.

    The module knows nothing of this. Parameters that do not require a gradient stay its own constants; buffers (such
    as the running statistics of batch normalisation) go in and come out, so that a caller can keep them per task.

    Args:
        module: any module that maps (batch, *input_shape) to (batch, num_outputs).
        input_shape: of one input.
        num_outputs: outputs, all heads together.
        head: name of the linear layer that makes the outputs; otherwise the last linear layer that fits.

    Raises:
        UserError: nothing can be generated, the module cannot run on such inputs, it returns something else, or `head`
            names no linear layer with `num_outputs` outputs.
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
        """Copies of the module's buffers as it was built, on its device."""
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
        """One forward pass.

        Args:
            weights: (num_weights,).
            buffers: as `initial_buffers` or an earlier call returned them; never modified.
            inputs: (batch, *input_shape).
            training: whether layers behave as in training.
            seed: what the module's own random numbers, dropout masks above all, are drawn from in training; torch's
                global state is then left as it was. Without a seed they are drawn from that state.

        Returns:
            Outputs (batch, num_outputs), and the buffers after the pass: new tensors in training, the same dict
            otherwise.
        """
        if self.module.training != training:
            self.module.train(training)
        state = self.split(weights) | {name: buffer.clone() for name, buffer in buffers.items()}
        seeded = drawn_from(seed, inputs.device) if training and self.random and seed is not None else nullcontext()
        with seeded:
            outputs = functional_call(self.module, state, (inputs,))
        # functional_call also writes a buffer that the module replaced, rather than changed in place, back into `state`
        return outputs, {name: state[name].detach() for name in buffers} if training else buffers

    def bundle(
        self,
        weights: Tensor,
        buffers: dict[str, Tensor],
        inputs: Tensor,
        training: bool,
        seeds: Sequence[int] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One forward pass with each of several vectors of weights; each gives what a call with it alone gives.

        Args:
            weights: (bundle, num_weights).
            buffers: each (bundle, ...); never modified.
            inputs: (bundle, batch, *input_shape), or (batch, *input_shape) for all.
            training: whether layers behave as in training.
            seeds: one for each vector, as `seed` of a call.

        Returns:
            Outputs (bundle, batch, num_outputs), and the buffers after the pass, each (bundle, ...): new tensors in
            training, the same dict otherwise.
        """
        shared = inputs.dim() == len(self.input_shape) + 1
        way = self.way(inputs.device, training)
        if way == "loop":
            each = inputs.expand(len(weights), *inputs.shape) if shared else inputs
            passes = [
                self(own, {name: value[index] for name, value in buffers.items()}, given, training, seed)
                for index, (own, given, seed) in enumerate(
                    zip(weights.unbind(), each.unbind(), seeds or [None] * len(weights), strict=True)
                )
            ]
            outputs = torch.stack([output for output, _ in passes])
            after = {name: torch.stack([found[name] for _, found in passes]) for name in buffers}
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
        """How `bundle` computes."""
        stacks = bool(getattr(self.module, "takes_stacked_weights", False))
        vmaps = stacks or self.convolves or self._vmap_failure is None
        return way_of(stacks, training and self.random, self.convolves, vmaps, device)

    def require_bundle(self, device: torch.device) -> None:
        """Makes sure that a bundle can be computed on a device.

        Raises:
            UserError: torch.vmap is the way there and cannot run the module; names the layer.
        """
        if "vmap" in (self.way(device, False), self.way(device, True)) and self._vmap_failure is not None:
            raise cannot_bundle(self._vmap_failure)

    @cached_property
    def _vmap_failure(self) -> str | None:
        """Why torch.vmap cannot run the module; a training pass that draws is not run by it."""
        return vmap_failure(self, self.input_shape, (False,) if self.random else (False, True))

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
        """Runs two blank inputs; says whether random numbers were drawn."""
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
            given = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
            raise UserError(
                f"target: {_name(self.module)} returned {given} for inputs of shape {tuple(inputs.shape)}, "
                f"not ({len(inputs)}, {self.num_outputs}): a target maps (batch, ...) to (batch, outputs)"
            )
        return drawn


def _name(module: nn.Module) -> str:
    return type(module).__name__


def find_head(module: nn.Module, num_outputs: int, name: str | None) -> tuple[str, nn.Linear]:
    """The linear layer whose rows are the outputs, with its name in the module.

    A layer whose parameters are shared with another layer cannot be the head: a row would belong to more than an
    output.

    Args:
        module: the target.
        num_outputs: outputs the head must have.
        name: the layer, as `target.head` gives it; None takes the last linear layer that fits.

    Raises:
        UserError: there is no such layer, or it does not fit.
    """
    modules: dict[str, nn.Module] = dict(module.named_modules())
    layers = {path: layer for path, layer in modules.items() if isinstance(layer, nn.Linear)}
    fitting = [path for path in layers if _fits(module, path, layers[path], num_outputs)]
    if name is None and fitting:
        return fitting[-1], layers[fitting[-1]]
    if name is not None and name in fitting:
        return name, layers[name]
    if name is None:
        what = f"no linear layer of {type(module).__name__} has {num_outputs} outputs and weights of its own"
        fix = "set target.head to the layer that makes the outputs, or method.regularizer.mask_heads: false"
    elif name in layers:
        what = f"target.head: '{name}' does not have {num_outputs} outputs and weights of its own"
        fix = f"allowed: {', '.join(fitting) or 'none'}"
    else:
        what = f"target.head: {type(module).__name__} has no linear layer '{name}'"
        fix = did_you_mean(name, list(layers)) or f"allowed: {', '.join(fitting) or 'none'}"
    sizes = ", ".join(
        f"{path or 'itself'} ({layer.in_features} to {layer.out_features})" for path, layer in layers.items()
    )
    raise UserError(f"{what}\n    linear layers: {sizes or 'none'}\n    fix:     {fix}")


def _fits(module: nn.Module, path: str, layer: nn.Linear, num_outputs: int) -> bool:
    names = [name for name, parameter in module.named_parameters(remove_duplicate=False) if parameter is layer.weight]
    return layer.out_features == num_outputs and names == [f"{path}.weight" if path else "weight"]
