"""What a submitted sweep takes with it, and what it leaves here."""

import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ray.job_submission import JobDetails, JobStatus, JobType

from hypercl.cli import main, parsed
from hypercl.cli.submit import entrypoint, pack, runtime_env
from hypercl.config import load
from hypercl.version import __version__

FILE = """
include: ../shared/base.yaml
experiment:
  target: {name: import, path: "nets:Net"}
space:
  method.beta: {log_uniform: [1e-3, 1]}
"""
BASE = "experiment: {tasks: {name: split_digits}}\nlogging: {wandb: {project: mine}}\n"
NET = "import torch\n\n\nclass Net(torch.nn.Linear):\n    pass\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a file, what it includes, a module, and much else."""
    for name, text in {
        "files/mine.yaml": FILE,
        "shared/base.yaml": BASE,
        "files/nets.py": NET,
        "files/other.py": "",
        "results/mine/study.journal": "",
        "data/MNIST/raw": "",
        ".git/HEAD": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def packed(to: Path, *options: str) -> set[str]:
    args = parsed(["submit", "files/mine.yaml", "--results", "/shared/results", *options])
    assert pack(args, load("files/mine.yaml"), to) == Path("files/mine.yaml")
    return {path.relative_to(to).as_posix() for path in to.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("folder")
def test_a_job_takes_the_file_what_it_includes_its_modules_and_this_package(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path_factory.mktemp("job")
    names = packed(to)
    package = {name for name in names if name.startswith("hypercl/")}
    assert names - package == {"files/mine.yaml", "shared/base.yaml", "nets.py"}
    assert {"hypercl/__main__.py", "hypercl/py.typed"} <= package
    assert not any("__pycache__" in name for name in package)
    monkeypatch.chdir(to)
    assert load("files/mine.yaml") == load(Path("files") / "mine.yaml")


@pytest.mark.usefixtures("folder")
def test_a_job_that_installs_hypercl_does_not_take_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    names = packed(tmp_path_factory.mktemp("job"), "--pip", "torch", f"hypercl=={__version__}")
    assert names == {"files/mine.yaml", "shared/base.yaml", "nets.py"}


def test_the_head_looks_at_the_data_then_sweeps_with_the_same_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERCL_TRUST", "timm")
    monkeypatch.delenv("HYPERCL_OFFLINE", raising=False)
    options = ["--set", "method.beta=0.1", "--trials", "7", "--time", "1h", "--no-final", "--max-concurrent", "3"]
    args = parsed(["submit", "a b.yaml", "--results", "/shared/results", "--trust", "mylab", *options])
    fetch, sweep = entrypoint(args, Path("a b.yaml"), Path("/shared/data")).split(" && exec ")
    common = ["a b.yaml", "--set", "method.beta=0.1", "--trust", "mylab", "--trust", "timm"]
    common += ["--results", "/shared/results", "--data-dir", "/shared/data"]
    assert shlex.split(fetch) == ["python", "-m", "hypercl", "train", *common, "--fetch"]
    more = ["--trials=7", "--time=3600.0", "--max-concurrent=3", "--no-final"]
    assert shlex.split(sweep) == ["python", "-m", "hypercl", "sweep", *common, *more]
    again = parsed(shlex.split(sweep)[3:])
    assert (again.trials, again.time, again.no_final, again.max_concurrent) == (7, 3600.0, True, 3)


def test_no_key_of_wandb_goes_with_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789")
    monkeypatch.setenv("WANDB_ENTITY", "lab")
    args = parsed(["submit", "x.yaml", "--results", "/shared", "--pip", "timm"])
    found = runtime_env(args, tmp_path)
    assert "0123456789" not in str(found)
    assert found["env_vars"]["WANDB_ENTITY"] == "lab"
    assert found["pip"] == ["timm"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "--results: results is relative"),
        (["--results", "/shared", "--data-dir", "here"], "--data-dir: here is relative"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_folder_that_would_go_with_the_job_is_refused(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "files/mine.yaml", *options]) == 2
    assert told in capsys.readouterr().err


class Server:
    """A job server with one job, as Ray's client shows it."""

    def __init__(self, status: JobStatus, code: int | None = None) -> None:
        self.status, self.code, self.stopped = status, code, False

    def get_job_info(self, job: str) -> JobDetails:
        if job != "mine-1":
            raise RuntimeError("Request failed with status code 404: Job nobodys does not exist.")
        return JobDetails(
            type=JobType.SUBMISSION, submission_id=job, status=self.status, entrypoint="", driver_exit_code=self.code,
            message="it went so", metadata={"hypercl": "mine", "results": "/shared/mine"}, start_time=1000,
        )  # fmt: skip

    def get_job_status(self, job: str) -> JobStatus:
        return self.get_job_info(job).status

    def get_job_logs(self, job: str) -> str:
        return "a line\n"

    def list_jobs(self) -> list[JobDetails]:
        other = JobDetails(type=JobType.SUBMISSION, submission_id="x", status=self.status, entrypoint="")
        return [self.get_job_info("mine-1"), other]

    def stop_job(self, job: str) -> bool:
        self.status, self.stopped = JobStatus.STOPPED, True
        return True

    def submit_job(self, entrypoint: str, submission_id: str, runtime_env: dict, metadata: dict[str, str]) -> None:
        self.submitted = (submission_id, entrypoint, metadata, Path(runtime_env["working_dir"], "nets.py").exists())

    def get_address(self) -> str:
        return "http://head:8265"

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        yield "a line\n"


def asked(server: Server, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("ray.job_submission.JobSubmissionClient", lambda: server)
    return main(["submit", *words])


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [("SUCCEEDED", 0, 0), ("FAILED", 75, 75), ("FAILED", None, 1), ("STOPPED", None, 143)],
)
def test_a_job_that_is_followed_gives_its_exit_code(
    status: str, code: int | None, expected: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(Server(JobStatus(status), code), monkeypatch, "--follow", "mine-1") == expected
    told = capsys.readouterr().out
    assert told.startswith("a line\n")
    assert ("it went so" in told) == (expected == 1)


def test_jobs_are_listed_shown_and_stopped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    server = Server(JobStatus.RUNNING)
    assert asked(server, monkeypatch, "--list") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[:2] == ["mine-1", "running"]
    assert asked(server, monkeypatch, "--status", "mine-1") == 0
    assert "/shared/mine" in capsys.readouterr().out
    assert (asked(server, monkeypatch, "--stop", "mine-1"), server.stopped) == (0, True)
    assert "mine-1: stopped" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_a_sweep_is_submitted_with_its_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HYPERCL_OFFLINE", raising=False)
    server = Server(JobStatus.PENDING)
    options = ["--results", "/shared/results", "--trials", "3", "--detach"]
    assert asked(server, monkeypatch, "files/mine.yaml", *options) == 0
    job, entry, metadata, packed = server.submitted
    assert job.startswith("mine-")
    assert entry.endswith("--data-dir /shared/results/data --trials=3")
    assert (metadata, packed) == ({"hypercl": "mine", "results": "/shared/results/mine"}, True)
    told = capsys.readouterr().out
    assert f"hypercl submit --stop {job}" in told
    assert "W&B" in told


def test_a_job_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(Server(JobStatus.RUNNING), monkeypatch, "--follow", "nobodys") == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_job_server_that_does_not_answer_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "--list", "--address", "http://127.0.0.1:9"]) == 2
    assert "Ray's job server does not answer" in capsys.readouterr().err
