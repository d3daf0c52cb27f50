"""Data on the nodes of a cluster that is pretended: what a node is asked runs here."""

from collections.abc import Callable
from functools import partial
from inspect import isfunction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import RayTaskError

from hypercl.config import Experiment, UserError, resolved
from hypercl.control import Control
from hypercl.sweep.workers import node_data, nodes
from hypercl.sweep.workers.node_data import fetch_on_nodes, why_no_data
from hypercl.sweep.workers.nodes import Nodes
from hypercl.sweep.workers.resources import Slots
from hypercl.tasks import download
from tests.cli.test_fetch import fake_mnist

TRIAL = Slots(cpus=1.0, gpus=0.0, concurrent=1)


class Pretended:
    """Nodes by name; what is asked of one is answered at once, unless it is to stay silent."""

    def __init__(self, patch: pytest.MonkeyPatch, names: str) -> None:
        self.names: list[str] = [*names.split()]
        self.here, self.silent = "", set[str]()
        self.asked: list[str] = []
        self.killed: list[str] = []
        patch.setattr(ray, "cluster_resources", dict)
        patch.setattr(ray, "nodes", lambda: [self._node(name) for name in self.names])
        patch.setattr(ray, "remote", lambda **_: lambda function: _Remote(self, function))
        patch.setattr(ray, "wait", lambda answers, **_: ([one for one in answers if one.name not in self.silent], []))
        patch.setattr(ray, "get", lambda answer: answer())
        patch.setattr(ray, "kill", self.killed.append)
        patch.setattr(nodes, "_only", lambda node: node)
        patch.setattr(nodes, "_held", lambda node: node["NodeID"])
        patch.setattr(nodes, "grows_on_demand", lambda: False)
        self._patch = patch

    @staticmethod
    def _node(name: str) -> dict[str, Any]:
        address, cpus = f"10.0.0.{len(name)}", dict[str, float]() if name == "idle" else {"CPU": 2.0}
        return {
            "NodeID": f"id-{name}",
            "NodeManagerHostname": name,
            "NodeManagerAddress": address,
            "Alive": True,
            "Resources": cpus,
        }

    def at(self, moment: float) -> None:
        """The clock of those who look at the nodes."""
        self._patch.setattr(nodes, "time", SimpleNamespace(monotonic=lambda: moment))


class _Remote:
    def __init__(self, cluster: Pretended, function: Callable[..., Any]) -> None:
        assert isfunction(function), "Ray takes nothing else"
        self._cluster, self._function, self.name = cluster, function, ""

    def options(self, scheduling_strategy: str) -> "_Remote":
        self.name = scheduling_strategy.removeprefix("id-")
        return self

    def remote(self, *arguments: Any) -> "_Remote":
        self._arguments = arguments
        return self

    def __call__(self) -> Any:
        self._cluster.asked.append(self.name)
        self._cluster.here = self.name
        return self._function(*self._arguments)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    return Pretended(monkeypatch, "head worker")


def lacking(cluster: Pretended, *names: str) -> Callable[[], str]:
    return lambda: "MNIST not found\n    looked in: /data/MNIST/raw" if cluster.here in names else ""


def test_a_node_without_data_is_named_with_path_and_remedy_at_the_start(cluster: Pretended, tmp_path: Path) -> None:
    there = Nodes(tmp_path, lambda _: None)
    there.require_shared()
    with pytest.raises(UserError) as told:
        there.require_data(lacking(cluster, "worker"), "hypercl fetch my.yaml", Control())
    first, second, fix, other = str(told.value).splitlines()
    assert (first, second) == ("no data on worker: MNIST not found", "    looked in: /data/MNIST/raw")
    assert "hypercl fetch my.yaml --nodes worker" in fix
    assert "--data-dir DIR" in other
    there.require_data(lacking(cluster), "hypercl fetch my.yaml", Control())
    assert there.room(TRIAL) == 4


def test_a_head_without_cpus_needs_no_data(cluster: Pretended, tmp_path: Path) -> None:
    cluster.names.append("idle")
    there = Nodes(tmp_path, pytest.fail)
    there.require_shared()
    there.require_data(lacking(cluster, "idle"), "hypercl fetch my.yaml", Control())
    assert there.room(TRIAL) == 4


def test_a_node_that_joins_without_data_is_left_alone_until_it_has_it(cluster: Pretended, tmp_path: Path) -> None:
    said: list[str] = []
    there, bad = Nodes(tmp_path, said.append), ["late"]
    cluster.at(100.0)
    there.require_shared()
    there.require_data(lambda: "no MNIST" if cluster.here in bad else "", "hypercl fetch my.yaml", Control())
    assert there.room(TRIAL) == 4
    cluster.names.append("late")
    cluster.at(105.0)
    assert there.room(TRIAL) == 4
    assert [line.splitlines()[0] for line in said] == ["no data on late: no MNIST"]
    assert said[0].endswith("until then no trial runs there")
    asked = len(cluster.asked)
    cluster.at(110.0)
    assert there.room(TRIAL) == 4
    assert (len(cluster.asked), len(said)) == (asked, 1)
    bad.clear()
    cluster.at(140.0)
    assert there.room(TRIAL) == 6
    assert said[1:] == ["late is used from now on"]
    assert cluster.killed == ["id-late"]


def test_the_sweep_waits_for_a_node_that_fetches_and_says_so_until_it_is_stopped(
    cluster: Pretended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    there, looks = Nodes(tmp_path, said.append), iter(range(0, 100, 4))
    there.require_shared()
    monkeypatch.setattr(nodes, "time", SimpleNamespace(monotonic=lambda: next(looks)))
    cluster.silent.add("worker")
    there.require_data(lacking(cluster), "hypercl fetch my.yaml", Control(requested=lambda: bool(said)))
    assert said == ["waiting for the data on worker"]


def test_nodes_that_share_a_folder_fetch_once(
    cluster: Pretended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(
        download, "fetch_with_torchvision", lambda name, root: (fetched.append(cluster.here), fake_mnist(name, root))
    )
    check, said = partial(why_no_data, mnist(True), tmp_path, False, (), with_test=True), []
    fetch_on_nodes("all", check, Control(), said.append)
    assert said == ["head: the data is there", "worker: the data is there"]
    assert fetched == ["head"]
    assert why_no_data(mnist(False), tmp_path, True, ()) == ""


def test_what_a_node_cannot_fetch_is_told_with_its_name_and_the_others_have_it(
    cluster: Pretended, tmp_path: Path
) -> None:
    said: list[str] = []
    check = partial(why_no_data, mnist(True), tmp_path, True, ())
    with pytest.raises(UserError, match="worker: data set MNIST not found, and downloading is off") as told:
        fetch_on_nodes("all", lambda: check() if cluster.here == "worker" else "", Control(), said.append)
    assert f"looked in: {tmp_path / 'MNIST' / 'raw'}" in str(told.value)
    assert said == ["head: the data is there"]


def test_nodes_are_named_by_host_or_address_and_others_refused(cluster: Pretended) -> None:
    fetch_on_nodes("worker", str, Control(), lambda _: None)
    fetch_on_nodes("10.0.0.4", str, Control(), lambda _: None)
    assert cluster.asked == ["worker", "head"]
    with pytest.raises(UserError, match="no node tail\n    allowed: head, worker; or all"):
        fetch_on_nodes("head,tail", str, Control(), lambda _: None)


@pytest.mark.usefixtures("cluster")
def test_what_a_users_own_stream_raises_and_a_lost_node_are_reasons_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_data, "open_stream", lambda *_: (tmp_path / "gone").read_text())
    assert why_no_data(mnist(False), tmp_path, True, ()).startswith("FileNotFoundError: ")

    def lost() -> str:
        raise RayTaskError("f", "lost", ValueError("x"))

    with pytest.raises(UserError, match="head: the node did not answer"):
        fetch_on_nodes("head", lost, Control(), lambda _: None)


def mnist(download: bool) -> dict[str, Any]:
    return resolved(Experiment.model_validate({"tasks": {"name": "split_mnist", "download": download}}))


def test_on_a_cluster_that_grows_as_many_trials_wait_as_fit_and_at_least_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Pretended(monkeypatch, "")
    monkeypatch.setattr(nodes, "grows_on_demand", lambda: True)
    found = Nodes(tmp_path, pytest.fail)
    assert (found.size().grows, found.kind("A100")) == (True, "accelerator_type:A100")
    rooms: list[int] = []
    for moment, names in enumerate(("", "one", "one other"), start=1):
        cluster.names = [*names.split()]
        cluster.at(10.0 * moment)
        rooms.append(found.room(TRIAL))
    assert rooms == [1, 2 + 2, 4 + 4]
