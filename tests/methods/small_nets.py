"""Targets as a user would write them."""

import torch
from torch import Tensor, nn


class NormNet(nn.Module):
    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(64, width)
        self.norm = nn.BatchNorm1d(width)
        self.last = nn.Linear(width, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(torch.relu(self.norm(self.first(inputs.flatten(1)))))


class DropNet(nn.Sequential):
    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, width), nn.Dropout(0.5), nn.Linear(width, num_classes))


class LonelyNet(nn.Sequential):
    """Cannot tell anything of one sample alone: it is compared with the others of its batch."""

    def __init__(self, width: int, num_classes: int) -> None:
        norm = nn.BatchNorm1d(width, track_running_stats=False)
        super().__init__(nn.Flatten(), nn.Linear(64, width), norm, nn.Linear(width, num_classes))
