"""The convolutional network of LeCun et al. (1998), with ReLU and max pooling."""

from torch import Tensor, nn
from torch.nn import functional

from hypercl.config.models.target import LeNet
from hypercl.targets.images import pixels_left


class LeNetModule(nn.Module):
    """Twice a 5 x 5 convolution, ReLU and 2 x 2 max pooling; then a hidden layer, dropout and one linear layer.

    Args:
        config: channels, hidden units, dropout.
        input_shape: (channels, height, width), at least 16 x 16 pixels.
        num_outputs: outputs, all heads together.

    Raises:
        UserError: the inputs are no images, or too small.
    """

    def __init__(self, config: LeNet, input_shape: tuple[int, ...], num_outputs: int) -> None:
        super().__init__()
        height, width = pixels_left(config.name, input_shape, smallest=16, lost=(4, 4))
        first, second = config.channels
        self.conv1 = nn.Conv2d(input_shape[0], first, kernel_size=5)
        self.conv2 = nn.Conv2d(first, second, kernel_size=5)
        self.hidden = nn.Linear(second * height * width, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, num_outputs)."""
        activations = functional.max_pool2d(functional.relu(self.conv1(inputs)), 2)
        activations = functional.max_pool2d(functional.relu(self.conv2(activations)), 2)
        return self.head(self.dropout(functional.relu(self.hidden(activations.flatten(1)))))
