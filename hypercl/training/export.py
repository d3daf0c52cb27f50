"""A task's network for use without hypercl: safetensors, a program of torch.export, or ONNX."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hypercl.config import UserError

SUFFIXES = {
    ".safetensors": "weights and buffers by name",
    ".pt2": "a program of torch.export: inputs to the task's logits",
    ".onnx": "the same for ONNX",
}


class OneTask(nn.Module):
    """A target that gives the outputs of one task only: (samples, *input_shape) to (samples, classes)."""

    def __init__(self, target: nn.Module, head: slice) -> None:
        super().__init__()
        self.target, self.first, self.end = target, head.start, head.stop

    def forward(self, inputs: Tensor) -> Tensor:
        return self.target(inputs)[:, self.first : self.end]


def write_target(
    target: nn.Module, head: slice, input_shape: tuple[int, ...], about: dict[str, Any], path: Path
) -> None:
    """Writes a task's target.

    `.safetensors` holds the weights and buffers by the names of `target.state_dict()`, and in its metadata `hypercl`,
    as JSON, what is known about them, among it `outputs`: the first and the end of the task's. `.pt2` and `.onnx` hold
    a program for any number of samples; in `.onnx`, `inputs` gives `logits`.

    Args:
        target: with the task's weights, in evaluation mode.
        head: its outputs that belong to the task.
        input_shape: of one sample.
        about: plain data.
        path: its suffix decides.

    Raises:
        UserError: another suffix, the target cannot be exported, or `.onnx` without its packages.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]  # PathLike of nothing

        known = {**about, "outputs": [head.start, head.stop], "input_shape": list(input_shape)}
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in target.state_dict().items()}
        save_file(tensors, path, {"hypercl": json.dumps(known)})
    elif path.suffix in (".pt2", ".onnx"):
        if path.suffix == ".onnx":
            _require_onnx()
        example = torch.zeros(2, *input_shape, device=next(target.parameters()).device)
        samples = {"inputs": {0: torch.export.Dim("samples")}}
        try:
            program = torch.export.export(OneTask(target, head).eval(), (example,), dynamic_shapes=samples)
            if path.suffix == ".onnx":
                names: dict[str, Any] = {"input_names": ["inputs"], "output_names": ["logits"]}
                whole: dict[str, Any] = {"external_data": False, "verbose": False}  # one file
                torch.onnx.export(program, (), path, **names, **whole)  # pyright: ignore[reportUnknownMemberType]
            else:
                torch.export.save(program, path)
        except Exception as error:  # a target of the user's own may do what cannot be traced
            raise UserError(f"the target cannot be exported: {type(error).__name__}: {error}") from None
    else:
        kinds = ", ".join(f"{suffix} ({what})" for suffix, what in SUFFIXES.items())
        raise UserError(f"{path}: '{path.suffix}' is no format of a network; allowed: {kinds}")


def _require_onnx() -> None:
    """What torch.onnx needs.

    Raises:
        UserError: it is not installed.
    """
    try:
        for name in ("onnx", "onnxscript"):
            import_module(name)
    except ImportError as error:
        raise UserError(f"ONNX needs more packages ({error})\n    fix:     pip install 'hypercl[onnx]'") from error
