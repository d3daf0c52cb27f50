"""Pictures of samples: a row a task."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from hypercl.files import write_bytes
from hypercl.methods import State
from hypercl.tasks import Task, as_images
from hypercl.training.bundle import Bundle

COLUMNS = 10


def picture_of_samples(path: Path, bundle: Bundle, state: State, met: Sequence[Task]) -> None:
    """Writes what the first replica would replay for each task met, as the images that it stands for.

    Nothing where its method generates no inputs.
    """
    drawn = [(task, bundle.replayed(state, task.index, COLUMNS)) for task in met]
    rows = [as_images(task.inputs, inputs) for task, inputs in drawn if inputs is not None]
    if rows:
        write_samples(path, rows)


def write_samples(path: Path, rows: Sequence[Tensor]) -> None:
    """Writes images as a PNG, one row each, or nothing where they cannot be shown.

    Args:
        path: where to.
        rows: each (columns, channels, height, width), grey or rgb, or (columns, height, width), in 0 .. 1.
    """
    from torchvision.utils import make_grid  # brings torch's compiler along: 2 to 5 s of a process that draws none

    images = torch.cat(list(rows)).detach().float().cpu()
    if images.dim() == 3:
        images = images.unsqueeze(1)
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        return
    grid = make_grid(images, nrow=len(rows[0]), pad_value=0.5)
    content = BytesIO()
    Image.fromarray((255 * grid).round().byte().permute(1, 2, 0).numpy()).save(content, "PNG")
    write_bytes(path, content.getvalue())
