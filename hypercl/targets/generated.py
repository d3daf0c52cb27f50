"""A plain module called with generated weights."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from itertools import chain

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hypercl.config import UserError, did_you_mean
from hypercl.seeds import generator
from hypercl.targets.bundled import Way, drawn_from, vmap_failure, vmapped
from hypercl.targets.try_out import named, try_out
from hypercl.tensors import copied_at_once


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
        _require_generated(module, parameters)
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
        if head is not None:
            find_head(module, num_outputs, head)
        parts = self.split(self.initial_weights().requires_grad_())
        self.output_steps: int = getattr(module, "output_steps", 0)
        """Steps of the outputs (batch, steps, num_outputs); 0 where they are (batch, num_outputs)."""
        outputs = (self.output_steps, num_outputs) if self.output_steps else (num_outputs,)
        behavior = try_out(module, parts, self.initial_buffers(), self.input_shape, outputs)
        self.random: bool = behavior.random
        """Whether a training pass draws from the global random state (dropout and the like)."""
        self._draws = {True: behavior.random, False: behavior.random_in_evaluation}
        self.convolves: bool = behavior.convolves
        """Whether a forward computes convolutions."""
        self.fails_on_one: str = behavior.fails_on_one
        """Why a training pass with a batch of one fails; '' if it does not."""
        self.unread: tuple[str, ...] = behavior.unread
        """Generated parameters that no gradient of the outputs reaches."""
        self._writes_inputs = behavior.writes_inputs

    def to(self, device: torch.device | str) -> "GeneratedModel":
        """Moves the module's constants and initial buffers; returns itself."""
        self.module.to(device)
        return self

    def initial_buffers(self) -> dict[str, Tensor]:
        """Copies of the module's initial buffers, on its device."""
        return {name: buffer.detach().clone() for name, buffer in self.module.named_buffers()}

    def initial_weights(self) -> Tensor:
        """The module's own parameters as one vector: (num_weights,)."""
        parameters = generated_parameters(self.module).values()
        return torch.cat([parameter.detach().flatten().float() for parameter in parameters])

    def fingerprint(self) -> Tensor:
        """Numbers that tell whether two models are the same function, up to rounding: (numbers,), float32.

        They are outputs for fixed inputs and weights, which the module's constants determine, and a projection of its
        own initial weights.
        """
        random = generator("fingerprint")
        parts = [
            torch.randn(shape, generator=random).div(max(1, shape[1:].numel()) ** 0.5).flatten()
            for shape in self.shapes.values()
        ]
        inputs, weights = torch.rand(5, *self.input_shape, generator=random), torch.cat(parts)
        device = next(chain(self.module.parameters(), self.module.buffers())).device
        with torch.no_grad():
            outputs, _ = self(weights.to(device), self.initial_buffers(), inputs.to(device), training=False)
        return torch.cat([outputs.float().flatten().cpu(), (weights @ self.initial_weights().cpu()).reshape(1)])

    def split(self, weights: Tensor) -> dict[str, Tensor]:
        """Views of a flat vector (num_weights,), one for each generated parameter."""
        parts = torch.split(weights, [shape.numel() for shape in self.shapes.values()], dim=-1)
        shapes = self.shapes.items()
        return {name: part.view(part.shape[:-1] + shape) for (name, shape), part in zip(shapes, parts, strict=True)}

    def __call__(
        self, weights: Tensor, buffers: dict[str, Tensor], inputs: Tensor, training: bool, seed: int | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One forward pass: outputs and buffers (new tensors in training, else the same dict).

        The outputs are (batch, num_outputs), or with `output_steps` (batch, steps, num_outputs).

        Args:
            weights: (num_weights,).
            buffers: from `initial_buffers` or an earlier call; never modified.
            inputs: (batch, *input_shape).
            training: whether layers behave as in training.
            seed: of the module's own random numbers, such as dropout masks, in training; the global state is then not
                changed. Without a seed they are drawn from that state. In evaluation the seed is always 0.
        """
        if self.module.training != training:
            self.module.train(training)
        state = self.split(weights) | copied_at_once(buffers)
        seed = seed if training else 0
        seeded = drawn_from(seed, inputs.device) if self._draws[training] and seed is not None else nullcontext()
        with seeded:
            outputs = functional_call(self.module, state, (inputs.clone() if self._writes_inputs else inputs,))
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
            if self._writes_inputs:
                inputs = inputs.expand(len(weights), *inputs.shape).clone() if shared else inputs.clone()
                shared = False
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
        if self._draws[training]:
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
        """Why torch.vmap cannot run the module; it never runs a pass that draws."""
        weights, buffers = self.initial_weights(), self.initial_buffers()
        inputs = torch.zeros(2, *self.input_shape, device=weights.device)
        modes = tuple(mode for mode in (False, True) if not self._draws[mode])
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


def same_fingerprint(left: Tensor, right: Tensor) -> bool:
    """Whether two fingerprints of a target are equal up to rounding, which differs between machines."""
    return left.shape == right.shape and torch.allclose(left, right, rtol=1e-2, atol=1e-3, equal_nan=True)


def _require_generated(module: nn.Module, parameters: dict[str, nn.Parameter]) -> None:
    """Refuses parameters whose values cannot be replaced by generated float32 numbers."""
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise UserError(
            f"target: {_name(module)} is scripted (torch.jit), so its weights cannot be generated\n"
            "    fix:     return the plain module, without torch.jit.script or trace"
        )
    if split := [name for name, parameter in parameters.items() if parameter.is_complex()]:
        raise UserError(
            f"target: {_name(module)} has complex parameters ({named(split)}); generated weights are real numbers\n"
            "    fix:     keep real and imaginary parts in the last axis of a real parameter, and use "
            "torch.view_as_complex in forward"
        )


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
