"""Ray under a sweep."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

import grpc
import pytest
import ray

from hypercl.config import UserError
from hypercl.control import Control
from hypercl.sweep.workers.cluster import (
    _QUIET,
    RAY_SUFFIX,
    SOCKET_PATH,
    _quiet,
    _ray_folder,
    attached_ray,
    local_ray,
)
from hypercl.sweep.workers.own_folder import own_folder
from hypercl.sweep.workers.private_ray import require_loopback
from hypercl.sweep.workers.resources import Machine

LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
"""127.0.0.1, the same as an IPv6 address, and ::1, as /proc/net writes them."""
HOLD = """
import pathlib, sys
from hypercl.sweep.workers.own_folder import own_folder
with own_folder(pathlib.Path(sys.argv[1])) as folder:
    print(folder.name, flush=True)
    sys.stdin.read()
"""


def test_an_address_where_nothing_listens_is_refused_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match=f"no Ray cluster answers at '{address}'"), attached_ray(address, Control()):
        pass


def test_the_environment_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_DEDUP_LOGS", "1")
    before = dict(os.environ)
    with _quiet():
        assert os.environ["RAY_DEDUP_LOGS"] == "1"
        assert set(_QUIET) <= set(os.environ)
    assert dict(os.environ) == before


@pytest.mark.parametrize("name", ["here", "x" * 60])
def test_rays_files_lie_below_ray_tmpdir_however_long_its_path_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    base = tmp_path / name
    base.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(base))
    with _ray_folder() as folder:
        folder.mkdir(exist_ok=True)
        (folder / "file").touch()
        assert len(str(folder)) + RAY_SUFFIX <= SOCKET_PATH
        assert folder.resolve().parent.parent == base
    assert not list(base.iterdir())
    assert not os.path.lexists(folder.parent)


@pytest.mark.parametrize("name", ["missing", "file", "file/below"])
def test_a_ray_tmpdir_that_takes_no_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / name))
    with pytest.raises(UserError, match=f"{tmp_path}/{name} takes no temporary files"), _ray_folder():
        pass


def test_a_driver_removes_the_folder_of_one_that_was_killed_and_none_of_one_alive(tmp_path: Path) -> None:
    alive, killed = (
        subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=PIPE, stdout=PIPE, text=True)
        for _ in range(2)
    )
    (tmp_path / "hcl-late" / "logs").mkdir(parents=True)  # what a process of Ray's wrote after its folder was removed
    with alive, killed:
        assert alive.stdout is not None
        assert killed.stdout is not None
        names = {process: process.stdout.readline().strip() for process in (alive, killed) if process.stdout}
        killed.kill()
        killed.wait()
        assert set(names.values()) <= {path.name for path in tmp_path.iterdir()}
        with own_folder(tmp_path) as own:
            assert {path.name for path in tmp_path.iterdir()} == {names[alive], own.name}
        alive.communicate("")
    assert not list(tmp_path.iterdir())


def test_a_process_of_the_ray_of_a_killed_driver_is_ended_and_none_of_one_alive(tmp_path: Path) -> None:
    with own_folder(tmp_path) as alive:
        left, kept = (
            subprocess.Popen(
                ["sh", "-c", "echo started; read line"],
                env={"PATH": os.environ["PATH"], "RAY_AUTH_TOKEN_PATH": str(token)},
                stdin=PIPE,
                stdout=PIPE,
                text=True,
            )
            for token in (tmp_path / "hcl-killed" / "token", alive / "token")
        )
        with left, kept:
            for process in (left, kept):  # Linux shows no environment of a program that is still being loaded
                assert process.stdout is not None
                assert process.stdout.readline() == "started\n"
            (tmp_path / "hcl-killed").mkdir()
            (tmp_path / "hcl-killed" / "owner").touch()
            with own_folder(tmp_path):
                assert left.wait(timeout=60) == -signal.SIGKILL
                assert kept.poll() is None
            kept.communicate("\n", timeout=60)


@pytest.fixture(scope="module")
def in_local_ray(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """A local Ray, started in a folder with files that are named as modules of Python's; its temporary folder."""
    folder, cwd = tmp_path_factory.mktemp("ray"), tmp_path_factory.mktemp("cwd")
    for name in ("statistics", "queue"):
        (cwd / f"{name}.py").write_text("raise RuntimeError('a script of the user')")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.delenv("RAY_TMPDIR", raising=False)
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.chdir(cwd)
        before = {key: value for key, value in os.environ.items() if key.startswith(("RAY_", "TUNE_", "TMPDIR"))}
        with local_ray(Machine(1, 0), folder / "logs", Control()):
            yield folder
        assert before.items() <= os.environ.items()
        assert not [
            key for key in os.environ if key.startswith(("RAY_AUTH_TOKEN", "RAY_ENABLE_")) and key not in before
        ]
    assert not list(folder.iterdir())


def test_temporary_files_of_trials_go_with_their_ray(in_local_ray: Path) -> None:
    made = Path(ray.get(ray.remote(tempfile.mkdtemp).remote()))
    assert made.parent.parent == in_local_ray


@pytest.mark.usefixtures("in_local_ray")
def test_trials_do_not_import_the_files_of_the_working_directory() -> None:
    def search_path() -> list[str]:
        import sys

        return sys.path

    assert str(Path.cwd()) not in ray.get(ray.remote(search_path).remote())


@pytest.mark.usefixtures("in_local_ray")
def test_a_local_ray_listens_on_the_loopback_interface_only() -> None:
    ray.get(ray.remote(tempfile.gettempdir).remote())
    listening = set(_listening(_descendants(os.getpid())))
    assert len(listening) >= 5  # server, raylet, agents, worker, driver
    assert {address for address, _ in listening} <= LOOPBACK


@pytest.mark.usefixtures("in_local_ray")
def test_a_stranger_is_refused_on_every_port_of_a_local_ray() -> None:
    address = _own_address()
    for _, port in _listening(_descendants(os.getpid())):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, port), timeout=5).close()


@pytest.mark.parametrize("token", ["", "0" * 64], ids=["no token", "a wrong token"])
def test_a_stranger_without_the_token_is_refused(in_local_ray: Path, token: str) -> None:
    address = ray.get_runtime_context().gcs_address
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary("/ray.rpc.JobInfoGcsService/GetAllJobInfo")
        with pytest.raises(grpc.RpcError) as refused:
            ask(b"", timeout=20, metadata=metadata)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        (file,) = in_local_ray.glob("*/token")
        assert ask(b"", timeout=20, metadata=(("authorization", f"Bearer {file.read_text()}"),))


def test_the_folders_of_a_local_ray_are_their_users_alone(in_local_ray: Path) -> None:
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in in_local_ray.iterdir()} == {0o700}
    (token,) = in_local_ray.glob("*/token")
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


def test_a_ray_that_listens_elsewhere_is_refused() -> None:
    require_loopback("127.0.0.1:6379")
    require_loopback("[::1]:6379")
    with pytest.raises(UserError, match=r"listens at 192\.0\.2\.7:6379"):
        require_loopback("192.0.2.7:6379")


def _descendants(pid: int) -> Iterator[int]:
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it ended meanwhile
            for child in listed.read_text().split():
                yield int(child)
                yield from _descendants(int(child))


def _listening(pids: Iterable[int]) -> Iterator[tuple[str, int]]:
    """Address, as the kernel writes it, and port of each listening socket of some processes."""
    sockets = set()
    for descriptor in (file for pid in pids for file in Path(f"/proc/{pid}/fd").glob("*")):
        with suppress(OSError):
            sockets.add(os.readlink(descriptor))
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                address, port = fields[1].split(":")
                yield address, int(port, 16)


def _own_address() -> str:
    """An address of this machine that is not the one Ray listens at: that of its network, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a datagram socket sends nothing
        except OSError:
            return "127.0.0.2"
        return probe.getsockname()[0]
