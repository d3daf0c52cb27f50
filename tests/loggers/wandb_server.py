"""As much of a W&B server as the real client needs: GraphQL, file streams and uploads, on the loopback interface."""

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

KEY = "0123456789abcdef" * 2 + "01234567"
ENTITY = "someone"
NOW = "2026-01-01T00:00:00Z"


@dataclass
class StoredRun:
    """A run as the server holds it."""

    id: str
    name: str
    project: str
    shown: str = ""
    group: str = ""
    kind: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    lines: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Rows of the history by their place in the file stream."""
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def history(self) -> list[dict[str, Any]]:
        return [row for _, row in sorted(self.lines.items())]

    @property
    def steps(self) -> list[int]:
        return [row["_step"] for row in self.history]


class WandbServer:
    """Holds what a client sends; `trouble` makes it a bad server.

    `trouble` is called with each request's path before it is answered: it may wait, raise, or return a status.
    """

    def __init__(self) -> None:
        self.runs: dict[str, StoredRun] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.used: list[tuple[str, str]] = []
        self.projects: set[str] = set()
        self.views: dict[str, dict[str, Any]] = {}
        """Workspaces and reports by their ids."""
        self.alerts: list[dict[str, Any]] = []
        self.blobs: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        """Requests by what they ask for."""
        self.transcript: list[str] = []
        """What was asked, in order."""
        self.unknown: list[str] = []
        """Queries that this server does not know."""
        self.trouble: Callable[[str], int | None] = lambda _path: None
        self.address = ""
        self.lock = Lock()

    # GraphQL

    def graphql(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        name = re.search(r"(?:query|mutation)\s+(\w+)", query)
        asked = name[1] if name else "anonymous"
        self.asked[asked] += 1
        about = [str(given[key]) for key in ("name", "displayName", "groupName", "jobType") if given.get(key)]
        self.transcript.append(" ".join([asked, *about]))
        answer = getattr(self, f"_{asked}", None)
        if answer is None:
            self.unknown.append(query)
            return {}
        return answer(given)

    def _anonymous(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"cliVersionInfo": {}}}

    def _viewer(self) -> dict[str, Any]:
        teams = {"edges": [{"node": {"name": ENTITY}}]}
        return {"id": "u1", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}", "admin": False,
                "name": ENTITY, "teams": teams, "apiKeys": {"edges": []}}  # fmt: skip

    def _Viewer(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": self._viewer()}

    def _ServerFeaturesQuery(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _project(self, name: str) -> dict[str, Any]:
        return {"id": f"project-{name}", "name": name, "entity": {"id": "e1", "name": ENTITY}, "entityName": ENTITY,
                "internalId": "UHJvamVjdEludGVybmFsSWQ6MQ==", "readOnly": False}  # fmt: skip

    def _RunResumeStatus(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(given["name"])
        bucket = None
        if run is not None:
            last = json.dumps([json.dumps(row) for row in run.history[-1:]])
            bucket = {"id": run.id, "name": run.name, "summaryMetrics": json.dumps(run.summary),
                      "displayName": run.shown, "logLineCount": 0,
                      "historyLineCount": len(run.lines), "eventsLineCount": 0, "historyTail": last,
                      "eventsTail": "[]", "config": json.dumps(run.config), "tags": list(run.tags), "notes": "",
                      "wandbConfig": json.dumps({"t": 1})}  # fmt: skip
        return {"model": {**self._project(given.get("project") or ""), "bucket": bucket}}

    def _UpsertBucket(self, given: dict[str, Any]) -> dict[str, Any]:
        known = next((run for run in self.runs.values() if given.get("id") == run.id), None)
        run = known or self.runs.get(given.get("name") or "")
        inserted = run is None
        if run is None:
            run = StoredRun(f"id-{given['name']}", given["name"], given.get("project") or "uncategorized")
            self.runs[run.name] = run
        run.shown = given.get("displayName") or run.shown
        run.group = given.get("groupName") or run.group
        run.kind = given.get("jobType") or run.kind
        run.tags = tuple(given.get("tags") or run.tags)
        if given.get("config"):
            run.config = json.loads(given["config"])
        if given.get("summaryMetrics"):
            run.summary = json.loads(given["summaryMetrics"])
        bucket = {"id": run.id, "name": run.name, "displayName": run.shown, "description": "", "config": "{}",
                  "sweepName": None, "historyLineCount": len(run.lines),
                  "project": self._project(run.project)}  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _CreateRunFiles(self, given: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.address}/upload/{given['run']}/{name}"} for name in given["files"]]
        return {"createRunFiles": {"runID": f"id-{given['run']}", "uploadHeaders": [], "files": files}}

    def _MarkRunFilesUploaded(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"markRunFilesUploaded": {"success": True}}

    def _OrganizationCoreWeaveOrganizationID(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"entity": None}

    def _XXHashDigestsEnabled(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"entity": None}

    def _NotifyScriptableRunAlert(self, given: dict[str, Any]) -> dict[str, Any]:
        self.alerts.append(given)
        return {"notifyScriptableRunAlert": {"success": True}}

    # projects, workspaces and reports

    def _GetDefaultEntity(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": self._viewer()}

    def _GetProjects(self, given: dict[str, Any]) -> dict[str, Any]:
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        more = {"__typename": "Project", "createdAt": NOW, "isBenchmark": False, "user": None}
        nodes = [{**self._project(name), **more} for name in sorted(self.projects)]
        return {"models": {"pageInfo": page, "edges": [{"cursor": "", "node": node} for node in nodes]}}

    def _CreateProject(self, given: dict[str, Any]) -> dict[str, Any]:
        self.projects.add(given["input"]["name"])
        return {"result": {"project": None, "model": None, "inserted": True}}

    def _ProjectInternalId(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"project": self._project(given["projectName"])}

    def _upsertView(self, given: dict[str, Any]) -> dict[str, Any]:
        id = given.get("id") or f"view-{len(self.views)}"
        inserted = id not in self.views
        self.views[id] = {"id": id, **{key: value for key, value in given.items() if key != "id"}}
        view = {**self.views[id], "project": self._project(given["projectName"]), "updatedAt": NOW}
        return {"upsertView": {"view": view, "inserted": inserted}}

    _UpsertView2 = _upsertView

    def _found(self, project: str, kind: str, name: str | None, key: str) -> dict[str, Any]:
        more = {"user": {"username": ENTITY, "photoUrl": "", "email": ""}, "createdAt": NOW, "updatedAt": NOW}
        views = [view for view in self.views.values() if (view["projectName"], view["type"]) == (project, kind)]
        nodes = [{**view, **more} for view in views if name in (None, view[key])]
        page = {"endCursor": None, "hasNextPage": False}
        return {"project": {"allViews": {"edges": [{"node": node, "cursor": ""} for node in nodes], "pageInfo": page}}}

    def _ProjectViews(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._found(given["project"], "runs", given.get("viewName"), "displayName")

    def _View(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._found(given["name"], given["viewType"], given.get("viewName"), "name")

    # artifacts

    def _ArtifactType(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def _FetchArtifactDigestAlgorithm(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"project": None}

    def _CreateArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        asked = given["input"]
        name = asked["artifactCollectionName"]
        self.artifacts[f"artifact-{name}"] = {**asked, "committed": False, "files": {}}
        sequence = {"latestArtifact": None}
        return {
            "createArtifact": {"artifact": {"id": f"artifact-{name}", "state": "PENDING", "artifactSequence": sequence}}
        }

    def _CreateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:
        file = {"id": "f1", "uploadUrl": f"{self.address}/blob/{given['artifactID']}/manifest", "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": f"manifest-{given['artifactID']}", "file": file}}}

    def _UpdateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:
        owner = given["artifactManifestID"].removeprefix("manifest-")
        file = {"id": "f1", "uploadUrl": f"{self.address}/blob/{owner}/manifest", "uploadHeaders": []}
        return {"updateArtifactManifest": {"artifactManifest": {"id": given["artifactManifestID"], "file": file}}}

    def _CreateArtifactFiles(self, given: dict[str, Any]) -> dict[str, Any]:
        edges = []
        for spec in given["input"]["artifactFiles"]:
            place = f"{spec['artifactID']}/{spec['name']}"
            node = {"storagePath": place, "uploadUrl": f"{self.address}/blob/{place}", "uploadHeaders": [],
                    "uploadMultipartUrls": None, "artifact": {"id": spec["artifactID"]}}  # fmt: skip
            edges.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _CommitArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        held = self.artifacts[given["artifactID"]]
        held["committed"] = True
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": held["digest"]}}}

    def _UseArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        asked = given["input"]
        self.used.append((asked["runName"], asked["artifactID"]))
        return {"useArtifact": {"artifact": {"id": asked["artifactID"]}}}

    # the file stream

    def stream(self, run_name: str, body: dict[str, Any]) -> dict[str, Any]:
        self.asked["file_stream"] += 1
        run = self.runs[run_name]
        parts = {name: len(part["content"]) for name, part in (body.get("files") or {}).items()}
        ended = f", exit code {body.get('exitcode')}" if body.get("complete") else ""
        lines = ", ".join(f"{name} {count} lines" for name, count in parts.items())
        self.transcript.append(f"file_stream {run_name}: {lines}{ended}")
        for name, part in (body.get("files") or {}).items():
            if name == "wandb-history.jsonl":
                for number, line in enumerate(part["content"], start=part["offset"]):
                    run.lines[number] = json.loads(line)
            if name == "wandb-summary.json":
                run.summary = json.loads(part["content"][-1])
        if body.get("complete"):
            run.exit_code = body.get("exitcode")
        return {}

    def upload(self, path: str, body: bytes) -> None:
        self.asked["upload"] += 1
        self.transcript.append(f"upload {path}, {len(body)} bytes")
        kind, _, rest = path.partition("/")
        owner, _, name = rest.partition("/")
        if kind == "upload":
            self.runs[owner].files[name] = body
        else:
            self.blobs[rest] = body


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    held: WandbServer

    def do_POST(self) -> None:
        self._answer()

    do_PUT = do_POST
    do_GET = do_POST

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        status = self.held.trouble(self.path)
        if status is not None:
            self._send(status, {"error": "as asked"})
            return
        path = self.path.partition("?")[0].strip("/")
        with self.held.lock:
            if path == "graphql":
                asked = json.loads(body)
                answer = {"data": self.held.graphql(asked["query"], asked.get("variables") or {})}
            elif path.endswith("/file_stream"):
                answer = self.held.stream(path.split("/")[-2], json.loads(body))
            elif path.partition("/")[0] in ("upload", "blob"):
                self.held.upload(path, body)
                answer = {}
            elif path.startswith("sdk/otel/"):  # the client's own telemetry
                answer = {}
            else:
                self.held.unknown.append(f"{self.command} {self.path}")
                answer = {}
        self._send(200, answer)

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: Any) -> None:
        pass


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed needs no traceback."""


@contextmanager
def serving() -> Iterator[WandbServer]:
    """A server for the length of a block."""
    held = WandbServer()
    handler = type("Handler", (_Handler,), {"held": held})
    with _Http(("127.0.0.1", 0), handler) as http:
        held.address = f"http://127.0.0.1:{http.server_port}"
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield held
        finally:
            http.shutdown()
            thread.join()
