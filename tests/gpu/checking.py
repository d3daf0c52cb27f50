"""What a CUDA machine is asked, stage by stage; see `tests/gpu/check`."""

import argparse
import json
import os
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from hypercl.config import Experiment, assign, load
from hypercl.methods import StepInfo
from hypercl.regularizers.device_speed import cache_folder, speed_of
from hypercl.tasks import open_stream, shape_of
from hypercl.training import Finished, RunFolders, build_bundle, build_learner, run
from hypercl.training.capture import capturing, rate_on
from hypercl.training.device import resolve
from hypercl.training.recorder import RECORDERS
from tests.benchmarks.kernels import SETTINGS
from tests.benchmarks.settings import synthetic_batches
from tests.benchmarks.timing import took
from tests.every_step import CASES, EAGER, experiment, steps
from tests.pretended_gpu import DEVICE, pretended_gpu
from tests.pretended_graph import PretendedRecorder

ROOT = Path(__file__).parents[2]
TIMED = ("split_mnist", "permuted_mnist", "permuted_mnist_100", "split_mnist_tir", "cifar")
SMALL = "split_mnist"
"""The setting of replicas and bundles."""
REPLICAS = (1, 4, 16, 64)
BETAS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


class Skipped(Exception):
    """A stage has nothing to ask here; the message says why."""


@dataclass
class Check:
    """One call."""

    out: Path
    data_dir: Path
    pretend: bool
    deadline: float
    """By `time.monotonic`."""
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the stages gave, by name."""

    @property
    def device(self) -> torch.device:
        return DEVICE if self.pretend else torch.device("cuda")

    @property
    def turns(self) -> int:
        """Steps that are timed."""
        return 2 if self.pretend else 100

    def there(self) -> AbstractContextManager[Any]:
        """While active, the device is there."""
        return pretended_gpu() if self.pretend else nullcontext()

    def command(self, *arguments: str, pretended: Sequence[str] = ()) -> dict[str, Any]:
        """Runs a command of Python's from the checkout, with further arguments where a GPU is pretended."""
        left = max(1.0, self.deadline - time.monotonic())
        full = [sys.executable, "-m", *arguments, *(pretended if self.pretend else ())]
        done = subprocess.run(full, cwd=ROOT, capture_output=True, text=True, check=False, timeout=left)
        self.log(f"$ {' '.join(full)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        if done.returncode:
            raise RuntimeError(f"exit code {done.returncode}: {' '.join(full)}")
        return {"command": full[2:], "last_line": next(iter(done.stdout.strip().splitlines()[-1:]), "")}

    def log(self, text: str) -> None:
        """A line of the log, and of the terminal."""
        print(text, flush=True)
        with (self.out / "check.log").open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def machine(check: Check) -> dict[str, Any]:
    """What it is."""
    known = {"torch": torch.__version__, "python": sys.version.split()[0], "pretended": check.pretend}
    if not check.pretend:
        properties = torch.cuda.get_device_properties(0)
        known |= {"gpu": properties.name, "bytes": properties.total_memory, "cuda": torch.version.cuda}
    return known


def device_speed(check: Check) -> dict[str, Any]:
    """What `method.regularizer.form: auto` decides by, measured or kept from before."""
    return {"seconds": asdict(speed_of(check.device)), "kept_in": str(cache_folder())}


def no_waits(check: Check) -> dict[str, Any]:
    """The host waits in no step after a task's first, whatever the method and its options."""
    stream, waiting = open_stream(experiment().tasks, check.data_dir, offline=True), dict[str, str]()
    tasks = [stream.task(index) for index in range(3)]
    for case in CASES:
        with check.there() as gpu:
            turns = steps(case, tasks, check.device)
            next(turns)
            if check.pretend:
                gpu.reset()
            try:
                with _sync_is_an_error(check):
                    next(turns)
            except RuntimeError as error:
                waiting[case] = str(error).split("\n")[0]
            if check.pretend and gpu.waits:
                waiting[case] = str(dict(gpu.waits))
    if waiting:
        raise RuntimeError(f"the host waits: {waiting}")
    return {"cases": len(CASES)}


@contextmanager
def _sync_is_an_error(check: Check) -> Iterator[None]:
    if check.pretend:
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def marked_tests(check: Check) -> dict[str, Any]:
    """The tests that need a GPU."""
    if check.pretend:
        raise Skipped("the tests marked gpu need CUDA")
    return check.command("pytest", "-m", "gpu", "-n", "0", "-q", "tests")


def captured(check: Check) -> dict[str, Any]:
    """Every method's steps recorded as CUDA graphs: what a run would write, by case; and milliseconds of both."""
    stream, found = open_stream(experiment().tasks, check.data_dir, offline=True), dict[str, str]()
    tasks = [stream.task(index) for index in range(3)]
    with check.there(), _recorder(check):
        for case in CASES:
            outcomes = dict[int, str]()
            turns = steps(case, tasks, check.device, outcomes)
            for _ in range(4):
                next(turns)
            found[case] = outcomes[2]
    unexpected = {case: how for case, how in found.items() if how.startswith("eager") != (case in EAGER)}
    if unexpected:
        raise RuntimeError(f"not recorded, or unexpectedly: {unexpected}")
    with _recorder(check):
        times = {name: _milliseconds(check, [_at_ten(name)], recorded=True) for name in TIMED}
    return {"outcomes": dict(Counter(found.values())), "milliseconds": times}


@contextmanager
def _recorder(check: Check) -> Iterator[None]:
    """While active, the device has a recorder of steps."""
    with mock.patch.dict(RECORDERS, {DEVICE.type: PretendedRecorder} if check.pretend else {}):
        yield


def step_times(check: Check) -> dict[str, Any]:
    """Milliseconds a step of shipped settings, at the tenth task or the last."""
    return {name: _milliseconds(check, [_at_ten(name)]) for name in TIMED}


def replica_times(check: Check) -> dict[str, Any]:
    """Milliseconds a step of a small setting, with replicas computed at once."""
    setting = _at_ten(SMALL)
    most = REPLICAS[:2] if check.pretend else REPLICAS
    return {
        str(count): _milliseconds(check, [assign(setting, {"training.replicas": count, "training.seed": 1})])
        for count in most
    }


def bundle_times(check: Check) -> dict[str, Any]:
    """Milliseconds a step of eight settings that differ in beta, in one bundle."""
    settings = [assign(_at_ten(SMALL), {"method.beta": beta}) for beta in BETAS]
    return {"8 settings": _milliseconds(check, settings)}


def _at_ten(name: str) -> Experiment:
    setting = load(SETTINGS / f"{name}.yaml").experiment
    return assign(setting, {"tasks.num_tasks": min(setting.tasks.num_tasks or 10, 10)})


def _milliseconds(check: Check, settings: Sequence[Experiment], recorded: bool = False) -> float:
    with check.there():
        shape, first = shape_of(settings[0].tasks), settings[0]
        if len(settings) > 1:
            learner, count = build_bundle(settings, check.device), len(settings)
        else:
            learner, count = build_learner(first, check.device), first.training.replicas
        task, size = shape.num_tasks - 1, 4 if check.pretend else first.training.batch_size
        state = learner.start_task(learner.init(), task)
        context = learner.task_context(state, task)
        inputs, labels = synthetic_batches(shape, size, check.device, number=1)[0]
        if count > 1:
            inputs, labels = torch.stack([inputs] * count), torch.stack([labels] * count)
        batches, lr = [(inputs, labels)] * len(learner.trains_on(task)), rate_on(check.device, 1e-4)
        taking, outcomes = learner, dict[int, str]()
        if recorded:
            taking = capturing(learner, first, lambda _: batches, check.device, outcomes)

        def some(first_step: int, number: int) -> None:
            nonlocal state
            for step in range(first_step, first_step + number):
                state, _ = taking.step(state, context, batches, StepInfo(task, step, lr))

        some(0, 2 if check.pretend else 20)
        return 1e3 * took(lambda: some(20, check.turns)) / check.turns


def four_trials(check: Check) -> dict[str, Any]:
    """Four trials on one GPU, through a real Ray."""
    sweep = ["hypercl", "sweep", "search_spaces/quickstart.yaml", "--trials", "4", "--no-final"]
    place = ["--results", str(check.out / "results"), "--set", "resources.gpus=0.25", "--set", "search.confirm=false"]
    return check.command(*sweep, *place, pretended=["--dry-run"])


def split_mnist(check: Check) -> dict[str, Any]:
    """A run of Split MNIST at the paper's settings, or, where it is not there, of digits."""
    if check.pretend or not any(check.data_dir.glob("[mM][nN][iI][sS][tT]*")):
        digits = {"tasks": {"name": "split_digits"}, "training.iterations": 3 if check.pretend else 500}
        return _trained(check, "split_digits", assign(_full("split_mnist"), digits))
    return _trained(check, "split_mnist", _full("split_mnist"))


def split_cifar(check: Check) -> dict[str, Any]:
    """The first two tasks of cifar.yaml at five epochs."""
    if check.pretend or not any(check.data_dir.glob("cifar*")):
        raise Skipped(f"CIFAR is not in {check.data_dir}")
    return _trained(check, "cifar", assign(_full("cifar"), {"tasks.num_tasks": 2, "training.epochs": 5}))


def _full(name: str) -> Experiment:
    return load(SETTINGS / f"{name}.yaml").experiment


def _trained(check: Check, name: str, setting: Experiment) -> dict[str, Any]:
    setting = resolve(assign(setting, {"training.device": "cpu" if check.pretend else "cuda"}))
    place = RunFolders(check.out / "runs" / name, check.data_dir, offline=True)
    began = time.monotonic()
    *_, last = run(setting, place)
    assert isinstance(last, Finished)
    summary = last.summary.plain()["validation"]
    return {"what": name, "seconds": time.monotonic() - began, "final_accuracy": summary["final_accuracy"]}


STAGES: tuple[Callable[[Check], dict[str, Any]], ...] = (
    machine,
    device_speed,
    no_waits,
    marked_tests,
    captured,
    step_times,
    replica_times,
    bundle_times,
    four_trials,
    split_mnist,
    split_cifar,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: nothing failed; 1: a stage did, all others were run all the same."""
    parser = argparse.ArgumentParser("tests/gpu/check", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("gpu-check"), metavar="FOLDER", help="for check.json, check.log"
    )
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("HYPERCL_DATA", "data")), metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=9.5, help="after which no further stage begins (9.5)")
    given = parser.parse_args(arguments)
    pretend = os.environ.get("HYPERCL_GPU_CHECK") == "pretend"
    if not pretend and not torch.cuda.is_available():
        parser.error("there is no CUDA device here; HYPERCL_GPU_CHECK=pretend rehearses the check without one")
    given.out.mkdir(parents=True, exist_ok=True)
    check = Check(given.out.resolve(), given.data_dir.resolve(), pretend, time.monotonic() + 60 * given.minutes)
    for stage in STAGES:
        _ask(check, stage)
    failed = [name for name, found in check.found.items() if found["status"] == "failed"]
    check.log(f"{len(failed)} of {len(STAGES)} stages failed{': ' if failed else ''}{', '.join(failed)}")
    return 1 if failed else 0


def _ask(check: Check, stage: Callable[[Check], dict[str, Any]]) -> None:
    """Runs a stage and writes what it gave, so that nothing is lost if the machine goes."""
    name, began = stage.__name__, time.monotonic()
    try:
        if began > check.deadline:
            raise Skipped("no time was left")
        found = {"status": "ok", **stage(check)}
    except Skipped as reason:
        found = {"status": "skipped", "why": str(reason)}
    except Exception as error:
        check.log(traceback.format_exc())
        found = {"status": "failed", "why": f"{type(error).__name__}: {error}"}
    check.found[name] = {**found, "stage_seconds": round(time.monotonic() - began, 2)}
    check.log(f"{name}: {json.dumps(check.found[name])}")
    (check.out / "check.json").write_text(json.dumps(check.found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
