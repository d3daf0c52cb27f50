"""Data on the nodes of a cluster: whether a node has it, and a command that gives it to them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hypercl.config import Experiment, UserError
from hypercl.config.models import Stream
from hypercl.control import Control
from hypercl.sweep.workers.nodes import alive, on_node, wait_for_one
from hypercl.tasks import open_stream, open_with_test

ALL = "all"


def why_no_data(
    experiment: Mapping[str, Any], data_dir: Path, offline: bool, import_paths: Sequence[Path], with_test: bool = False
) -> str:
    """Opens a stream on this node: what is missing is fetched where that is allowed, by one process at a time.

    Args:
        experiment: resolved, as plain data.
        data_dir: the folder of the data sets.
        offline: whether the network must not be used.
        import_paths: folders of a user's own modules.
        with_test: test data, too.

    Returns:
        Why there is no data; '' where there is.
    """
    opened: Callable[[Stream, Path, bool, Sequence[Path]], Any] = open_with_test if with_test else open_stream
    try:
        opened(Experiment.model_validate(experiment).tasks, data_dir, offline, import_paths)
    except UserError as error:
        return str(error)
    except Exception as error:  # of a user's own stream, or a folder that cannot be read
        return f"{type(error).__name__}: {error}"
    return ""


def fetch_on_nodes(which: str, check: Callable[[], str], control: Control, say: Callable[[str], None]) -> None:
    """Has nodes of the attached cluster fetch data, all at once; of those that share a folder one fetches.

    Args:
        which: `all`, or names or addresses of nodes, separated by commas.
        check: runs on each; says why it has no data, or ''.
        control: whether to stop waiting.
        say: hears of each node.

    Raises:
        UserError: there is no such node, or one could not get the data; the others have it.
    """
    from ray import get, wait
    from ray.exceptions import RayError

    nodes = {node["NodeID"]: node for node in _named(which)}
    answers = {on_node(key, check): key for key in nodes}
    failed: list[str] = []
    while answers and not control.stopping:
        wait_for_one(answers)
        for answer in [one for one in answers if wait([one], timeout=0)[0]]:
            name = nodes[answers.pop(answer)]["NodeManagerHostname"]
            try:
                why = get(answer)
            except RayError as error:
                why = f"the node did not answer: {type(error).__name__}"
            if why:
                failed.append(f"{name}: {why}")
            else:
                say(f"{name}: the data is there")
    if failed:
        raise UserError("\n".join(failed))


def _named(which: str) -> list[Mapping[str, Any]]:
    nodes = alive()
    if which == ALL:
        return nodes
    found: list[Mapping[str, Any]] = []
    for name in which.split(","):
        own = [node for node in nodes if name in (node["NodeManagerHostname"], node["NodeManagerAddress"])]
        if not own:
            allowed = ", ".join(dict.fromkeys(node["NodeManagerHostname"] for node in nodes))
            raise UserError(f"--nodes: the cluster has no node {name}\n    allowed: {allowed}; or {ALL}")
        found += own
    return found
