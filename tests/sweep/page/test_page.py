"""report.html: one file that holds everything, whatever the texts in it say."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made_sweep import SMALL, TEXT, made_sweep

from hypercl.cli import main
from hypercl.sweep.page import Shown, page_of
from hypercl.sweep.page.answer import next_steps
from hypercl.sweep.page.courses import Courses, course_of
from hypercl.sweep.results import read_sweeps
from hypercl.sweep.results.importance import Importance
from hypercl.sweep.study import read_sweep
from hypercl.sweep.study.outcome import Outcome
from hypercl.sweep.study.study import SweepStudy


class Page(HTMLParser):
    """Headings, figures, the addresses that it names, and the JSON of its figures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.figures: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.sweeps: list[dict[str, Any]] = []
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self._in = "data" if given.get("id") == "data" else tag
        self.figures += [kind for kind in [given.get("data-figure")] if kind]
        self.addresses += [value for key in ("src", "href") if (value := given.get(key))]
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in in ("h1", "h2", "h3"):
            self.headings[-1] += data
        elif self._in == "data":
            self.sweeps = json.loads(data)


def page(*folders: Path, importance: list[Importance] | None = None) -> tuple[str, Page]:
    found = [] if importance is None else importance
    text = page_of({name: Shown(record, "done", found) for name, record in read_sweeps(folders).items()})
    return text, Page(text)


def test_page_of_a_sweep_answers_first_and_has_a_place_for_each_figure(tmp_path: Path) -> None:
    made_sweep(tmp_path / "made", complete=12, pruned=3)
    _, found = page(tmp_path / "made", importance=[Importance("method.beta", 0.8, 0.2)])
    assert found.headings[:4] == ["made", "Answer", "The best setting", "What to run next"]
    assert found.figures == ["history", "importance", "parameters", "parallel", "pruning"]
    assert {"One trial", "Pruning", "Failures", "Protocol, data, cost"} <= set(found.headings)


def test_page_says_how_many_of_the_tasks_trials_learn(tmp_path: Path) -> None:
    for name, fidelity, words in (
        ("all", "", "digits, 5 tasks,"),
        ("some", ", fidelity: {tasks.num_tasks: 0.4}", "2 of 5"),
    ):
        made_sweep(tmp_path / name, complete=1, text=SMALL.replace("trials: 40", f"trials: 40{fidelity}"))
        assert words in page_of({name: Shown(read_sweep(tmp_path / name), "done", ())})


def test_page_loads_nothing_from_anywhere(tmp_path: Path) -> None:
    made_sweep(tmp_path / "made", complete=3, text=SMALL)
    text, found = page(tmp_path / "made")
    own = re.sub(r'<script type="text/plain" id="plotly">[^<]*</script>', "", text)
    assert found.addresses == []
    assert not re.search(r"https?://|@import|url\(|\bimport\(|\bfetch\(|XMLHttpRequest", own)


def test_numbers_behind_the_figures_are_those_of_the_study(tmp_path: Path) -> None:
    made_sweep(tmp_path / "made", complete=6, pruned=2, running=1)
    _, found = page(tmp_path / "made")
    (sweep,) = found.sweeps
    record = read_sweep(tmp_path / "made")
    drawn = {trial["n"]: trial for trial in sweep["trials"]}
    assert sorted(drawn) == [trial.number for trial in record.trials]
    best = record.best()
    assert best is not None
    assert sweep["best"] == best.number
    assert drawn[best.number]["goals"] == [pytest.approx(best.values[0], rel=1e-5)]
    beta = [one["path"] for one in sweep["parameters"]].index("method.beta")
    assert drawn[best.number]["values"][beta] == pytest.approx(best.params["method.beta"], rel=1e-5)
    assert sweep["parameters"][beta] | {"low": 1e-4, "high": 10, "log": True} == sweep["parameters"][beta]


def test_a_value_that_is_no_part_of_a_setting_is_none_and_null_is_a_choice(tmp_path: Path) -> None:
    made_sweep(tmp_path / "made", complete=12)
    _, found = page(tmp_path / "made")
    paths = [one["path"] for one in found.sweeps[0]["parameters"]]
    optimizer, momentum, clip = map(
        paths.index, (f"training.{key}" for key in ("optimizer.name", "optimizer.momentum", "clip_norm"))
    )
    for trial in found.sweeps[0]["trials"]:
        assert (trial["values"][momentum] is None) == (trial["values"][optimizer] == "adam")
    assert {"null", "1"} <= {trial["values"][clip] for trial in found.sweeps[0]["trials"]}


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def test_hostile_texts_are_texts(tmp_path: Path) -> None:
    text = SMALL.replace("space: {", "space: {training.optimizer.name: {choice: [adam, sgd]}, ")
    file = made_sweep(tmp_path / "made", complete=2, text=text)
    study = SweepStudy(tmp_path / "made" / "study.journal", "made", file, threads=1)
    suggestion = study.ask()
    assert suggestion is not None
    study.decide(suggestion.number, Outcome("failed", f"Traceback\n{HOSTILE}"))
    study.settle(suggestion.number)
    honest = Page(page(tmp_path / "made")[0].replace(HOSTILE, ""))
    name = {HOSTILE: Shown(read_sweep(tmp_path / "made"), "done", [])}
    found = Page(page_of(name))
    assert found.headings[0] == HOSTILE
    assert found.sweeps[0]["name"] == HOSTILE
    assert "img" not in found.tags
    assert found.tags.count("script") == honest.tags.count("script") == 3


def test_pruned_trials_keep_the_matrix_that_they_had(tmp_path: Path) -> None:
    rows = []
    for step in range(1, 7):
        task = -(-step // 4)
        accuracies = {f"validation/task_{one}": 0.9 - 0.1 * (task - one) for one in range(1, task + 1)}
        rows.append({"iteration": step * 10, "task": task, "step": step, "loss/task": 1 / step, **accuracies})
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    course = course_of(tmp_path, 4)
    assert course["matrix"] == [[900], [800, 900]]
    assert course["after"] == [0.25, 0.5, 0.75, 1, 1.25, 1.5]
    assert course["loss"]["iteration"] == [10, 20, 30, 40, 50, 60]


def test_a_trial_of_many_reports_is_thinned_and_keeps_its_last(tmp_path: Path) -> None:
    with (tmp_path / "metrics.jsonl").open("w") as file:
        for step in range(1, 4001):
            row = {"iteration": step, "task": 1, "step": step, "validation/task_1": step / 4000, "loss/task": 1.0}
            file.write(f"{json.dumps(row)}\n")
    course = course_of(tmp_path, 4000)
    assert len(course["accuracy"]) <= 1201
    assert len(course["loss"]["iteration"]) <= 60
    assert course["accuracy"][-1] == [1000]


def test_folders_of_ended_trials_are_read_once_and_only_while_there_is_time(tmp_path: Path) -> None:
    made_sweep(tmp_path / "made", complete=3, text=SMALL)
    record = read_sweep(tmp_path / "made")
    for number in range(3):
        row = {"iteration": 10, "task": 1, "step": 1, "validation/task_1": 0.5}
        (record.trial_folder(number) / "metrics.jsonl").write_text(f"{json.dumps(row)}\n")
    courses = Courses()
    assert courses.read(record, range(3), seconds=-1) == {}
    assert list(courses.read(record, range(3))) == [0, 1, 2]
    for number in range(3):
        (record.trial_folder(number) / "metrics.jsonl").unlink()
    assert list(courses.read(record, range(3), seconds=-1)) == [0, 1, 2]


def test_page_before_any_trial_is_complete_says_so(tmp_path: Path) -> None:
    made_sweep(tmp_path / "made", complete=0, running=1, text=SMALL)
    text, found = page(tmp_path / "made")
    assert "No trial is complete yet" in text
    assert "parameters" not in found.figures


def test_several_sweeps_stand_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        made_sweep(tmp_path / name, complete=4, text=SMALL)
    monkeypatch.chdir(tmp_path)
    assert main(["report", "one", "two", "--html"]) == 0
    found = Page((tmp_path / "report" / "report.html").read_text(encoding="utf-8"))
    assert [sweep["name"] for sweep in found.sweeps] == ["one", "two"]
    assert found.headings[:2] == ["2 sweeps", "Side by side"]
    assert found.figures[0] == "together"
    assert found.addresses == ["#sweep-0", "#sweep-1"]


def test_command_and_versions_stand_in_the_page_and_survive_the_final_step(tmp_path: Path) -> None:
    from hypercl.sweep.results.files import origin_of, write_sweep

    file = made_sweep(tmp_path / "made", complete=1, text=SMALL)
    write_sweep(tmp_path / "made", file, "made", "hypercl sweep made.yaml --set 'a=<b>'")
    write_sweep(tmp_path / "made", file, "made")
    assert origin_of(tmp_path / "made").command == "hypercl sweep made.yaml --set 'a=<b>'"
    text, _ = page(tmp_path / "made")
    assert "hypercl sweep made.yaml --set &#x27;a=&lt;b&gt;&#x27;" in text
    assert origin_of(tmp_path / "made").versions in text


def test_page_of_500_trials_stays_below_six_megabytes(tmp_path: Path) -> None:
    made_sweep(tmp_path / "made", complete=40, text=TEXT)
    text, found = page(tmp_path / "made")
    each = len(json.dumps(found.sweeps[0]["trials"])) / 40
    assert len(text) + 460 * each + 4 * 400_000 + 400_000 * 4 / 3 < 6e6


def test_a_best_value_at_an_end_of_its_range_is_told_with_all_digits_of_a_whole_number(tmp_path: Path) -> None:
    space = "hypernet.chunk_size: {int: [60001, 60002]}"
    made_sweep(tmp_path / "made", complete=6, text=SMALL.replace("space: {", f"space: {{{space}, "))
    record = read_sweep(tmp_path / "made")
    best = record.best()
    assert best is not None
    size = best.params["hypernet.chunk_size"]
    steps = next_steps(record, "done", None, [Importance("hypernet.chunk_size", 0.9, 0.1)])
    end = {60001: "lower", 60002: "upper"}[size]
    assert any(f"its best value {size} lies at the {end} end {size} of its range" in text for text, _ in steps)
