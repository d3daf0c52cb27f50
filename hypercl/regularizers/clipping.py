"""A bound on the norm of a gradient."""

import torch
from torch import Tensor


def clip_norm(gradients: dict[str, Tensor], bound: float | None) -> dict[str, Tensor]:
    """Gradients scaled so that their joint Euclidean norm is at most `bound`; None leaves them as they are.

    The arithmetic of `torch.nn.utils.clip_grad_norm_`, without waiting for the device. A norm that is not finite makes
    the result not finite.
    """
    if bound is None:
        return gradients
    norms = [torch.linalg.vector_norm(gradient) for gradient in gradients.values()]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    scale = (bound / (norm + 1e-6)).clamp(max=1.0)
    return {name: gradient * scale for name, gradient in gradients.items()}
