"""A task's training data without a stream."""

import torch
from torch import Tensor

from hypercl.methods import Batch


class FewSamples:
    """Random images of 8 x 8 pixels in two classes, half of the samples each."""

    def __init__(self, seed: int, samples: int = 24) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.inputs, self.labels = torch.rand(samples, 1, 8, 8, generator=draw), torch.arange(samples) % 2

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, samples: Tensor) -> Batch:
        return self.inputs[samples], self.labels[samples]
