"""Any module by import path."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hypercl.config import UserError, did_you_mean
from hypercl.config.target import ImportedTarget


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
    with _searching(import_paths), _no_downloads(config.path):
        make = _found(config.path, import_paths)
        try:
            module = make(**config.kwargs, **{config.outputs: num_outputs})
        except UserError:
            raise
        except Exception as error:
            fix = ""
            if isinstance(error, TypeError) and f"'{config.outputs}'" in str(error):
                fix = "\n    fix:     set target.outputs to the keyword that takes the number of outputs"
            raise UserError(f"target.path: {config.path} failed: {type(error).__name__}: {error}{fix}") from error
    if not isinstance(module, nn.Module):
        raise UserError(f"target.path: {config.path} made a {type(module).__name__}, not a torch.nn.Module")
    return module


def _found(path: str, import_paths: Sequence[Path]) -> Any:
    module_name, _, attributes = path.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing != module_name and not module_name.startswith(f"{missing}."):
            raise UserError(f"target.path: importing {module_name} failed: {error}") from error
        folders = ", ".join(str(folder) for folder in import_paths) or "none"
        beside = [file.stem for folder in import_paths for file in sorted(Path(folder).glob("*.py"))]
        fix = did_you_mean(missing, beside) or "put the file into one of these folders, or install the package"
        raise UserError(
            f"target.path: there is no module '{missing}'\n    given:   {path}\n    searched: {folders}, and what is "
            f"installed\n    fix:     {fix}"
        ) from error
    except Exception as error:
        raise UserError(f"target.path: importing {module_name} failed: {type(error).__name__}: {error}") from error
    for attribute in attributes.split("."):
        if not hasattr(value, attribute):
            known = [name for name in dir(value) if not name.startswith("_")]
            fix = did_you_mean(attribute, known)
            raise UserError(f"target.path: {module_name} has no '{attribute}'" + (f": {fix}" if fix else ""))
        value = getattr(value, attribute)
    if not callable(value):
        raise UserError(f"target.path: {path} is a {type(value).__name__}, which cannot be called")
    return value


@contextmanager
def _searching(folders: Sequence[Path]) -> Iterator[None]:
    """These folders come first in the search for modules, for a while."""
    before = list(sys.path)
    sys.path[:0] = [str(Path(folder).resolve()) for folder in folders]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


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
