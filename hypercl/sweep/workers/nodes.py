"""The nodes of a cluster: each is asked whether it sees the results and has the data, and those that do hold trials."""

import math
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from hypercl.config import UserError
from hypercl.control import Control
from hypercl.remote import RemoteError, RemoteFolder
from hypercl.sweep.workers.private_ray import grows_on_demand
from hypercl.sweep.workers.resources import Machine, Slots

SECONDS_TO_ANSWER = 120.0
"""How long the nodes that are there at the start may take to answer: on each a process has to start."""
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_ASK_AGAIN = 30.0
"""After which a node that is left alone is asked again: a person may have mended it."""
SECONDS_TO_SAY = 10.0
"""Of waiting for data, after which a person is told."""
_ACCELERATOR = "accelerator_type:"


class Nodes:
    """Which nodes a sweep uses: those that join while it runs, too, and none without its results or its data.

    Args:
        folder: the results folder.
        say: tells a person of a node that is not used.
        uri: of the folders of runs, where nodes need to reach those instead of the results folder.
    """

    def __init__(self, folder: Path, say: Callable[[str], None], uri: str | None = None) -> None:
        self._folder, self._say = folder, say
        self._reach: Callable[[], str] = partial(_reaches, uri) if uri else partial(_sees, self._new_token())
        self._asked: dict[str, Any] = {}
        """Node -> its answer to come."""
        self._wrong: dict[str, str] = {}
        """Node -> why it is not used, '' of one that is."""
        self._data: Callable[[], str] | None = None
        self._fetch = ""
        self._room, self._next_look, self._next_try = 0, 0.0, 0.0
        self._grows = grows_on_demand()
        self._held: dict[str, Any] = {}
        """Node that is not used -> an actor that takes all of it, so that no trial is placed there."""

    def _new_token(self) -> str:
        token = self._folder / f".shared-{uuid.uuid4().hex}"
        token.write_text(token.name, encoding="utf-8")
        return str(token)

    def require_shared(self) -> None:
        """Waits until the present nodes have answered.

        Raises:
            UserError: one does not see the results folder, or does not reach the URI, or none answers; the message
                names it.
        """
        import ray

        nodes = alive()
        self._ask(nodes)
        ray.wait(list(self._asked.values()), num_returns=len(self._asked), timeout=SECONDS_TO_ANSWER)
        self._hear()
        self._refuse(nodes)
        if not self._wrong:
            raise UserError(
                f"no node of the cluster has answered within {SECONDS_TO_ANSWER:g} s\n"
                "    fix:     check the cluster with ray status"
            )

    def require_data(self, check: Callable[[], str], fetch: str, control: Control) -> None:
        """Waits until the present nodes have opened the data, which each fetches where it may.

        Args:
            check: runs on each node, also on one that joins later; says why there is no data, or ''.
            fetch: the command that prepares nodes, without `--nodes`.
            control: whether the sweep is stopping.

        Raises:
            UserError: a node has no data; the message names it.
        """
        self._data, self._fetch = check, fetch
        nodes = alive()
        self._wrong.clear()
        self._asked.clear()
        self._ask(nodes)
        names = {node["NodeID"]: node["NodeManagerHostname"] for node in nodes}
        say_at = time.monotonic() + SECONDS_TO_SAY
        while self._asked.keys() & names.keys() and not control.stopping:
            wait_for_one(self._asked.values())
            self._hear()
            if time.monotonic() > say_at:
                say_at = math.inf
                self._say(f"waiting for the data on {', '.join(names[node] for node in self._asked if node in names)}")
        self._refuse(nodes)

    def size(self) -> Machine:
        """All that the cluster has now."""
        import ray

        there = ray.cluster_resources()
        return Machine(float(there.get("CPU", 0)), float(there.get("GPU", 0)), grows=self._grows)

    def kind(self, name: str) -> str:
        """Ray's resource of a GPU model, or of a custom resource of that name.

        Raises:
            UserError: no node has it, and none may come that has.
        """
        import ray

        there = ray.cluster_resources().keys()
        for resource in (f"{_ACCELERATOR}{name}", name):
            if resource in there:
                return resource
        if self._grows:
            return f"{_ACCELERATOR}{name}"
        models = sorted(each.removeprefix(_ACCELERATOR) for each in there if each.startswith(_ACCELERATOR))
        raise UserError(
            f"resources.accelerator: no node of the cluster has {name}\n"
            f"    allowed: {', '.join(models) or 'no node has a GPU whose model Ray knows'}; or a custom resource"
        )

    def room(self, slots: Slots) -> int:
        """How many trials fit on the nodes that are used. Where nodes come for what waits, as many wait, and at least
        one: how large such a cluster may become, Ray does not say."""
        now = time.monotonic()
        if now < self._next_look:
            return self._room
        nodes = alive()
        if now >= self._next_try:
            self._wrong = {node: why for node, why in self._wrong.items() if not why}
            self._next_try = now + SECONDS_TO_ASK_AGAIN
        self._ask(nodes)
        self._hear()
        for node in nodes:
            self._hold(node, self._wrong.get(node["NodeID"]))
        there = sum(slots.fitting(node["Resources"]) for node in nodes if self._wrong.get(node["NodeID"]) == "")
        self._room = there + (max(1, there) if self._grows else 0)
        self._next_look = now + SECONDS_BETWEEN_LOOKS
        return self._room

    def _hold(self, node: Mapping[str, Any], wrong: str | None) -> None:
        """Takes a node that is not to be used, once; lets one go that has been mended."""
        import ray

        key = node["NodeID"]
        if wrong and key not in self._held:
            self._held[key] = _held(node)
            self._say(self._in_words([node], wrong) + "\n    until then no trial runs there")
        if wrong == "" and key in self._held:
            ray.kill(self._held.pop(key))
            self._say(f"{node['NodeManagerHostname']} is used from now on")

    def _ask(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        for node in nodes:
            if (name := node["NodeID"]) not in self._asked and name not in self._wrong:
                data = self._data if node["Resources"].get("CPU") else None  # a head without CPUs gets no trial
                self._asked[name] = on_node(name, _answer, self._reach, data)

    def _hear(self) -> None:
        import ray
        from ray.exceptions import RayError

        for node, answer in list(self._asked.items()):
            if ray.wait([answer], timeout=0)[0]:
                del self._asked[node]
                with suppress(RayError):  # it is gone, or is asked again
                    self._wrong[node] = ray.get(answer)

    def _refuse(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        texts = [
            self._in_words([node for node in nodes if self._wrong.get(node["NodeID"]) == wrong], wrong)
            for wrong in dict.fromkeys(self._wrong.values())
            if wrong
        ]
        if texts:
            raise UserError("\n".join(texts))

    def _in_words(self, nodes: Sequence[Mapping[str, Any]], wrong: str) -> str:
        names = list(dict.fromkeys(node["NodeManagerHostname"] for node in nodes))
        if wrong == _BLIND:
            return (
                f"the results folder {self._folder} is not shared: it is not there on {', '.join(names)}\n"
                "    fix:     --results DIR with a folder that every node mounts at the same path"
            )
        if wrong.startswith(_CUT_OFF):
            return f"{', '.join(names)}: study.run_folders: {wrong.removeprefix(_CUT_OFF)}"
        return (
            f"no data on {', '.join(names)}: {wrong}\n"
            f"    fix:     {self._fetch} --nodes {','.join(names)} (or all)\n"
            "    or:      --data-dir DIR with a folder that every node mounts at the same path"
        )


def alive() -> list[Mapping[str, Any]]:
    """The cluster's nodes, as Ray describes them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def on_node(node: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Runs a function, or what can be called as one, on a node by its id; Ray's reference to what it returns."""
    import ray

    call = ray.remote(num_cpus=0, max_retries=0)(_called)
    return call.options(scheduling_strategy=_only(node)).remote(function, *arguments)


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def wait_for_one(answers: Collection[Any]) -> None:
    """Waits a second at most until one more of Ray's references has arrived."""
    import ray

    ray.wait(list(answers), num_returns=1, timeout=1.0)


def _only(node: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)


def _held(node: Mapping[str, Any]) -> Any:
    import ray

    class Held:
        pass

    there = {"num_cpus": node["Resources"].get("CPU", 0), "num_gpus": node["Resources"].get("GPU", 0)}
    return ray.remote(Held).options(**there, scheduling_strategy=_only(node["NodeID"])).remote()


_BLIND, _CUT_OFF = "blind", "cut off: "
"""What is wrong with a node that does not see the results folder, or does not reach the URI of its runs."""


def _answer(reach: Callable[[], str], data: Callable[[], str] | None) -> str:
    """Runs on a node: what is wrong with it, '' where nothing is."""
    return reach() or ("" if data is None else data())


def _sees(token: str) -> str:
    path = Path(token)
    return "" if path.exists() and path.read_text(encoding="utf-8") == path.name else _BLIND


def _reaches(uri: str) -> str:
    try:
        RemoteFolder(uri).exists(".reached")
    except RemoteError as error:
        return f"{_CUT_OFF}{error}"
    return ""
