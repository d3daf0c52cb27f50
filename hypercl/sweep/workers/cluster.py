"""Ray under a sweep: started here and ended here, or attached to and left alone."""

import fcntl
import logging
import os
import shutil
import signal
import socket
import tempfile
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from hypercl.config import UserError
from hypercl.sweep.workers.resources import Machine

OBJECT_STORE = 100_000_000
"""Bytes; Ray's least is 75 MiB, and 80 to 100 MB was enough everywhere."""
SOCKET_PATH, RAY_SUFFIX = 107, 75
"""The system's limit on a socket's path, and what Ray puts below its folder."""
_OWNER = "owner"
"""A file that a driver locks as long as it lives."""

_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "1000000",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
    "TUNE_WARN_THRESHOLD_S": "1000000",
}


@contextmanager
def local_ray(there: Machine, logs: Path) -> Generator[Machine]:
    """A Ray of this process's own, quiet, of exactly the size given; it is gone afterwards.

    Args:
        there: Ray itself ignores CPU affinity and quotas, so its size is always given.
        logs: where Ray's logs are left if what happens inside fails.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    import ray

    with _quiet(), _own_folder(Path(tempfile.gettempdir())) as temporary, _own_folder(_short_base()) as folder:
        with _deaf_children(), _temporary_files_in(temporary):
            ray.init(
                address="local",
                num_cpus=max(1, int(there.cpus)),
                num_gpus=int(there.gpus),
                object_store_memory=OBJECT_STORE,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=str(folder),
            )
        try:
            yield there
        except Exception:
            shutil.copytree(folder / "session_latest" / "logs", logs, dirs_exist_ok=True)
            raise
        finally:
            _end_helpers()
            ray.shutdown()


@contextmanager
def attached_ray(address: str) -> Generator[Machine]:
    """A running cluster, never shut down. Its workers get this very package.

    Raises:
        UserError: no cluster answers at the address.
    """
    import ray

    _check_answers(address)
    package = Path(__file__).parents[1]
    with _quiet() as settings:
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"py_modules": [str(package)], "env_vars": settings},
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            message = str(error).strip().splitlines()[0]
            raise UserError(
                f"no Ray cluster answers at '{address}': {message}\n    fix:     check --address and RAY_ADDRESS\n"
                "    or:      a cluster that asks for a token needs RAY_AUTH_MODE=token, and the token in "
                "~/.ray/auth_token or RAY_AUTH_TOKEN_PATH=FILE"
            ) from None
        try:
            total = ray.cluster_resources()
            yield Machine(total.get("CPU", 0.0), total.get("GPU", 0.0))
        finally:
            ray.shutdown()


def check_shared(folder: Path) -> None:
    """Makes sure that every node of the cluster sees the results folder.

    Raises:
        UserError: a node does not; the message names it.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    token = folder / f".shared-{uuid.uuid4().hex}"
    token.write_text(token.name, encoding="utf-8")
    nodes = [node for node in ray.nodes() if node["Alive"]]
    probe = ray.remote(num_cpus=0)(_sees)
    here = [
        probe.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(str(token))
        for node in nodes
    ]
    try:
        blind = [
            node["NodeManagerHostname"]
            for node, sees in zip(nodes, ray.get(here, timeout=120), strict=True)
            if not sees
        ]
    finally:
        token.unlink(missing_ok=True)
    if blind:
        raise UserError(
            f"the results folder {folder} is not shared: it is not there on {', '.join(blind)}\n"
            f"    fix:     --results DIR with a folder that every node mounts at the same path"
        )


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


def _sees(token: str) -> bool:
    """Runs on a node; knows nothing of hypercl."""
    import pathlib

    path = pathlib.Path(token)
    return path.exists() and path.read_text(encoding="utf-8") == path.name


@contextmanager
def _deaf_children() -> Generator[None]:
    """Processes started inside never hear SIGTERM, which queues and `timeout` send to all of a job at once: Ray's own
    would die before the trials could write their checkpoints. They hear SIGKILL, which Ray ends them with."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_helpers() -> None:
    """Ends Ray's monitors and dashboard, which have nothing to lose: Ray would wait a second for each (5.4 s in all,
    2.4 s with this). Its server and raylet, by which it shuts down, stay."""
    for listed in Path("/proc/self/task").glob("*/children"):
        for pid in listed.read_text().split():
            with suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"/ray/" in command and Path(command.split(b"\0")[0].decode()).name.startswith("python"):
                    os.kill(int(pid), signal.SIGKILL)


@contextmanager
def _quiet() -> Generator[dict[str, str]]:
    """Ray says nothing of its own; what a person set in the environment stays."""
    before = dict(os.environ)
    loggers = [logging.getLogger(name) for name in ("ray.tune", "ray.air", "ray.train")]
    levels = [logger.level for logger in loggers]
    os.environ.update({key: value for key, value in _QUIET.items() if key not in before})
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield {key: os.environ[key] for key in _QUIET}
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for key in _QUIET:
            if key not in before:
                os.environ.pop(key, None)


def _short_base() -> Path:
    """Where Ray's session folder goes: RAY_TMPDIR, else TMPDIR, unless sockets there would have too long a path."""
    base = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()).resolve()
    return Path("/tmp") if len(str(base)) + len("/hcl-12345678") + RAY_SUFFIX > SOCKET_PATH else base


@contextmanager
def _own_folder(base: Path) -> Generator[Path]:
    """A folder of this driver's, gone afterwards; those of drivers that were killed go now."""
    for abandoned in base.glob("hcl-*"):
        with suppress(OSError), (abandoned / _OWNER).open("r+") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(abandoned, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=".hcl-", dir=base))
    with (made / _OWNER).open("w") as owner:
        with suppress(OSError):  # a file system without locks, where nothing is taken for abandoned
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = made.rename(made.with_name(made.name.removeprefix(".")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _temporary_files_in(folder: Path) -> Generator[None]:
    """Processes started inside have their temporary files there: those of trials, which are killed, go with it."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
