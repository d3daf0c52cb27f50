"""Which inputs a convolutional target can read."""

from collections.abc import Sequence

from hypercl.config import UserError


def require_images(name: str, input_shape: tuple[int, ...]) -> None:
    """Makes sure that inputs are images.

    Raises:
        UserError: they are not of shape (channels, height, width).
    """
    if len(input_shape) != 3:
        raise UserError(f"target: {name} reads images (channels, height, width), not inputs of shape {input_shape}")


def pixels_left(name: str, input_shape: tuple[int, ...], smallest: int, lost: Sequence[int]) -> tuple[int, int]:
    """Height and width after some rounds of convolutions and 2 x 2 pooling.

    Args:
        name: the target's, for messages.
        input_shape: (channels, height, width).
        smallest: pixels that an input needs in each direction.
        lost: pixels that the convolutions of each round take from height and width, before the round's pooling.

    Raises:
        UserError: the inputs are no images, or smaller than that.
    """
    require_images(name, input_shape)
    _, height, width = input_shape
    if min(height, width) < smallest:
        raise UserError(
            f"target: {name} needs images of at least {smallest} x {smallest} pixels, not {height} x {width}\n"
            "    fix:     use target mlp or resnet32, or larger images"
        )
    for pixels in lost:
        height, width = (height - pixels) // 2, (width - pixels) // 2
    return height, width
