"""`hypercl submit`: sweeps as jobs of a Ray cluster."""

import argparse
import asyncio
import logging
import math
import os
import secrets
import shlex
import shutil
import signal
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hypercl.cli.paths import import_paths, name_of, offline
from hypercl.cli.tables import pairs
from hypercl.config import SweepFile, UserError, load_sweep
from hypercl.config.models import imports_of
from hypercl.config.reading import content_of, text_of
from hypercl.exit_codes import ExitCode
from hypercl.user_code import TRUST, own_modules

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

_PACKAGE = Path(__file__).parents[1]
WANDB = ("WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_MODE", "WANDB_DISABLED")
"""What of W&B's environment goes with a job; whoever can list jobs sees it, so no key does."""
SECONDS_TO_STOP = 60
"""How long a job that is stopped may take: its trials have 30 s for their checkpoints. Ray itself gives it 3 s."""
SWEEP = "hypercl"
"""The key of a job's metadata that holds the sweep's name."""


def submit_command(args: argparse.Namespace) -> int:
    """Submits a sweep and follows its log; or follows, stops, or shows one that was submitted.

    Raises:
        UserError: a mistake in the file, a path that the nodes cannot share, no job server, no such job.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False)
    if not (args.file or args.follow or args.stop or args.status or args.list):
        raise UserError("a job needs a file\n    fix:     hypercl submit FILE --results DIR; hypercl submit --list")
    with _asking() as client_of:
        if args.list:
            return _listed(client_of(args.address), console)
        if args.status:
            return _shown(client_of(args.address).get_job_info(args.status), console)
        if args.stop:
            return _stopped(client_of(args.address), args.stop, console)
        if args.follow:
            return _followed(client_of(args.address), args.follow, console)
        return _submitted(args, client_of, console)


def _submitted(args: argparse.Namespace, client_of: Any, console: Console) -> int:
    data_dir = _absolute(args)
    trials = [] if args.trials is None else [f"search.trials={args.trials}"]
    file = load_sweep(args.file, [*args.overrides, *trials])
    name = name_of(args, file)
    job = f"{name}-{secrets.token_hex(3)}"
    with TemporaryDirectory() as folder:
        inside = pack(args, file, Path(folder))
        client: JobSubmissionClient = client_of(args.address)
        client.submit_job(
            entrypoint=entrypoint(args, inside, data_dir),
            submission_id=job,
            runtime_env=runtime_env(args, Path(folder)),
            metadata={SWEEP: name, "results": str(args.results / name)},
        )
    rows = [("job", f"{job} at {client.get_address()}"), ("results", f"{args.results / name}, on the cluster")]
    if file.logging.wandb is not None:
        rows.append(("W&B", "with the cluster's key: ~/.netrc or WANDB_API_KEY there; yours is not sent"))
    console.print(
        pairs([*rows, ("stop", f"hypercl submit --stop {job}"), ("follow", f"hypercl submit --follow {job}")])
    )
    return ExitCode.DONE if args.detach else _followed(client, job, console)


def _absolute(args: argparse.Namespace) -> Path:
    """The folder of data sets on the cluster.

    Raises:
        UserError: it, or that of the results, is relative, and so would be gone with the job.
    """
    default = Path("data")
    for option, folder in (("--results", args.results), ("--data-dir", args.data_dir)):
        if not folder.is_absolute() and folder != default:
            raise UserError(
                f"{option}: {folder} is relative, and a job has no folder that stays\n"
                f"    fix:     {option} with an absolute path, on storage that every node shares"
            )
    return args.results / "data" if args.data_dir == default else args.data_dir


def pack(args: argparse.Namespace, file: SweepFile, folder: Path) -> Path:
    """Copies what a sweep needs: its file with what that includes, the user's own modules, and this package, unless
    `--pip` installs it.

    Args:
        args: of the command.
        file: the file's content.
        folder: where to.

    Returns:
        The file, below the folder.
    """
    from hypercl.sweep.study import final_config, search_config

    source = Path(os.path.abspath(args.file))
    content = content_of(text_of(args.file), args.file)
    files = [source, *(Path(os.path.abspath(path)) for path in content.files)]
    root = Path(os.path.commonpath([path.parent for path in files]))
    for path in files:
        copy = folder / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    experiments = (file.experiment, search_config(file).experiment, final_config(file, {}))
    searched = import_paths(args)
    modules = [module for each in experiments for module in own_modules(each, searched, imports_of(file))]
    for module in dict.fromkeys(modules if installs_hypercl(args.pip) else [*modules, _PACKAGE]):
        if module.is_dir():
            shutil.copytree(module, folder / module.name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy2(module, folder / module.name)
    return source.relative_to(root)


def installs_hypercl(requirements: Sequence[str]) -> bool:
    """Whether hypercl itself is among the packages that the cluster is asked to install."""
    return any(each.partition("[")[0].partition("=")[0].strip("<>~! ") == "hypercl" for each in requirements)


def entrypoint(args: argparse.Namespace, file: Path, data_dir: Path) -> str:
    """What the head runs: it looks at the data, then sweeps."""
    trusted = [each.partition(",")[0] for each in args.trust] + os.environ.get(TRUST, "").split(",")
    common = [str(file), *(word for value in args.overrides for word in ("--set", value))]
    common += [word for value in dict.fromkeys(trusted) if value for word in ("--trust", value)]
    common += ["--results", str(args.results), "--data-dir", str(data_dir), *(["--offline"] if offline(args) else [])]
    values = {
        name: getattr(args, name)
        for name in (
            *("name", "trials", "time", "cpus", "gpus", "max_concurrent", "prefer"),
            *("max_gpu_hours", "max_cost", "price_per_gpu_hour"),
        )
    }
    more = [f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value is not None]
    python = ["python", "-m", "hypercl"]
    flags = [f"--{name.replace('_', '-')}" for name in ("no_final", "join") if getattr(args, name)]
    fetch = shlex.join([*python, "train", *common, "--fetch"])
    return f"{fetch} && exec {shlex.join([*python, 'sweep', *common, *more, *flags])}"


def runtime_env(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What Ray prepares on the nodes before the job."""
    settings = {name: os.environ[name] for name in WANDB if name in os.environ}
    settings |= {"PYTHONUNBUFFERED": "1", "RAY_JOB_STOP_WAIT_TIME_S": str(SECONDS_TO_STOP)}
    return {"working_dir": str(folder), "env_vars": settings, **({"pip": args.pip} if args.pip else {})}


def _followed(client: "JobSubmissionClient", job: str, console: Console) -> int:
    """Prints a job's log until it ends, and returns its exit code; Ctrl-C leaves it running."""

    async def tail() -> None:
        async for text in client.tail_job_logs(job):
            print(text, end="", flush=True)

    client.get_job_info(job)  # there is such a job
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        asyncio.run(tail())
        info = _terminal(client, job)
    except KeyboardInterrupt:
        console.print(f"\nthe job keeps running: hypercl submit --follow {job}, or --stop {job}")
        return ExitCode.INTERRUPTED
    return _ended(info, console)


def _terminal(client: "JobSubmissionClient", job: str, most: float = math.inf) -> "JobDetails":
    """A job once it has ended, or after `most` seconds."""
    end = time.monotonic() + most
    while not client.get_job_status(job).is_terminal() and time.monotonic() < end:
        time.sleep(0.5)
    return client.get_job_info(job)


def _ended(info: "JobDetails", console: Console) -> int:
    """The exit code of a job; where it says nothing itself, Ray's message is printed."""
    if info.status == "SUCCEEDED":
        return ExitCode.DONE
    if info.status == "STOPPED":
        return ExitCode.TERMINATED
    if info.driver_exit_code is None:
        console.print(f"{info.submission_id} {info.status.lower()}: {info.message}")
    return info.driver_exit_code or ExitCode.FAILED


def _stopped(client: "JobSubmissionClient", job: str, console: Console) -> int:
    if client.stop_job(job):
        console.print("stopping: what is running writes its checkpoints")
    info = _terminal(client, job, 2 * SECONDS_TO_STOP)
    console.print(client.get_job_logs(job).strip().rpartition("\n\n")[2][-1000:])
    console.print(f"{job}: {info.status.lower()}; submit the same command again to resume")
    return ExitCode.DONE if info.status.is_terminal() else ExitCode.FAILED


def _shown(info: "JobDetails", console: Console) -> int:
    told = {"job": info.submission_id, "state": info.status.lower(), "message": info.message, **(info.metadata or {})}
    told |= {"started": _when(info.start_time), "ended": _when(info.end_time), "command": info.entrypoint}
    console.print(pairs([(key, str(value)) for key, value in told.items() if value]))
    return ExitCode.DONE


def _listed(client: "JobSubmissionClient", console: Console) -> int:
    jobs = [job for job in client.list_jobs() if SWEEP in (job.metadata or {})]
    jobs.sort(key=lambda job: job.start_time or 0)
    rows = [
        (str(job.submission_id), job.status.lower(), _when(job.start_time), (job.metadata or {})["results"])
        for job in jobs
    ]
    console.print(pairs(rows) if rows else "no sweep was submitted to this cluster")
    return ExitCode.DONE


def _when(milliseconds: int | None) -> str:
    return datetime.fromtimestamp(milliseconds / 1000).isoformat(" ", "seconds") if milliseconds else ""


@contextmanager
def _asking() -> Generator[Any]:
    """Gives a function from an address to a client of Ray's job server; inside, what the server refuses is told.

    Raises:
        UserError: it does not answer, or refuses.
    """
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    logging.getLogger("ray").setLevel(logging.WARNING)

    def client_of(address: str | None) -> "JobSubmissionClient":
        if address is not None:
            os.environ["RAY_API_SERVER_ADDRESS"] = address  # which Ray asks first
        return JobSubmissionClient()

    token = "    or:      a cluster that asks for a token needs RAY_AUTH_MODE=token, and the token in ~/.ray/auth_token"
    try:
        yield client_of
    except (ConnectionError, AuthenticationError) as error:
        message = str(error).strip().splitlines()[0]
        raise UserError(
            f"Ray's job server does not answer: {message}\n    fix:     --address http://HEAD:8265, or "
            f"RAY_API_SERVER_ADDRESS\n{token} or RAY_AUTH_TOKEN_PATH=FILE"
        ) from None
    except RuntimeError as error:
        raise UserError(f"Ray's job server refuses: {str(error).strip().splitlines()[-1]}") from None
