"""Whether W&B can be reached: decided once, within seconds, before any run starts."""

import os
import shlex
import socket
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from hypercl.config.models import Wandb

Mode = Literal["online", "offline"]
CONNECT_SECONDS = 3.0
"""How long to wait for W&B's server, or for the proxy that leads to it."""


def decide_mode(settings: Wandb, offline: bool) -> tuple[Mode, str]:
    """Online or offline, and a sentence that says why. It never prompts and never raises.

    Left to itself, `wandb.init` blocks for 91 s where there is a key but no network (wandb 0.31).

    Args:
        settings: the file's `logging.wandb` block.
        offline: whether `--offline` (or HYPERCL_OFFLINE) was given.
    """
    if settings.mode == "offline":
        return "offline", "W&B is offline: logging.wandb.mode says so"
    if offline:
        return "offline", "W&B is offline: --offline, or HYPERCL_OFFLINE, says so"
    if os.environ.get("WANDB_MODE") in ("offline", "dryrun", "disabled"):
        return "offline", f"W&B is offline: WANDB_MODE={os.environ['WANDB_MODE']}"
    try:
        server, has_key = _server_and_key()
    except Exception as error:
        return "offline", f"W&B is offline: its settings or key cannot be used ({error})"
    if not has_key:
        return "offline", f"W&B is offline: no key for {server} (set WANDB_API_KEY or run `wandb login`)"
    host, port = _way_to(server)
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        return "offline", f"W&B is offline: {host}:{port} cannot be reached ({error})"
    return "online", f"W&B is online at {server}"


def sync_hint(folder: Path) -> str | None:
    """The command that uploads a results folder's offline runs; None where there are none.

    Args:
        folder: the results folder, as in `LoggerSpec.wandb_dir`.
    """
    files = [file for run in (folder / "wandb").glob("offline-run-*") for file in run.glob("run-*.wandb")]
    if all(file.with_name(f"{file.name}.synced").exists() for file in files):
        return None
    return f"wandb sync {shlex.quote(str(folder / 'wandb'))}/offline-run-*"


def _server_and_key() -> tuple[str, bool]:
    """W&B's address and whether there is a key for it, from the environment, netrc or W&B's own settings."""
    # Not wandb.setup(): it starts a service process, which the trials of a local Ray would then share.
    from wandb.sdk import wandb_setup
    from wandb.sdk.lib.wbauth import authenticate_session

    server = wandb_setup.singleton().settings.base_url
    key = authenticate_session(host=server, source="hypercl", prompt=False, update_session=False)
    return server, key is not None


def _way_to(server: str) -> tuple[str, int]:
    """Host and port to connect to: the proxy's where one is set."""
    url = urlsplit(server)
    proxy = getproxies().get(url.scheme)
    if proxy and not proxy_bypass(url.hostname or ""):
        url = urlsplit(proxy if "//" in proxy else f"//{proxy}", scheme="http")
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
