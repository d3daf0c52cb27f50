import json
import re
import sys

import pytest

from hypercl.cli import main
from hypercl.config import UserError, loads
from hypercl.loggers.dashboard import save

TEXT = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
space:
  method.beta: {log_uniform: [1e-3, 10]}
  hypernet.hidden: {choice: [[10, 10], [50, 50]]}
logging: {wandb: {project: a-project}}
"""


def test_the_dashboard_of_a_project_is_made_once_and_then_brought_up_to_date(tmp_path, server, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text(TEXT)
    assert main(["dashboard", str(file)]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        f"workspace: {server.address}/someone/a-project?nw=hypercl",
        f"report:    {server.address}/someone/a-project/reports/hypercl--view-0",
    ]
    assert told.err == ""
    (tmp_path / "sweep.yaml").write_text(TEXT.replace("method.beta", "training.optimizer.lr"))
    assert main(["dashboard", str(tmp_path)]) == 0
    assert (len(server.views), server.unknown) == (2, [])

    workspace = next(view for view in server.views.values() if view["type"] == "project-view")
    section = json.loads(workspace["spec"])["section"]
    sections = {each["name"].partition(":")[0]: each["panels"] for each in section["panelBankConfig"]["sections"]}
    assert list(sections) == ["Search", "Best trials", "Confirmed", "Tasks", "Forgetting", "Matrix", "Final step"]
    (runs,) = section["runSets"]
    assert [key["name"] for key in runs["grouping"]] == ["jobType", "setting.value"]
    (columns,) = [panel["config"]["columns"] for panel in sections["Search"] if "columns" in panel["config"]]
    assert [column["accessor"] for column in columns] == [
        "config:training.value.optimizer.lr",
        "config:hypernet.value.hidden",
        "summary:validation/final_accuracy",
    ]
    curves = next(panel["config"] for panel in sections["Tasks"] if "each task" in panel["config"]["chartTitle"])
    assert re.fullmatch(curves["metricRegex"], "validation/task_12")

    report = next(view for view in server.views.values() if view["type"] == "runs")
    grids = [block["metadata"] for block in json.loads(report["spec"])["blocks"] if block["type"] == "panel-grid"]
    kinds = [grid["runSets"][0]["filters"]["filters"][0]["value"] for grid in grids]
    assert kinds == [["trial", "run"]] * 2 + [["confirm", "race"]] + [["trial", "run"]] * 3 + ["final"]
    assert {grid["runSets"][0]["grouping"][0]["name"] for grid in grids} == {"setting.value"}


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
    file = loads(TEXT, "mine.yaml")
    with pytest.raises(UserError, match=r"pip install 'hypercl\[dashboards\]'"):
        save(file, file.logging.wandb)


@pytest.mark.usefixtures("own_home")
def test_without_a_key_it_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HYPERCL_OFFLINE", raising=False)
    (tmp_path / "mine.yaml").write_text(TEXT)
    assert main(["dashboard", str(tmp_path / "mine.yaml")]) == 2
    assert "(set WANDB_API_KEY" in capsys.readouterr().err
