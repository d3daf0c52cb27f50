import pytest

from hypercl.config.models import Logging, Wandb
from hypercl.loggers import LoggerSpec
from hypercl.loggers import wandb_best as best


def end_of(folder, mode="online", **block) -> best.BestOfSweep:
    (folder / "results").mkdir()
    (folder / "best.yaml").write_text("experiment: {}\n")
    logging = Logging(wandb=Wandb(project="tests", **block))
    spec = LoggerSpec(logging, mode, "a-sweep", "study-3", "a-sweep-3", "trial", folder / "results")
    files, about = (folder / "best.yaml",), {"trial": 3, "value": 0.9}
    return best.BestOfSweep(spec, folder / "run", files, about, "a-sweep: stopped", "the disk is full", failed=True)


def test_the_best_setting_is_an_artifact_of_its_trials_run_and_an_alert_says_how_it_ended(tmp_path, server):
    assert best.tell(end_of(tmp_path, alert=True)) == ""
    (artifact,) = server.artifacts.values()
    assert (artifact["artifactTypeName"], artifact["runName"]) == ("best-setting", "study-3")
    assert artifact["committed"]
    assert {alias["alias"] for alias in artifact["aliases"]} == {"best", "latest"}
    assert server.blobs["artifact-a-sweep-best/best.yaml"] == b"experiment: {}\n"
    (alert,) = server.alerts
    assert (alert["title"], alert["text"], alert["severity"]) == ("a-sweep: stopped", "the disk is full", "ERROR")
    assert server.unknown == []


@pytest.mark.usefixtures("server")
def test_what_takes_long_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(best, "SECONDS", 0.1)
    assert best.tell(end_of(tmp_path)) == "no answer within 0.1 s"
