"""The nodes of a cluster: each is asked whether it sees the results, and those that do hold trials."""

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypercl.config import UserError
from hypercl.sweep.workers.resources import Machine, Slots

SECONDS_TO_ANSWER = 120.0
"""How long the nodes that are there at the start may take to answer: on each a process has to start."""
SECONDS_BETWEEN_LOOKS = 1.0
_ACCELERATOR = "accelerator_type:"


class Nodes:
    """Which nodes a sweep uses: those that join while it runs, too, and none that does not see its results.

    Args:
        folder: the results folder.
        say: tells a person of a node that is not used.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._token = folder / f".shared-{uuid.uuid4().hex}"
        self._token.write_text(self._token.name, encoding="utf-8")
        self._asked: dict[str, Any] = {}
        """Node -> its answer to come."""
        self._sees: dict[str, bool] = {}
        self._room, self._next_look = 0, 0.0
        self._held: dict[str, Any] = {}
        """Node that does not see the results -> an actor that takes all of it, so that no trial is placed there."""

    def require_shared(self) -> None:
        """Waits until the present nodes have answered.

        Raises:
            UserError: one does not see the results folder, or none answers; the message names it.
        """
        import ray

        nodes = self._alive()
        self._ask(nodes)
        ray.wait(list(self._asked.values()), num_returns=len(self._asked), timeout=SECONDS_TO_ANSWER)
        self._hear()
        if blind := [node["NodeManagerHostname"] for node in nodes if self._sees.get(node["NodeID"]) is False]:
            raise UserError(self._not_shared(blind))
        if not self._sees:
            raise UserError(
                f"no node of the cluster has answered within {SECONDS_TO_ANSWER:g} s\n"
                "    fix:     check the cluster with ray status"
            )

    def size(self) -> Machine:
        """All that the cluster has, or may get from its autoscaler."""
        import ray

        now, most = ray.cluster_resources(), _most()
        cpus, gpus = (float(max(now.get(name, 0), most.get(name, 0))) for name in ("CPU", "GPU"))
        return Machine(cpus, gpus)

    def kind(self, name: str) -> str:
        """Ray's resource of a GPU model, or of a custom resource of that name.

        Raises:
            UserError: no node has it.
        """
        import ray

        there = ray.cluster_resources().keys() | _most().keys()
        for resource in (f"{_ACCELERATOR}{name}", name):
            if resource in there:
                return resource
        models = sorted(each.removeprefix(_ACCELERATOR) for each in there if each.startswith(_ACCELERATOR))
        raise UserError(
            f"resources.accelerator: no node of the cluster has {name}\n"
            f"    allowed: {', '.join(models) or 'no node has a GPU whose model Ray knows'}; or a custom resource"
        )

    def room(self, slots: Slots) -> int:
        """How many trials fit on the nodes that see the results; of a cluster that grows on demand, once it has."""
        if time.monotonic() < self._next_look:
            return self._room
        nodes = self._alive()
        self._ask(nodes)
        self._hear()
        for node in nodes:
            if self._sees.get(node["NodeID"]) is False and node["NodeID"] not in self._held:
                self._held[node["NodeID"]] = _held(node)
                self._say(self._not_shared([node["NodeManagerHostname"]]) + "\n    until then no trial runs there")
        now = sum(slots.fitting(node["Resources"]) for node in nodes if self._sees.get(node["NodeID"]))
        self._room, self._next_look = max(now, slots.fitting(_most())), time.monotonic() + SECONDS_BETWEEN_LOOKS
        return self._room

    def _alive(self) -> list[Mapping[str, Any]]:
        import ray

        return [node for node in ray.nodes() if node["Alive"]]

    def _ask(self, nodes: list[Mapping[str, Any]]) -> None:
        import ray

        for node in {node["NodeID"] for node in nodes} - self._asked.keys() - self._sees.keys():
            probe = ray.remote(num_cpus=0, max_retries=0)(_sees)
            self._asked[node] = probe.options(scheduling_strategy=_only(node)).remote(str(self._token))

    def _hear(self) -> None:
        import ray
        from ray.exceptions import RayError

        for node, answer in list(self._asked.items()):
            if ray.wait([answer], timeout=0)[0]:
                del self._asked[node]
                with suppress(RayError):  # it is gone, or is asked again
                    self._sees[node] = ray.get(answer)

    def _not_shared(self, blind: list[str]) -> str:
        return (
            f"the results folder {self._folder} is not shared: it is not there on {', '.join(blind)}\n"
            "    fix:     --results DIR with a folder that every node mounts at the same path"
        )


def _most() -> Mapping[str, float]:
    """All that the cluster's autoscaler may reach; nothing without one."""
    from ray._private.state import state

    return state.get_max_resources_from_cluster_config() or {}


def _only(node: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)


def _held(node: Mapping[str, Any]) -> Any:
    import ray

    class Held:
        pass

    there = {"num_cpus": node["Resources"].get("CPU", 0), "num_gpus": node["Resources"].get("GPU", 0)}
    return ray.remote(Held).options(**there, scheduling_strategy=_only(node["NodeID"])).remote()


def _sees(token: str) -> bool:
    """Runs on a node."""
    path = Path(token)
    return path.exists() and path.read_text(encoding="utf-8") == path.name
