"""A user's own code, named by import path: found, run with its errors told as theirs, kept with the results."""

import hashlib
import importlib
import os
import shlex
import shutil
import sys
import sysconfig
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import Any

from hypercl.config import Experiment, UserError, did_you_mean
from hypercl.config.models import ImportedMethod, ImportedStream, ImportedTarget
from hypercl.files import write_text
from hypercl.user_modules import searching

CODE_FOLDER = "code"
"""Folder of a results folder in which the user's modules are kept."""
CHECKSUMS = "SHA256SUMS"
"""File of that folder, as of `sha256sum`: what hypercl copied there."""
SHOWN_LINES = 3
_IMPORTABLE = tuple(all_suffixes())
TRUSTED_PACKAGES = ("torchvision",)
"""Installed packages of which a file may call any function."""
TRUST = "HYPERCL_TRUST"
"""Environment variable with further packages, import paths and folders, separated by commas; --trust adds to it."""
_BASES = frozenset(
    (
        "torch.nn.modules.module.Module",
        "hypercl.methods.learner.Learner",
        "torch.utils.data.dataset.Dataset",
        "optuna.samplers._base.BaseSampler",
        "optuna.pruners._base.BasePruner",
        "optuna.importance._base.BaseImportanceEvaluator",
        "hypercl.loggers.spec.Logger",
    )
)
"""Classes whose subclasses may be called wherever they are defined: networks, methods, data sets, parts of a search,
loggers."""


@contextmanager
def user_code(key: str, path: str, import_paths: Sequence[Path], called: bool = True) -> Generator[Callable[..., Any]]:
    """What an import path names, to be called inside of the block: there its errors are told as the user's.

    Args:
        key: where the import path stands in the file, such as `target.path`.
        path: `package.module:callable`.
        import_paths: folders searched before what is installed, for as long as the block lasts.
        called: the block calls it, which not every function may be.

    Raises:
        UserError: nothing is found there, it is nothing that a file may call, or importing it or what runs inside of
            the block fails; with the last lines of the traceback that are in the user's own file.
    """
    with searching(import_paths):
        _require_importable(key, path, import_paths)
        found = _found(key, path, import_paths)
        if called:
            _require_callable(key, path, found, import_paths)
        try:
            yield found
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise UserError(f"{key}: {path} failed: {_told(error, path, import_paths)}") from error


def keep_code(
    experiment: Experiment,
    import_paths: Sequence[Path],
    results: Path,
    replace_copy: bool = False,
    also: Sequence[str] = (),
) -> tuple[Path, ...]:
    """Copies the modules (or packages) of an imported target, method and stream, and of what else is imported, into
    `code/` of a results folder, once.

    The copy is what best.yaml and config.yaml are trained with elsewhere, and what other nodes of a cluster import.
    Modules that a module itself imports from beside it are not followed, unless they are in its package.

    Args:
        experiment: what imports.
        import_paths: folders in which modules are looked for.
        results: the results folder.
        replace_copy: no result came from the copy yet: a copy with other content is replaced.
        also: further import paths.

    Returns:
        The folders in which to look for modules: the copy first.

    Raises:
        UserError: a module was changed since the copy was made: what is in the folder came from the older one; or the
            copy itself was changed.
    """
    sources = own_modules(experiment, import_paths, also)
    if sources and not replace_copy and (results / CODE_FOLDER / CHECKSUMS).exists():
        require_kept(results)
    for source in sources:
        _keep(source, results, replace_copy)
    return (results / CODE_FOLDER, *import_paths) if sources else tuple(import_paths)


def own_modules(experiment: Experiment, import_paths: Sequence[Path], also: Sequence[str] = ()) -> list[Path]:
    """The modules (or packages) of a user's own in which an experiment's target, method and stream are defined.

    Args:
        experiment: what imports.
        import_paths: folders in which modules are looked for.
        also: further import paths.
    """
    named = [
        section.path
        for section in (experiment.target, experiment.method, experiment.tasks)
        if isinstance(section, ImportedTarget | ImportedMethod | ImportedStream)
    ]
    return list(dict.fromkeys(place for path in (*named, *also) if (place := _place(path, import_paths)) is not None))


def _keep(source: Path, results: Path, replace_copy: bool) -> None:
    copy = results / CODE_FOLDER / source.name
    changed = copy.exists() and _content(copy) != _content(source)
    if changed and replace_copy:
        shutil.rmtree(copy) if copy.is_dir() else copy.unlink()
    elif changed:
        raise UserError(
            f"{source} was changed since the results in {results} were begun with it (their copy: {copy})\n"
            "    fix:     give the new code another --name, or restore the old code to resume"
        )
    recorded, digests = _recorded(copy.parent), _checksums(source, source.parent)
    if not digests.items() <= recorded.items():
        others = {name: digest for name, digest in recorded.items() if name.partition("/")[0] != source.name}
        lines = [f"{digest}  {name}\n" for name, digest in {**others, **digests}.items()]
        write_text(copy.parent / CHECKSUMS, "".join(lines))
    if not copy.exists():
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy)


def require_kept(results: Path) -> dict[str, str]:
    """The code in `code/` of a results folder: file and SHA-256.

    Raises:
        UserError: it is not what hypercl copied there, or that is not recorded, and the folder is not trusted.
    """
    folder = results / CODE_FOLDER
    for cache in folder.rglob("__pycache__"):  # compiled code need not be that of its source
        shutil.rmtree(cache, ignore_errors=True)
    found, recorded = _checksums(folder, folder), _recorded(folder)
    trusted = [Path(entry).expanduser().resolve() for entry in _trusted() if entry.startswith(("/", "~"))]
    if not found.items() <= recorded.items() and not any(folder.resolve().is_relative_to(each) for each in trusted):
        names = [name for name in found if found[name] != recorded.get(name)]
        raise UserError(
            f"{folder}: {', '.join(names)} is not what these results were begun with"
            + (f", by {CHECKSUMS}" if recorded else f": there is no {CHECKSUMS}")
            + f"\n    fix:     read the code in {folder}; to run it, add --trust {shlex.quote(str(folder))}"
        )
    return found


def _checksums(place: Path, root: Path) -> dict[str, str]:
    """The SHA-256 of each file that Python could import, by its path below `root`."""
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    return {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.name.endswith(_IMPORTABLE) and file.is_file() and file.parent.name != "__pycache__"
    }


def _recorded(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _place(path: str, import_paths: Sequence[Path]) -> Path | None:
    """The file or package of the user's in which an import path begins; None for what is installed."""
    top = path.partition(":")[0].partition(".")[0]
    packages = [Path(folder) / top for folder in import_paths]
    found = [place for package in packages for place in (package, package.with_name(f"{top}.py")) if _regular(place)]
    plain = [package for package in packages if any(package.rglob("*.py"))]  # a package without __init__.py comes last
    return next(iter([*found, *plain]), None)


def _regular(place: Path) -> bool:
    """Whether Python imports this before all else of the name; a folder of data beside a module is no package."""
    return (place / "__init__.py").is_file() or (place.suffix == ".py" and place.is_file())


def _content(place: Path) -> dict[str, bytes]:
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return {str(file.relative_to(place)): file.read_bytes() for file in files}


def _trusted() -> list[str]:
    return [*TRUSTED_PACKAGES, *(entry for entry in os.environ.get(TRUST, "").split(",") if entry)]


def _is_trusted(path: str, module: str) -> bool:
    """Whether an import path is trusted by itself, or by the module or a package that defines what it names."""
    return any(path == entry or f"{module}.".startswith(f"{entry}.") for entry in _trusted())


def _require_importable(key: str, path: str, import_paths: Sequence[Path]) -> None:
    """Refuses what holds nothing that a file may call, and may run once imported: Python's own modules, `__main__`.

    Raises:
        UserError: it is one of those, and not trusted.
    """
    module = path.partition(":")[0]
    foreign = module.partition(".")[0] in sys.stdlib_module_names and _place(path, import_paths) is None
    private = any(part.startswith("__") for part in path.replace(":", ".").split("."))
    if (foreign or private) and not _is_trusted(path, module):
        raise _refused(key, path, f"{module} is a module of Python's" if foreign else "a name in it begins with __")


def _require_callable(key: str, path: str, found: Callable[..., Any], import_paths: Sequence[Path]) -> None:
    """Refuses what a file may not call.

    Raises:
        UserError: it is no class of networks, methods, data sets, samplers or pruners, and is defined neither in the
            import paths nor in a trusted package.
    """
    if isinstance(found, type) and _BASES & {f"{base.__module__}.{base.__qualname__}" for base in found.__mro__}:
        return
    definition: Any = found
    while (inner := getattr(definition, "__wrapped__", None) or getattr(definition, "func", None)) is not None:
        definition = inner
    named = isinstance(definition, type) or hasattr(definition, "__name__")
    module = str((definition if named else type(definition)).__module__)
    file = getattr(sys.modules.get(module), "__file__", None)
    own = _place(path, import_paths) is not None and file is not None and not _is_installed(Path(file))
    if not own and not _is_trusted(path, module):
        raise _refused(key, path, f"a {type(found).__name__} that {module} defines")


def _is_installed(file: Path) -> bool:
    """Whether a module came with Python or with a package."""
    folders = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    inside = any(file.is_relative_to(folder) for folder in folders)
    return inside or any(part in ("site-packages", "dist-packages") for part in file.parts)


def _refused(key: str, path: str, why: str) -> UserError:
    packages = ", ".join(TRUSTED_PACKAGES)
    return UserError(
        f"{key}: {path} is not called: {why}\n"
        "    allowed: classes of networks (torch.nn.Module), methods, data sets, samplers and pruners; functions of "
        f"modules beside the file or in the working directory, and of {packages}\n"
        f"    fix:     if you know this code and want it to run: --trust {path}"
    )


def _found(key: str, path: str, import_paths: Sequence[Path]) -> Callable[..., Any]:
    module_name, _, attributes = path.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        missing = (error.name or "") if isinstance(error, ModuleNotFoundError) else None
        if missing is None or (missing != module_name and not module_name.startswith(f"{missing}.")):
            told = _told(error, path, import_paths)
            raise UserError(f"{key}: importing {module_name} failed: {told}") from error
        folders = ", ".join(str(folder) for folder in import_paths) or "none"
        beside = [file.stem for folder in import_paths for file in sorted(Path(folder).glob("*.py"))]
        fix = did_you_mean(missing, beside) or "put the file into one of these folders, or install the package"
        raise UserError(
            f"{key}: there is no module '{missing}'\n    given:   {path}\n    searched: {folders}, and what is "
            f"installed\n    fix:     {fix}"
        ) from error
    for attribute in attributes.split("."):
        if not hasattr(value, attribute):
            known = [name for name in dir(value) if not name.startswith("_")]
            fix = did_you_mean(attribute, known)
            raise UserError(f"{key}: {module_name} has no '{attribute}'" + (f": {fix}" if fix else ""))
        value = getattr(value, attribute)
    if not callable(value):
        raise UserError(f"{key}: {path} is a {type(value).__name__}, which cannot be called")
    return value


def _told(error: BaseException, path: str, import_paths: Sequence[Path]) -> str:
    """An error as its type and text, and where in the user's own file it came from, innermost last."""
    place = _place(path, import_paths)
    frames = [
        f"    {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}"
        for frame in traceback.extract_tb(error.__traceback__)
        if place is not None and Path(frame.filename).resolve().is_relative_to(place.resolve())
    ]
    text = str(error).strip()
    return "\n".join([f"{type(error).__name__}: {text}" if text else type(error).__name__, *frames[-SHOWN_LINES:]])
