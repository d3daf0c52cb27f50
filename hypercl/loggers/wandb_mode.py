"""Whether W&B can be reached: decided once, within seconds, before any run starts."""

import json
import os
import shlex
from http.client import HTTPException
from pathlib import Path
from ssl import SSLCertVerificationError
from threading import Thread
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.request import Request, build_opener

from hypercl.config.models import Wandb

Mode = Literal["online", "offline", "disabled"]
ANSWER_SECONDS = 3.0
"""How long to wait for an answer of W&B's server."""
TAG_LENGTH = 64
"""Characters of a tag: W&B refuses a run with a longer one."""


def decide_mode(settings: Wandb, offline: bool) -> tuple[Mode, str]:
    """Online, offline, or disabled (not used at all), and sentences that say why. It never prompts and never raises.

    Left to itself, `wandb.init` blocks for 91 s where there is a key but no network (wandb 0.31).

    Args:
        settings: the file's `logging.wandb` block.
        offline: whether `--offline` (or HYPERCL_OFFLINE) was given.
    """
    mode, why = _decided(settings, offline)
    long = [tag for tag in settings.tags if len(tag) > TAG_LENGTH] if mode != "disabled" else []
    return mode, "\n".join(
        [why, *(f"W&B takes {TAG_LENGTH} characters of a tag: '{tag[:TAG_LENGTH]}'" for tag in long)]
    )


def _decided(settings: Wandb, offline: bool) -> tuple[Mode, str]:
    switch = os.environ.get("WANDB_MODE", "").lower()
    if switch == "disabled" or os.environ.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes", "on"):
        return "disabled", "W&B is disabled, as WANDB_MODE or WANDB_DISABLED says: nothing is logged there"
    if settings.mode == "offline":
        return "offline", "W&B is offline: logging.wandb.mode says so"
    if offline:
        return "offline", "W&B is offline: --offline, or HYPERCL_OFFLINE, says so"
    if switch in ("offline", "dryrun"):
        return "offline", f"W&B is offline: WANDB_MODE={switch}"
    try:
        server, has_key = _server_and_key()
    except Exception as error:
        return "offline", f"W&B is offline: its settings or key cannot be used ({error})"
    if not has_key:
        return "offline", f"W&B is offline: no key for {server} (set WANDB_API_KEY or run `wandb login`)"
    if why := _unreachable(server):
        return "offline", f"W&B is offline: {server} cannot be reached ({why})"
    return "online", f"W&B is online at {server}"


def cut_tags(settings: Wandb) -> tuple[str, ...]:
    """The tags as W&B takes them: of 1 to 64 characters."""
    return tuple(dict.fromkeys(tag[:TAG_LENGTH] for tag in settings.tags if tag))


def sync_hint(folder: Path) -> str | None:
    """How many runs W&B does not hold, and the command that uploads them; None where it holds all.

    Args:
        folder: the results folder, as in `LoggerSpec.results`.
    """
    waiting, cut = offline_files(folder), cut_off(folder)
    many = len({run.name.split("-", 3)[-1] for run in waiting} | {str(cursor["id"]) for cursor in cut.values()})
    if not many:
        return None
    place = shlex.quote(str(folder))
    command = f"hypercl upload {place}" if cut else f"wandb sync {place}/wandb/offline-run-*"
    return f"W&B lacks {many} run{'s' if many > 1 else ''}, in part or whole; to upload: {command}"


def offline_files(folder: Path) -> list[Path]:
    """The folders of W&B's that wait for `wandb sync`, in their order."""
    found = sorted((folder / "wandb").glob("offline-run-*"))
    files = {run: list(run.glob("run-*.wandb")) for run in found}
    return [run for run in found if not all(file.with_name(f"{file.name}.synced").exists() for file in files[run])]


def cut_off(folder: Path) -> dict[Path, dict[str, Any]]:
    """The runs that logged online and did not end so: their folders, and what their wandb.json says."""
    found: dict[Path, dict[str, Any]] = {}
    for path in sorted(folder.rglob("wandb.json")):
        try:
            cursor = json.loads(path.read_text(encoding="utf-8"))
            if str(cursor["open_file"]).startswith("run-"):
                found[path.parent] = {"id": str(cursor["id"]), **cursor}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def _server_and_key() -> tuple[str, bool]:
    """W&B's address and whether there is a key for it, from the environment, netrc or W&B's own settings."""
    # Not wandb.setup(): it starts a service process, which the trials of a local Ray would then share.
    from wandb.sdk import wandb_setup
    from wandb.sdk.lib.wbauth import authenticate_session

    server = wandb_setup.singleton().settings.base_url
    silent = os.environ.get("WANDB_SILENT")
    os.environ["WANDB_SILENT"] = "true"  # it tells where it found the key (wandb 0.31)
    try:
        key = authenticate_session(host=server, source="hypercl", prompt=False, update_session=False)
    finally:
        os.environ.pop("WANDB_SILENT") if silent is None else os.environ.update(WANDB_SILENT=silent)
    return server, key is not None


def _unreachable(server: str) -> str:
    """Why W&B's server does not answer a request that needs no key; '' where it does. Proxies are the environment's."""
    body = json.dumps({"query": "{ serverInfo { cliVersionInfo } }"}).encode()
    request = Request(f"{server}/graphql", body, {"Content-Type": "application/json", "User-Agent": "hypercl"})
    answers: list[str] = []

    def ask() -> None:
        try:
            with build_opener().open(request, timeout=ANSWER_SECONDS):
                answers.append("")
        except HTTPError as error:
            answers.append(f"it answers {error.code} {error.reason}" if error.code >= 500 else "")
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            # The certificate of a server of one's own: W&B has settings for it, and decides.
            answers.append("" if isinstance(reason, SSLCertVerificationError) else str(reason) or "no answer")

    # A thread, since a server may send one byte every few seconds, and names are resolved without a time limit.
    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS + 1)
    return answers[0] if answers else f"no answer within {ANSWER_SECONDS:g} s"
