"""Ray under a sweep: started here and ended here, or attached to and left alone."""

import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypercl.config import UserError
from hypercl.control import AtOnce, Control
from hypercl.formatting import first_line
from hypercl.machine import MachineError
from hypercl.sweep.workers.own_folder import own_folder
from hypercl.sweep.workers.private_ray import closed_to_others, environment, require_loopback
from hypercl.sweep.workers.ray_watch import cluster_failure, ray_failure, watched
from hypercl.sweep.workers.resources import Machine
from hypercl.user_code import TRUST

_PACKAGE = Path(__file__).parents[2]

OBJECT_STORE = 100_000_000
"""Bytes; Ray's least is 75 MiB, and 80 to 100 MB was enough everywhere."""
SOCKET_PATH, RAY_SUFFIX = 107, 75
"""The system's limit on a socket's path, and what Ray puts below its folder."""

_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000000",  # all that may wait for a node: how many, `Nodes.room` says
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "1000000",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
    "TUNE_WARN_THRESHOLD_S": "1000000",
}


@contextmanager
def local_ray(there: Machine, logs: Path, control: Control) -> Generator[Machine]:
    """A Ray of this process's own, quiet, of exactly the size given; it is gone afterwards.

    Args:
        there: Ray itself ignores CPU affinity and quotas, so its size is always given.
        logs: where Ray's logs are left if what happens inside fails.
        control: is told when Ray itself ends; handles signals again, for which Ray installs handlers of its own.
    """
    import ray

    temporary = Path(tempfile.gettempdir())
    with _quiet(), own_folder(temporary) as temporary, _ray_folder() as folder, closed_to_others(temporary):
        with _deaf_children(), environment(TMPDIR=str(temporary)), _started_or_told(folder, logs):
            ray.init(
                address="local",
                num_cpus=max(1, int(there.cpus)),
                num_gpus=int(there.gpus),
                object_store_memory=OBJECT_STORE,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                job_config=_job_config([] if _PACKAGE.parent.name.endswith("-packages") else [str(_PACKAGE.parent)]),
                _temp_dir=str(folder),
            )
            control.take_signals()
        failed = True
        try:
            require_loopback(ray.get_runtime_context().gcs_address)
            with watched(control, ray_failure):
                yield there
            failed = False
        except AtOnce:
            failed = bool(control.machine)
            raise
        finally:
            if failed:
                _keep_logs(folder, logs)
            _end_helpers(trials_too=control.at_once)
            ray.shutdown()


@contextmanager
def _started_or_told(folder: Path, logs: Path) -> Generator[None]:
    """Raises what Ray's start raises, a bare Exception where a machine is too busy for it, as the machine's fault."""
    import ray

    try:
        yield
    except Exception as error:
        _keep_logs(folder, logs)
        ray.shutdown()
        _end_helpers(trials_too=True)
        why = f"Ray could not be started: {first_line(error)}"
        raise MachineError(f"{why}\n    fix:     see its logs in {logs}") from error


def _keep_logs(folder: Path, logs: Path) -> None:
    with suppress(OSError):  # a full disk
        shutil.copytree(folder / "session_latest" / "logs", logs, dirs_exist_ok=True)
        logs.chmod(0o700)  # Ray's own may be written by everybody


@contextmanager
def attached_ray(address: str, control: Control) -> Generator[None]:
    """A running cluster, never shut down. Its workers get this very package.

    Args:
        address: of the cluster.
        control: is told when the cluster no longer answers; handles signals, as with `local_ray`.

    Raises:
        UserError: no cluster answers at the address.
    """
    import ray

    _check_answers(address)
    trust = {TRUST: os.environ[TRUST]} if TRUST in os.environ else {}
    with _quiet() as settings:
        try:
            with _deaf_children():  # Ray's own handler aborts
                ray.init(
                    address=address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    job_config=_job_config([]),
                    runtime_env={"py_modules": [str(_PACKAGE)], "env_vars": settings | trust},
                )
                control.take_signals()
        except (ConnectionError, RuntimeError, ValueError) as error:
            message = str(error).strip().splitlines()[0]
            raise UserError(
                f"no Ray cluster answers at '{address}': {message}\n    fix:     check --address and RAY_ADDRESS\n"
                "    or:      a cluster that asks for a token needs RAY_AUTH_MODE=token, and the token in "
                "~/.ray/auth_token or RAY_AUTH_TOKEN_PATH=FILE"
            ) from None
        try:
            with watched(control, cluster_failure()):
                yield
        finally:
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Ray itself tries a wrong address for minutes.

    Raises:
        UserError: nothing listens there.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        message = f"no Ray cluster answers at '{address}': {error}"
        raise UserError(f"{message}\n    fix:     check --address and RAY_ADDRESS") from None


@contextmanager
def _deaf_children() -> Generator[None]:
    """Processes started inside never hear SIGTERM, which queues and `timeout` send to all of a job at once: Ray's own
    would die before the trials could write their checkpoints. They hear SIGKILL, which Ray ends them with."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_helpers(trials_too: bool) -> None:
    """Ends Ray's monitors and dashboard, which have nothing to lose: Ray would wait a second for each (5.4 s in all,
    2.4 s with this). Its server and raylet, by which it shuts down, stay.

    Args:
        trials_too: also the trials' processes, as they may not answer.
    """
    for pid in _children(os.getpid()):
        command = _command(pid)
        if b"/ray/" in command and Path(command.split(b"\0")[0].decode()).name.startswith("python"):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for worker in _children(pid) if trials_too and b"/raylet/raylet" in command else ():
            with suppress(OSError):
                os.kill(worker, signal.SIGKILL)


def _children(pid: int) -> Iterator[int]:
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            yield from map(int, listed.read_text().split())


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@contextmanager
def _quiet() -> Generator[dict[str, str]]:
    """Ray says nothing of its own, neither of a lost node, which `deaths` does; what a person set in the environment
    stays."""
    from ray._private import worker

    loggers = [logging.getLogger(name) for name in ("ray.tune", "ray.air", "ray.train")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        settings = environment(**{key: os.environ.get(key, value) for key, value in _QUIET.items()})
        with settings, patch.object(worker, "print_to_stdstream"):
            yield {key: os.environ[key] for key in _QUIET}
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _job_config(search_path: list[str]) -> Any:
    """A job whose processes do not import from the working directory, nor from beside the running script.

    Ray puts both first, where a user's `statistics.py` would stand for Python's own.
    """
    from ray.job_config import JobConfig

    class Job(JobConfig):
        def _runtime_env_has_working_dir(self) -> bool:
            return True

    return Job(_py_driver_sys_path=search_path)


@contextmanager
def _ray_folder() -> Generator[Path]:
    """Ray's folder, below RAY_TMPDIR, else TMPDIR; through a short link if its sockets would have too long a path.

    Ray lets everybody write into its folder; the one around it is this user's alone.
    """
    base = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()).expanduser().resolve()
    with own_folder(base) as private:
        folder = private / "r"
        if len(str(folder)) + RAY_SUFFIX <= SOCKET_PATH:
            yield folder
            return
        folder.mkdir()
        with own_folder(Path("/tmp")) as short:
            (short / "r").symlink_to(folder)
            yield short / "r"
