"""Any module by import path."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hypercl.config import UserError
from hypercl.config.models.target import ImportedTarget
from hypercl.user_code import own_code


def import_module_of(config: ImportedTarget, num_outputs: int, import_paths: Sequence[Path]) -> nn.Module:
    """Calls what an import path names.

    Args:
        config: import path, keywords, and the keyword that takes the number of outputs.
        num_outputs: given under that keyword.
        import_paths: folders searched before what is installed.

    Raises:
        UserError: nothing is found there, importing or calling it failed, weights would be downloaded, or the result
            is not an `nn.Module`.
    """
    if config.outputs in config.kwargs:
        raise UserError(
            f"target.kwargs: '{config.outputs}' is the number of outputs, which the stream gives ({num_outputs}): "
            "remove it from target.kwargs"
        )
    with own_code("target.path", config.path, import_paths) as make, _no_downloads(config.path):
        try:
            module = make(**config.kwargs, **{config.outputs: num_outputs})
        except TypeError as error:
            if f"'{config.outputs}'" not in str(error):
                raise
            raise UserError(
                f"target.path: {config.path} failed: {type(error).__name__}: {error}\n"
                "    fix:     set target.outputs to the keyword that takes the number of outputs"
            ) from error
    if not isinstance(module, nn.Module):
        raise UserError(f"target.path: {config.path} made a {type(module).__name__}, not a torch.nn.Module")
    return module


@contextmanager
def _no_downloads(path: str) -> Iterator[None]:
    def refuse(url: str, *_: Any, **__: Any) -> None:
        raise UserError(
            f"target.path: {path} wants to download weights from {url}: the weights are generated, so remove the "
            "keyword that asks for trained ones from target.kwargs"
        )

    download = torch.hub.download_url_to_file
    torch.hub.download_url_to_file = refuse
    try:
        yield
    finally:
        torch.hub.download_url_to_file = download
