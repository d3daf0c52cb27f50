"""A sweep on a cluster that begins without a node for trials: Ray's autoscaler starts some, and ends them afterwards.

Nodes are processes on this machine, by Ray's own provider for such tests.
"""

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
from heads import ROOT, environment_of, free_port, head

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
LIMIT = 600
HEAD = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
WORKER = {"resources": {"CPU": 1, "object_store_memory": 80_000_000}, "node_config": {}, "max_workers": 2}
COMMANDS = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
LISTS = (*(f"{each}_commands" for each in COMMANDS), "cluster_synced_files", "rsync_exclude", "rsync_filter")
NOT_USED = {"auth": {}, "docker": {}, "file_mounts": {}, **{key: [] for key in LISTS}}


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of a head without CPUs, whose autoscaler may start two nodes of one."""
    port = free_port()
    file, address = tmp_path / "autoscaler.json", f"{ray.util.get_node_ip_address()}:{port}"
    provider = {"type": "fake_multinode", "gcs_address": address}
    provider |= dict.fromkeys(("disable_launch_config_check", "disable_node_updaters", "use_node_id_as_ip"), True)
    kinds = {"available_node_types": {"head": HEAD, "worker": WORKER}, "head_node_type": "head", "max_workers": 2}
    pace = {"idle_timeout_minutes": 0.5, "upscaling_speed": 1.0, "file_mounts_sync_continuously": False}
    file.write_text(json.dumps({"cluster_name": "fake", "provider": provider, **kinds, **pace, **NOT_USED}))
    environment = environment_of(None) | {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    with head(environment, port, cpus=0, options=[f"--autoscaling-config={file}"]):
        yield address


def wait_for(met: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not met():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_nodes_come_for_a_sweep_and_go_after_it(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    file, results = ROOT / "search_spaces" / "quickstart.yaml", tmp_path / "results"
    settings = ["search.seeds=1", "search.confirm=false", "training.iterations=100"]
    command = [sys.executable, "-m", "hypercl", "sweep", str(file), "--no-final", "--address", address]
    command += ["--trials", "5", "--results", str(results), *(word for each in settings for word in ("--set", each))]
    ray.init(address, log_to_driver=False)
    try:

        def workers() -> int:
            return sum(node["Alive"] and bool(node["Resources"].get("CPU")) for node in ray.nodes())

        assert workers() == 0
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as driver:
            try:
                wait_for(lambda: workers() == 2 or driver.poll() is not None)
                output, _ = driver.communicate(timeout=LIMIT)
            finally:
                driver.kill()
        assert driver.returncode == 0, output
        assert "5 trials are trained" in output
        wait_for(lambda: workers() == 0)
    finally:
        ray.shutdown()
    rows = csv.DictReader((results / "quickstart" / "trials.csv").read_text().splitlines())
    assert [row["state"] for row in rows].count("complete") == 5
