"""What a learner's answers cost."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def classification_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross entropy with the targets 1 - s on the right class and s / (K - 1) on each other one.

    The soft targets of von Oswald et al. (2020), 0.95 and 0.05 / 9. torch's `label_smoothing` shares s among all K
    classes, the right one too; it is the same at s K / (K - 1). One class alone has nothing to smooth.

    Args:
        logits: (samples, K), or (replicas, samples, K); of half precision, computed with in float32.
        labels: int64, (samples,), or (replicas, samples).
        smoothing: s.

    Returns:
        A scalar, or (replicas,).
    """
    classes = logits.shape[-1]
    shared = smoothing * classes / (classes - 1) if classes > 1 else 0.0
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if logits.ndim == 2:
        return cross_entropy(logits, labels, label_smoothing=shared)
    return cross_entropy(logits.mT, labels, label_smoothing=shared, reduction="none").mean(-1)
