"""A bound on the norm of a gradient."""

import torch
from torch import Tensor


def clip_norm(gradients: dict[str, Tensor], bound: float | None, replicas: bool = False) -> dict[str, Tensor]:
    """Gradients scaled so that their joint Euclidean norm is at most `bound`; None leaves them as they are.

    The arithmetic of `torch.nn.utils.clip_grad_norm_`, without waiting for the device. A norm that is not finite makes
    the result not finite.

    Args:
        gradients: by name.
        bound: the largest norm.
        replicas: whether the first axis of each is that of replicas, each with a norm of its own.
    """
    if bound is None:
        return gradients
    flat = [gradient.flatten(int(replicas)) for gradient in gradients.values()]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(each, dim=-1) for each in flat]), dim=0)
    scale = (bound / (norm + 1e-6)).clamp(max=1.0)
    scaled = zip(gradients.items(), flat, strict=True)
    return {name: (each * scale.unsqueeze(-1)).view_as(gradient) for (name, gradient), each in scaled}
