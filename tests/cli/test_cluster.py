"""The files for clusters: each is what its system reads, and its first lines say what was tried."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from ray.autoscaler._private.util import prepare_config, validate_config

from hypercl.cli import main, parsed
from hypercl.cli.cluster import FILES
from hypercl.shipped_files import cluster_files

VALUES = {"kubernetes": {"image": "lab/hypercl:1", "claim": "shared"}}
VALUES |= {"aws": {"region": "eu-central-1", "image": "ami-1", "filesystem": "fs-1"}}
VALUES |= {"gcp": {"project": "lab", "region": "europe-west4", "image": "cu128", "filesystem": "10.0.0.2:/share"}}
VALUES |= {"local": {"head": "10.0.0.1", "workers": "10.0.0.2, 10.0.0.3", "user": "me"}, "slurm": {}}
SCHEMA = Path(__file__).with_name("rayjob-v1-schema.json")


def made(kind: str, folder: Path) -> str:
    target = folder / "made"
    options = [word for key, value in VALUES[kind].items() for word in (f"--{key}", value)]
    assert main(["cluster", "init", kind, "--to", str(target), *options]) == 0
    return target.read_text()


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_copied_with_every_value_that_it_needs(kind: str, tmp_path: Path) -> None:
    text = made(kind, tmp_path)
    code = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert all(value in "\n".join(code) for value in VALUES[kind].values())
    assert not [line for line in code for name in VALUES[kind] if name.upper() in line.partition(" #")[0]]
    head = text.partition("\n\n")[0]
    assert "# Tried: " in head
    assert "Not tried: " in head


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["kubernetes", "--image", "x"], "kubernetes needs --claim"),
        (["slurm", "--image", "x"], "--image is not for slurm"),
    ],
)
def test_a_missing_or_a_foreign_value_is_told(
    options: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cluster", "init", *options]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slurm.sbatch").write_text("mine")
    assert main(["cluster", "init", "slurm"]) == 2
    assert (tmp_path / "slurm.sbatch").read_text() == "mine"


@pytest.mark.parametrize("kind", ["aws", "gcp", "local"])
def test_ray_up_takes_the_file(kind: str, tmp_path: Path) -> None:
    config = prepare_config(yaml.safe_load(made(kind, tmp_path)))
    validate_config(config)
    assert config["provider"]["type"] == kind


def test_kuberay_takes_the_file(tmp_path: Path) -> None:
    job, schema = yaml.safe_load(made("kubernetes", tmp_path)), json.loads(SCHEMA.read_text())
    Draft7Validator(schema).validate(job)
    assert list(unknown(job, schema, schema)) == []
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplica"] = 4
    assert list(unknown(job, schema, schema)) == ["maxReplica"]


def test_the_job_on_kubernetes_is_a_command_of_hypercl(tmp_path: Path) -> None:
    words = yaml.safe_load(made("kubernetes", tmp_path))["spec"]["entrypoint"].split()
    assert words[:3] == ["python", "-m", "hypercl"]
    args = parsed(words[3:])
    assert args.results.is_absolute()
    assert args.data_dir.is_absolute()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing_in_the_batch_script() -> None:
    subprocess.run(["shellcheck", str(cluster_files() / "slurm.sbatch")], check=True)


def unknown(value: Any, schema: dict[str, Any], whole: dict[str, Any]) -> Iterator[str]:
    """Keys that a schema does not know, which Kubernetes drops or refuses."""
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        for each in value:
            yield from unknown(each, schema.get("items", {}), whole)
    if not isinstance(value, dict) or "properties" not in schema:
        return
    for key, inner in value.items():
        if key not in schema["properties"]:
            yield key
        else:
            yield from unknown(inner, schema["properties"][key], whole)
