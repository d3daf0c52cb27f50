"""A module is tried out as a run uses it, when it is built: what does not work is said before anything is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hypercl.config import UserError
from hypercl.formatting import first_line
from hypercl.targets.bundled import Convolutions
from hypercl.tensors import Tensors, random_state, random_state_kept

_PASSES = ((True, 2), (False, 5), (True, 5), (True, 2), (False, 1), (False, 5))
"""Whether in training, and batch size; a pass that is repeated must give the same outputs."""
_NAMED = 5


@dataclass(frozen=True)
class Behavior:
    """What the passes of a module have in common."""

    random: bool
    """Whether a training pass draws from the global random state (dropout and the like)."""
    random_in_evaluation: bool
    convolves: bool
    """Whether passes compute convolutions."""
    writes_inputs: bool
    """Whether a pass changes its inputs in place."""
    fails_on_one: str
    """Why a training pass with a batch of one fails (batch normalisation); '' if it does not."""
    unread: tuple[str, ...]
    """Parameters that no gradient of the outputs reaches."""


def try_out(
    module: nn.Module,
    parameters: Tensors,
    buffers: Mapping[str, Tensor],
    input_shape: tuple[int, ...],
    outputs: tuple[int, ...],
) -> Behavior:
    """Runs a module in both modes with batches of 1, 2 and 5, with float32 weights that require a gradient.

    Args:
        module: the target.
        parameters: initial values of the generated ones, float32, views of one vector that requires a gradient.
        buffers: the initial ones.
        input_shape: of one input.
        outputs: shape of the module's for an input, the last axis all heads together.

    Raises:
        UserError: a pass fails, returns something else than (batch, outputs), changes its weights, differs from an
            equal pass before, or its outputs have no gradient.
    """
    return _TryOut(module, parameters, buffers, input_shape, outputs).behavior()


class _TryOut:
    def __init__(
        self,
        module: nn.Module,
        parameters: Tensors,
        buffers: Mapping[str, Tensor],
        input_shape: tuple[int, ...],
        outputs: tuple[int, ...],
    ) -> None:
        self.module, self.parameters, self.buffers = module, parameters, buffers
        self.input_shape, self.outputs = input_shape, outputs
        self.before = {name: value.detach().clone() for name, value in parameters.items()}
        self.draws, self.writes_inputs = [False, False], False
        self.reached: set[str] = set()
        self.name = type(module).__name__

    def behavior(self) -> Behavior:
        results: dict[tuple[bool, int], Tensor] = {}
        known = {name for name, _ in self.module.named_parameters()}
        with Convolutions() as convolutions:
            for training, batch in _PASSES:
                outputs = self._pass(training, batch)
                first = results.setdefault((training, batch), outputs)
                if not torch.allclose(outputs, first, rtol=1e-3, atol=1e-5, equal_nan=True):
                    raise UserError(
                        f"target: {self.name} returned other outputs for the same weights, buffers, inputs and seed, "
                        f"in {_mode(training)}: it keeps state or random numbers of its own\n"
                        "    fix:     keep state in buffers (register_buffer), and draw from torch's global random "
                        "state, without a generator"
                    )
            try:
                self._run(True, 1)
                fails_on_one = ""
            except Exception as error:
                fails_on_one = first_line(error)
        if new := [name for name, _ in self.module.named_parameters() if name not in known]:
            raise UserError(
                f"target: {self.name} creates parameters in forward ({named(new)}), which are not generated\n"
                "    fix:     create them in __init__, or use lazy layers such as nn.LazyLinear"
            )
        if not self.reached:
            raise UserError(
                f"target: no gradient reaches the weights of {self.name}: its outputs do not depend on them, or it "
                "computes them under torch.no_grad() or with detached tensors\n"
                "    fix:     remove what stops gradients in forward"
            )
        unread = tuple(name for name in self.parameters if name not in self.reached)
        draws = self.draws[True], self.draws[False]
        return Behavior(*draws, convolutions.seen, self.writes_inputs, fails_on_one, unread)

    def _pass(self, training: bool, batch: int) -> Tensor:
        try:
            outputs = self._run(training, batch)
        except Exception as error:
            raise self._failed(training, batch, str(error) or type(error).__name__) from error
        shape = (batch, *self.input_shape)
        if not isinstance(outputs, Tensor) or outputs.shape != (batch, *self.outputs):
            returned = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
            raise UserError(
                f"target: {self.name} returned {returned} for inputs of shape {shape} in {_mode(training)}, not "
                f"{(batch, *self.outputs)}: a target maps (batch, ...) to (batch, outputs) in training and evaluation"
            )
        if not outputs.is_floating_point():
            raise UserError(f"target: {self.name} returned {outputs.dtype} in {_mode(training)}, not floats")
        if outputs.requires_grad:
            try:
                values = list(self.parameters.values())
                found = torch.autograd.grad(outputs.sum(), values, allow_unused=True)
            except Exception as error:
                raise self._failed(training, batch, f"a backward pass failed: {error}") from error
            named = zip(self.parameters, found, strict=True)
            self.reached |= {name for name, gradient in named if gradient is not None}
        return outputs.detach()

    def _run(self, training: bool, batch: int) -> Any:
        if self.module.training != training:
            self.module.train(training)
        state = {**self.parameters, **{name: buffer.clone() for name, buffer in self.buffers.items()}}
        with random_state_kept(seed=batch), torch.set_grad_enabled(training):
            inputs = torch.rand(batch, *self.input_shape)
            given, version, before = inputs.clone(), inputs._version, random_state()
            outputs = functional_call(self.module, state, (inputs,))
            self.draws[training] |= random_state() != before
        self.writes_inputs |= inputs._version > version or not torch.equal(inputs, given)
        changed = [
            name
            for name, value in self.parameters.items()
            if state[name] is not value or not torch.equal(value, self.before[name])
        ]
        if changed:
            raise UserError(
                f"forward changes its weights ({named(changed)}), which are generated\n"
                "    fix:     compute with a changed copy of them; leave out max_norm of an embedding"
            )
        return outputs

    def _failed(self, training: bool, batch: int, why: str) -> UserError:
        types = {parameter.dtype for parameter in self.module.parameters() if parameter.requires_grad}
        fix = (
            "\n    fix:     weights are generated as float32: remove .double(), .half() or .bfloat16()"
            if types - {torch.float32}
            else ""
        )
        shape = (batch, *self.input_shape)
        return UserError(f"target: {self.name} cannot run on inputs of shape {shape} in {_mode(training)}: {why}{fix}")


def named(names: "list[str] | tuple[str, ...]") -> str:
    """Names for a message, the first of many."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _mode(training: bool) -> str:
    return "training" if training else "evaluation"
