"""The convolutional network of Zenke et al. (2017), which von Oswald et al. (2020) use on Split CIFAR."""

from torch import Tensor, nn
from torch.nn import functional

from hypercl.config.models.target import ZenkeNet
from hypercl.targets.images import pixels_left


class ZenkeNetModule(nn.Module):
    """Two pairs of 3 x 3 convolutions (32, then 64 channels), then 512 hidden units and one linear layer.

    The first convolution of a pair is padded, the second is not; each has a ReLU, and a pair ends in 2 x 2 max pooling
    and dropout of whole channels. With 32 x 32 colour images and 60 outputs: 1,276,508 weights.

    Args:
        config: the two rates of dropout.
        input_shape: (channels, height, width), at least 10 x 10 pixels.
        num_outputs: outputs, all heads together.

    Raises:
        UserError: the inputs are no images, or too small.
    """

    def __init__(self, config: ZenkeNet, input_shape: tuple[int, ...], num_outputs: int) -> None:
        super().__init__()
        height, width = pixels_left(config.name, input_shape, smallest=10, lost=(2, 2))
        self.conv1 = nn.Conv2d(input_shape[0], 32, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(32, 32, kernel_size=3)
        self.conv3 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(64, 64, kernel_size=3)
        self.conv_dropout = nn.Dropout2d(config.conv_dropout)
        self.hidden = nn.Linear(64 * height * width, 512)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(512, num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, num_outputs)."""
        activations = self.pair(inputs, self.conv1, self.conv2)
        activations = self.pair(activations, self.conv3, self.conv4)
        return self.head(self.dropout(functional.relu(self.hidden(activations.flatten(1)))))

    def pair(self, inputs: Tensor, padded: nn.Conv2d, unpadded: nn.Conv2d) -> Tensor:
        """Two convolutions, pooling and dropout."""
        activations = functional.relu(unpadded(functional.relu(padded(inputs))))
        return self.conv_dropout(functional.max_pool2d(activations, 2))
