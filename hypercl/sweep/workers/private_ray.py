"""What Ray does not say in public: how nobody else can reach it, and whether it grows."""

import json
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from hypercl.config import UserError


@contextmanager
def environment(**settings: str | None) -> Generator[None]:
    """Environment variables for a while; None takes one away."""
    before = {key: os.environ.get(key) for key in settings}
    _set(settings)
    try:
        yield
    finally:
        _set(before)


def _set(settings: dict[str, str | None]) -> None:
    for key, value in settings.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value


@contextmanager
def closed_to_others(folder: Path) -> Generator[None]:
    """A Ray started inside listens on the loopback interface only and requires a token, which is kept in `folder`.

    Ray would listen on every interface, and whoever reaches one of its ports can run code. It replaces a loopback
    `_node_ip_address` by the machine's own, except where it supports no clusters (macOS, Windows), so it is told that
    this is such a machine.
    """
    from ray._private import ray_constants
    from ray._raylet import AuthenticationTokenLoader, Config  # pyright: ignore[reportAttributeAccessIssue] - compiled

    def read_settings() -> None:
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()

    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32), encoding="ascii")
    clusters = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_AUTH_TOKEN": None}
    try:
        with environment(**auth, **{ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0"}):
            read_settings()
            yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters
        read_settings()


def require_loopback(address: str) -> None:
    """Refuses a Ray that other machines can reach.

    Raises:
        UserError: it listens elsewhere than on the loopback interface.
    """
    import ray

    if not ip_address(address.rpartition(":")[0].strip("[]")).is_loopback:
        raise UserError(
            f"Ray {ray.__version__} listens at {address}, where other machines reach it, though it was told not to\n"
            "    fix:     install the version of Ray that hypercl asks for"
        )


def grows_on_demand() -> bool:
    """Whether an autoscaler starts nodes of this Ray for trials that wait.

    Ray's monitor writes down the type of each node. Where it only watches, that is `node_` and the node's ID; an
    autoscaler knows the types of its file. The autoscaler's second version leaves them to the nodes' labels.
    """
    import ray
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
    from ray.experimental.internal_kv import _internal_kv_get

    status = json.loads(_internal_kv_get(DEBUG_AUTOSCALING_STATUS) or "{}")
    types: dict[str, str] = (status.get("autoscaler_report") or {}).get("node_type_mapping") or {}
    if any(not name.startswith("node_") for name in types.values()):
        return True
    second_version = _internal_kv_get("__autoscaler_v2_enabled") == b"1"
    return second_version and any("ray.io/node-group" in node.get("Labels", {}) for node in ray.nodes())
