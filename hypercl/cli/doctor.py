"""`hypercl doctor [RESULTS]`: what is wrong with a results folder, or with the installation."""

import argparse
import platform
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from hypercl.cli.paths import offline
from hypercl.config import UserError
from hypercl.control import Control
from hypercl.exit_codes import ExitCode
from hypercl.folder_lock import folder_lock
from hypercl.formatting import shown
from hypercl.version import __version__

GIB = 2**30
LEAST_GIB = 2.0
"""Free disk and memory below which a sweep of more than a few trials is in danger."""


def doctor_command(args: argparse.Namespace) -> int:
    """Checks a results folder and mends it with --fix; without a folder, checks the installation.

    Raises:
        UserError: there is no such folder, or a command holds it while it is to be mended.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False)
    if args.results is None:
        return _installation(args, console)
    folder = args.results.resolve()
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")
    _require_results(folder)
    if not args.fix:
        return _checked(folder, console)
    with folder_lock(folder):
        return _mended(folder, console)


def _require_results(folder: Path) -> None:
    """Raises a UserError for a folder without results, or one that contains results folders."""
    from hypercl.sweep.study import JOURNAL, SWEEP_YAML

    if any((folder / name).exists() for name in (SWEEP_YAML, JOURNAL)):
        return
    if sweeps := sorted(file.parent for file in folder.glob(f"*/{SWEEP_YAML}")):
        raise UserError(
            f"{folder} contains results folders; check them one at a time\n"
            f"    fix:     hypercl doctor {shown(sweeps[0])}"
        )
    if not any(folder.rglob("config.yaml")):
        raise UserError(
            f"{folder} contains neither a sweep nor a run\n    fix:     run `hypercl list` to see your results folders"
        )


def _checked(folder: Path, console: Console) -> ExitCode:
    from hypercl.sweep.results import Weight, faults_of

    faults = faults_of(folder)
    for fault in faults:
        console.print(f"{fault.weight.name.lower():<9} {fault.path.relative_to(folder)}: {fault.what}")
    if not faults:
        console.print(f"{shown(folder)} is sound")
        return ExitCode.DONE
    if any(fault.mend for fault in faults):
        console.print(f"    fix:     hypercl doctor {shown(folder)} --fix (moves files to lost+found, deletes none)")
    return ExitCode.DONE if all(fault.weight == Weight.LEFTOVER for fault in faults) else ExitCode.FAILED


def _mended(folder: Path, console: Console) -> ExitCode:
    """Mends until nothing that can be mended is left: what was mended may uncover another fault."""
    from hypercl.sweep.results import LostAndFound, faults_of

    lost, seen = LostAndFound(folder), 0
    while faults := [fault for fault in faults_of(folder) if fault.mend is not None and fault.path.exists()]:
        fault = faults[0]
        assert fault.mend is not None
        console.print(f"{fault.path.relative_to(folder)}: {fault.what}\n    {fault.mend(lost)}")
        seen += 1
        if seen > 10_000:
            break
    return _checked(folder, console)


def _installation(args: argparse.Namespace, console: Console) -> ExitCode:
    checks: list[tuple[str, Callable[[], str]]] = [
        ("hypercl", lambda: f"{__version__}, Python {platform.python_version()}, " + _versions()),
        ("GPU", _gpu),
        ("Ray", _ray),
        ("disk", lambda: _enough(shutil.disk_usage(Path.cwd()).free, f"free at {Path.cwd()}")),
        ("memory", _memory),
        ("data", lambda: _data(args.data_dir)),
        ("W&B", lambda: _wandb(offline(args), args.wandb)),
    ]
    code = ExitCode.DONE
    for name, check in checks:
        try:
            console.print(f"{name:<8} {check()}")
        except Exception as error:  # whatever the installation does to its libraries
            code = ExitCode.FAILED
            console.print(f"{name:<8} PROBLEM: {type(error).__name__}: {str(error).strip()}")
    return code


def _versions() -> str:
    import torch

    cuda = f"CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    return f"torch {torch.__version__} ({cuda}), " + ", ".join(f"{name} {version(name)}" for name in ("ray", "optuna"))


def _gpu() -> str:
    """Runs a kernel on every GPU."""
    import torch

    names: list[str] = []
    for number in range(torch.cuda.device_count()):
        ones = torch.ones(64, 64, device=f"cuda:{number}")
        if float((ones @ ones).sum()) != 64.0**3:
            raise RuntimeError(f"cuda:{number} computes a wrong product")
        names.append(f"cuda:{number} {torch.cuda.get_device_name(number)}")
    return ", ".join(names) or "none is visible; training runs on the CPU"


def _ray() -> str:
    """Starts the Ray of a local sweep, on the loopback interface, and runs a task in it."""
    from hypercl.sweep.workers import Machine, local_ray

    with TemporaryDirectory() as logs, local_ray(Machine(1.0, 0.0), Path(logs), Control()):
        import ray

        address = ray.get(ray.remote(num_cpus=0)(ray.util.get_node_ip_address).remote(), timeout=120)
    if not address.startswith("127."):
        raise RuntimeError(f"it listens at {address}, not on the loopback interface alone")
    return f"starts, and runs a task at {address}"


def _memory() -> str:
    import torch

    from hypercl.training import free_memory

    free = free_memory(torch.device("cpu"))
    return "unknown" if free is None else _enough(free, "free for this process")


def _enough(free: int, what: str) -> str:
    text = f"{free / GIB:.1f} GiB {what}"
    if free < LEAST_GIB * GIB:
        raise RuntimeError(f"only {text}")
    return text


def _data(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return f"{folder.resolve()}: {', '.join(names) or 'nothing; hypercl fetch FILE downloads what a file needs'}"


def _wandb(no_network: bool, needed: bool) -> str:
    from hypercl.config.models import Wandb
    from hypercl.loggers import decide_mode

    mode, why = decide_mode(Wandb(), no_network)
    if needed and mode != "online":
        raise RuntimeError(why)
    return why
