"""Which layer of a module makes its outputs."""

from torch import nn

from hypercl.config import UserError, did_you_mean


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
    layers = {path: layer for path, layer in module.named_modules() if isinstance(layer, nn.Linear)}
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
