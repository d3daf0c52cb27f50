"""Sweeps on clusters of several nodes, which join, are lost, and may not see the results."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gethostname

import pytest
from killed_sweeps import HERE, LIMIT, Sweeps, check_whole
from PIL import Image
from ray.cluster_utils import Cluster

from hypercl.cli import main
from hypercl.remote import RemoteFolder
from hypercl.sweep.study import read_sweep

ROOT = Path(__file__).parents[3]
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A head with one CPU, on which trials wait until they may go on, or have another fault."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("FAKE_FAULT", getattr(request, "param", "wait"))
    monkeypatch.setenv("FAKE_SECONDS_A_REPORT", "0.2")
    for key, value in {"AUTH_MODE": "disabled", "USAGE_STATS_ENABLED": "0", "worker_niceness": "0"}.items():
        monkeypatch.setenv(f"RAY_{key}", value)
    made = Cluster(initialize_head=True, head_node_args=NODE)
    try:
        yield made
    finally:
        made.shutdown()


@contextmanager
def blind_node(address: str, results: Path) -> Iterator[None]:
    """A node with a mount namespace of its own, where the folder of results is another."""
    script = (
        'mount -t tmpfs none "$1" && exec "$2" start --address="$3" --num-cpus=1 --block --object-store-memory=80000000'
    )
    ray = str(Path(sys.executable).with_name("ray"))
    command = ["unshare", "--mount", "--pid", "--kill-child", "sh", "-c", script, "sh", str(results), ray, address]
    if subprocess.run(
        [*command[:4], "mount", "-t", "tmpfs", "none", "/mnt"], check=False, capture_output=True
    ).returncode:
        pytest.skip("mount namespaces need root")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as node:
        try:
            yield
        finally:
            node.kill()


def test_a_node_that_joins_is_used_and_its_trial_resumes_elsewhere_when_it_is_lost(
    cluster: Cluster, sweeps: Sweeps
) -> None:
    process = sweeps.start(FAKE_ADDRESS=cluster.address)
    sweeps.wait_for(process, lambda: started(sweeps) == {0})
    node = cluster.add_node(**NODE)
    sweeps.wait_for(process, lambda: started(sweeps) == {0, 1})
    (sweeps.folder / "trials" / "go").touch()
    sweeps.wait_for(process, lambda: (sweeps.folder / "trials" / "1" / "steps.txt").exists())
    cluster.remove_node(node, allow_graceful=False)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, out + err
    assert "its node was lost; it is resumed on another from its checkpoint" in out
    check_whole(sweeps)


def test_a_sweep_whose_own_node_is_lost_stops_with_one_reason_and_is_resumed(cluster: Cluster, sweeps: Sweeps) -> None:
    process = sweeps.start(FAKE_ADDRESS=cluster.address)
    sweeps.wait_for(process, lambda: started(sweeps) == {0})
    assert cluster.head_node is not None
    cluster.head_node.kill_raylet()
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 74, out + err
    assert "stopped: the cluster's node on this machine" in out + err
    assert "rerun the same command to resume" in out + err
    assert "Traceback" not in out + err
    assert not any(trial.state.is_finished() for trial in sweeps.trials())
    (sweeps.folder / "trials" / "go").touch()
    code, text = sweeps.run()
    assert code == 0, text
    check_whole(sweeps)


def test_a_node_that_does_not_see_the_results_gets_no_trial(cluster: Cluster, sweeps: Sweeps) -> None:
    process = sweeps.start(FAKE_ADDRESS=cluster.address)
    sweeps.wait_for(process, lambda: started(sweeps) == {0})
    with blind_node(cluster.address, sweeps.folder.parent):
        assert process.stdout is not None
        assert any("is not shared: it is not there on" in line for line in iter(process.stdout.readline, ""))
        (sweeps.folder / "trials" / "go").touch()
        out, err = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, out + err
        check_whole(sweeps)
        assert all(len(sweeps.starts(number)) == 1 for number in started(sweeps))


def test_a_results_folder_that_a_node_does_not_see_is_refused_at_the_start(cluster: Cluster, sweeps: Sweeps) -> None:
    sweeps.folder.mkdir(parents=True)
    with blind_node(cluster.address, sweeps.folder.parent):
        wait_for_two(cluster)
        code, said = sweeps.run(FAKE_ADDRESS=cluster.address)
    assert (code, "is not shared: it is not there on" in said, "--results DIR" in said) == (2, True, True), said
    assert not (sweeps.folder / "trials").exists()


@pytest.mark.parametrize("cluster", ["die"], indirect=True)
def test_on_s3_a_node_that_does_not_see_the_results_trains_and_each_trial_that_dies_resumes_from_there(
    bucket: str, cluster: Cluster, sweeps: Sweeps, capsys: pytest.CaptureFixture[str]
) -> None:
    sweeps.file.write_text(f"{sweeps.file.read_text()}study: {{run_folders: {bucket}/sweeps}}\n")
    sweeps.folder.parent.mkdir(parents=True)
    remote = RemoteFolder(f"{bucket}/sweeps/quick")
    with blind_node(cluster.address, sweeps.folder.parent):
        wait_for_two(cluster)
        process = sweeps.start(FAKE_ADDRESS=cluster.address)
        sweeps.wait_for(process, lambda: len(remote.files("trials")) > 20)
        out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, out + err
    record = read_sweep(sweeps.folder)
    shutil.rmtree(sweeps.folder / "trials")
    for trial in record.trials:
        if trial.user_attrs["outcome"]["kind"] != "infeasible":
            record.trial_folder(trial.number)
            assert len(sweeps.starts(trial.number)) == (2 if trial.last_step >= 10 else 1)
    check_whole(sweeps)
    assert main(["report", "--html", str(sweeps.folder)]) == 0
    assert main(["sweep", str(sweeps.folder), "--show", "0"]) == 0
    assert "trial" in capsys.readouterr().out
    assert not [name for name in remote.files() if name.startswith(".stop")]
    for path in sweeps.folder.rglob("*"):
        assert path.is_dir() or os.environ["AWS_SECRET_ACCESS_KEY"].encode() not in path.read_bytes()


@pytest.mark.parametrize("cluster", [""], indirect=True)
def test_on_s3_a_sweep_that_is_stopped_resumes_from_its_checkpoints(
    bucket: str, cluster: Cluster, sweeps: Sweeps
) -> None:
    sweeps.file.write_text(f"{sweeps.file.read_text()}study: {{run_folders: {bucket}/stopped}}\n")
    sweeps.folder.parent.mkdir(parents=True)
    remote = RemoteFolder(f"{bucket}/stopped/quick")
    with blind_node(cluster.address, sweeps.folder.parent):
        wait_for_two(cluster)
        process = sweeps.start(FAKE_ADDRESS=cluster.address)
        sweeps.wait_for(process, lambda: {"0/metrics.jsonl", "1/metrics.jsonl"} <= set(remote.files("trials")))
        process.terminate()
        out, err = process.communicate(timeout=LIMIT)
        assert process.returncode == 143, out + err
        assert "ended at once" not in out + err
        began = [(remote.read(f"trials/{number}/steps.txt") or b"").decode().split() for number in (0, 1)]
        assert all(began)
        code, said = sweeps.run(FAKE_ADDRESS=cluster.address)
    assert code == 0, said
    record = read_sweep(sweeps.folder)
    for trial in record.trials:
        record.trial_folder(trial.number)
    check_whole(sweeps)
    assert [len(sweeps.starts(number)) for number in (0, 1)] == [2, 2]


def test_a_bucket_that_is_not_there_is_refused_before_the_sweep_begins(bucket: str, sweeps: Sweeps) -> None:
    sweeps.file.write_text(f"{sweeps.file.read_text()}study: {{run_folders: {bucket}-of-nobody/sweeps}}\n")
    code, said = sweeps.run()
    assert (code, "study.run_folders: s3://bucket-of-nobody/sweeps" in said, "fix:" in said) == (2, True, True), said
    assert not sweeps.folder.exists()


def of_images(folder: Path) -> list[str]:
    """A file of two tasks on tiny images, and the options that name its data and a cluster's results."""
    for name in ("cat", "owl", "cow", "elk"):
        (folder / "data" / "pets" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (9, 9), (20 * number, 0, 0)).save(folder / "data" / "pets" / name / f"{number}.png")
    tasks = "{name: image_folder, path: pets, num_tasks: 2, classes_per_task: 2, size: 8}"
    space = "{method.beta: {log_uniform: [1e-3, 1]}}"
    (folder / "pets.yaml").write_text(f"experiment: {{tasks: {tasks}, training: {{iterations: 5}}}}\nspace: {space}")
    return [str(folder / "pets.yaml"), "--data-dir", str(folder / "data")]


def hypercl(*words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "hypercl", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
    return done.returncode, done.stdout


def test_a_node_without_data_is_named_before_the_first_trial_and_by_fetch(cluster: Cluster, tmp_path: Path) -> None:
    file = of_images(tmp_path)
    with blind_node(cluster.address, tmp_path / "data"):
        wait_for_two(cluster)
        code, said = hypercl("sweep", *file, "--results", str(tmp_path / "results"), "--address", cluster.address)
        assert code == 2, said
        assert f"no data on {gethostname()}: " in said
        assert str(tmp_path / "data" / "pets") in said
        assert f"hypercl fetch {file[0]} --data-dir {file[2]} --nodes {gethostname()}" in said
        assert not (tmp_path / "results" / "pets" / "trials").exists()
        code, said = hypercl("fetch", *file, "--nodes", "all", "--address", cluster.address)
        assert code == 2, said
        assert said.count(": the data is there") == 1
        assert said.count(str(tmp_path / "data" / "pets")) >= 1


def test_fetch_prepares_every_node_and_one_of_those_that_share_a_folder_decodes(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.add_node(**NODE)
    file = of_images(tmp_path)
    code, said = hypercl("fetch", *file, "--nodes", "all", "--address", cluster.address)
    assert code == 0, said
    assert said.count(f"{gethostname()}: the data is there") == 2
    caches = [path.name for path in (tmp_path / "data" / "pets" / ".hypercl-cache").iterdir() if path.is_dir()]
    assert sorted(name.rpartition("-")[0] for name in caches) == ["test-rgb-8", "train-rgb-8"]


def test_sigterm_leaves_a_checkpoint_of_the_current_step_on_every_node_within_15_seconds(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.add_node(**NODE)
    file = ROOT / "search_spaces" / "quickstart.yaml"
    options = ["--results", str(tmp_path), "--address", cluster.address, "--set", "training.iterations=5000"]
    command = [sys.executable, "-m", "hypercl", "sweep", str(file), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as driver:
        trials = [tmp_path / "quickstart" / "trials" / str(number) for number in (0, 1)]
        try:
            end = time.monotonic() + LIMIT
            while not all(len(iterations(trial)) > 20 for trial in trials):
                assert driver.poll() is None, driver.communicate()
                assert time.monotonic() < end
                time.sleep(0.05)
            signalled = time.time()
            driver.terminate()
            with suppress(subprocess.TimeoutExpired):
                driver.wait(timeout=15)
        finally:
            driver.kill()  # as a queue does once the time of grace is over
    for trial in trials:
        newest = max((trial / "checkpoints").iterdir())
        assert int(newest.stem.removeprefix("step-")) > iterations(trial)[-1]  # which is that of the last report
        assert newest.stat().st_mtime > signalled


def wait_for_two(cluster: Cluster) -> None:
    end = time.monotonic() + LIMIT
    while sum(node["Alive"] for node in cluster.global_state.node_table()) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_sweep_stops_at_its_gpu_hours_and_resumes_with_more(cluster: Cluster, sweeps: Sweeps) -> None:
    cluster.add_node(**NODE | {"num_gpus": 1})
    sweeps.file.write_text(sweeps.file.read_text() + "resources: {gpus: 0.5}\n")
    (sweeps.folder / "trials").mkdir(parents=True)
    (sweeps.folder / "trials" / "go").touch()
    of_each = {"FAKE_ADDRESS": cluster.address}
    code, said = sweeps.run(FAKE_GPU_HOURS=str(0.25 / 3600), **of_each)
    assert code == 75, said
    assert "GPU-hours used up: " in said
    assert "rerun with a larger limit to resume" in said
    before = {trial.number: trial.user_attrs.get("gpu_time") for trial in sweeps.trials()}
    assert any(before.values()), "what was interrupted keeps its time"
    code, said = sweeps.run(FAKE_GPU_HOURS=str(0.25 / 3600), **of_each)
    assert code == 75, said
    assert len(sweeps.trials()) == len(before)
    code, said = sweeps.run(FAKE_GPU_HOURS="1", **of_each)
    assert code == 0, said
    check_whole(sweeps)
    outcomes = [trial.user_attrs["outcome"] for trial in sweeps.trials()]
    for outcome in (one for one in outcomes if one["kind"] != "infeasible"):
        assert outcome["gpu_seconds"] == pytest.approx(0.5 * outcome["seconds"], abs=5e-3)


@pytest.mark.parametrize("cluster", ["memory_twice"], indirect=True)
def test_trials_without_memory_on_their_part_of_a_gpu_get_more_of_it(cluster: Cluster, sweeps: Sweeps) -> None:
    cluster.add_node(**NODE | {"num_cpus": 4, "num_gpus": 1})  # a GPU that only Ray believes in
    code, said = sweeps.run(FAKE_ADDRESS=cluster.address)
    assert code == 0, said
    for share in (0.25, 0.5):
        assert f"trial 1: out of memory: cannot allocate with {share} of a GPU; trials get more from now on" in said
    assert "alone" not in said
    check_whole(sweeps)
    assert len(sweeps.starts(1)) == 3


def iterations(trial: Path) -> list[int]:
    """Those of which the losses are written."""
    file = trial / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line)["iteration"] for line in lines if line.endswith("\n")]


def started(sweeps: Sweeps) -> set[int]:
    return {int(path.parent.name) for path in sweeps.folder.glob("trials/*/starts.txt")}
