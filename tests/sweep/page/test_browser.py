"""report.html in a browser: no errors, every figure drawn."""

import json
import math
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from made_sweep import SMALL, TEXT, made_sweep
from PIL import Image

from hypercl.sweep.page import Shown, page_of
from hypercl.sweep.results import importances, read_sweeps
from hypercl.sweep.study import read_sweep, state_of

pytestmark = pytest.mark.browser
FIRST = """<script>window.errors = [];
addEventListener("error", event => errors.push(String(event.message)));
addEventListener("unhandledrejection", event => errors.push(String(event.reason)));
console.error = console.warn = (...words) => errors.push(words.join(" "));</script>"""
LAST = """<script>(async () => {
  while (document.documentElement.dataset.ready !== "yes" && !errors.length) await new Promise(r => setTimeout(r, 50));
  const drawn = () => [...document.querySelectorAll("figure[data-figure]")]
    .map(one => [one.dataset.figure, one.querySelectorAll(".main-svg").length > 0]);
  try { HERE } catch (error) { errors.push(String(error)); }
  await new Promise(r => setTimeout(r, 200));
  const wide = document.documentElement.scrollWidth > innerWidth;
  document.body.append(Object.assign(document.createElement("pre"), { id: "told",
    textContent: JSON.stringify({ errors, drawn: drawn(), wide, alerted: !!window.alerted,
      pictures: [...document.querySelectorAll("img.samples")].map(one => one.naturalWidth),
      chosen: (document.querySelector("select") || {}).value }) }));
})();</script>"""


def opened(path: Path, do: str = "drawAll();", width: int = 1280) -> dict[str, Any]:
    """What a headless Chromium says of a page."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    text = path.read_text(encoding="utf-8").replace("<head>", f"<head>{FIRST}", 1)
    tried = path.with_suffix(".tried.html")
    tried.write_text(text.replace("</body>", f"{LAST.replace('HERE', do)}</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += [
        f"--window-size={width},900",
        f"--user-data-dir={path.parent / 'browser'}",
        "--virtual-time-budget=60000",
    ]
    asked = [browser, *options, "--dump-dom", tried.as_uri()]
    found = subprocess.run(asked, capture_output=True, text=True, timeout=200, check=True).stdout
    told = re.search(r'<pre id="told">(.*?)</pre>', found, re.DOTALL)
    assert told is not None, found[-2000:]
    return json.loads(told[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))


def written(folder: Path, *names: str) -> Path:
    sweeps = read_sweeps([folder / name for name in names])
    path = folder / "report.html"
    shown = {name: Shown(record, "done", importances(record)) for name, record in sweeps.items()}
    path.write_text(page_of(shown), encoding="utf-8")
    return path


def trained(folder: Path, number: int, steps: int = 20) -> None:
    """metrics.jsonl of a trial that forgets."""
    rng, lines = random.Random(number), []
    for step in range(1, steps + 1):
        task = -(-step // 4)
        own = {
            f"validation/task_{one}": 0.95 * math.exp(-0.1 * (task - one)) - 0.02 * rng.random()
            for one in range(1, task + 1)
        }
        lines.append(json.dumps({"iteration": 25 * step, "task": task, "step": step, "loss/task": 1 / step, **own}))
    (folder / "trials" / str(number) / "metrics.jsonl").write_text("\n".join(lines) + "\n")


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    made_sweep(tmp_path / "made", complete=14, pruned=4)
    for number in range(19):
        trained(tmp_path / "made", number, 20 if number % 4 else 8)
    return tmp_path


def test_every_figure_is_drawn_without_an_error(sweep: Path) -> None:
    told = opened(written(sweep, "made"))
    assert told["errors"] == []
    assert all(drawn for _, drawn in told["drawn"])
    kinds = {kind for kind, _ in told["drawn"]}
    assert {"history", "importance", "parameters", "parallel", "pruning", "matrix", "stream", "loss"} <= kinds
    assert not told["wide"]


CLICK = """drawAll();
const plot = document.querySelector('[data-figure="history"] .plot');
const pruned = plot.data.find(one => one.name === "pruned");
plot.emit("plotly_click", { points: [{ customdata: pruned.customdata[0] }] });
await new Promise(r => setTimeout(r, 300));
drawAll();"""


def test_a_click_on_a_pruned_trial_shows_how_it_trained(sweep: Path) -> None:
    told = opened(written(sweep, "made"), CLICK)
    assert told["errors"] == []
    pruned = [one.number for one in read_sweep(sweep / "made").trials if state_of(one) == "pruned"]
    assert int(told["chosen"]) in pruned
    assert {kind for kind, drawn in told["drawn"] if drawn} >= {"matrix", "stream", "loss"}


WHOLE = """drawAll();
const cells = [...document.querySelectorAll('[data-part="setting"] td')].map(one => one.textContent);
if (!cells.some(text => /^1234[5-9]$/.test(text))) errors.push(cells.join(" "));"""


def test_a_whole_number_of_the_best_setting_is_not_rounded(tmp_path: Path) -> None:
    made_sweep(
        tmp_path / "made",
        complete=5,
        text=SMALL.replace("space: {", "space: {hypernet.chunk_size: {int: [12345, 12349]}, "),
    )
    assert opened(written(tmp_path, "made"), WHOLE)["errors"] == []


TICKS = """drawAll();
const labels = kind => [...document.querySelectorAll(`[data-figure="history"] .${kind} text`)];
const [values, trials] = ["ytick", "xtick"].map(kind => labels(kind).map(one => one.textContent));
if (values.length < 3 || new Set(values).size < values.length) errors.push(values.join(" "));
if (trials.join(" ") !== "0 1 2") errors.push(trials.join(" "));"""


def test_the_ticks_of_a_few_trials_alike_are_told_apart(tmp_path: Path) -> None:
    made_sweep(tmp_path / "made", complete=3, text=SMALL.replace("[1e-4, 10]", "[0.099, 0.101]"))
    assert opened(written(tmp_path, "made"), TICKS)["errors"] == []


def test_a_front_and_what_is_replayed_are_drawn(tmp_path: Path) -> None:
    goals = "objective: {maximize: validation/final_accuracy, minimize: validation/forgetting}"
    file = made_sweep(tmp_path / "made", complete=8, text=f"{TEXT}{goals}\n")
    assert len(file.objective.goals) == 2
    for number in range(8):
        trained(tmp_path / "made", number)
        (tmp_path / "made" / "trials" / str(number) / "samples").mkdir()
        Image.new("L", (40, 8), 128).save(tmp_path / "made" / "trials" / str(number) / "samples" / "after-task-5.png")
    told = opened(written(tmp_path, "made"))
    assert told["errors"] == []
    assert ["front", True] in told["drawn"]
    assert told["pictures"] == [40]


def test_further_seeds_and_the_final_step_are_drawn(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[2] / "stored" / "0.1.0" / "finished", tmp_path / "finished")
    told = opened(written(tmp_path, "finished"))
    assert told["errors"] == []
    assert [one for one in told["drawn"] if one[0] in ("seeds", "final")] == [["seeds", True], ["final", True]]


def test_it_fits_a_phone_and_several_sweeps_fit_one_page(sweep: Path) -> None:
    made_sweep(sweep / "other", complete=5, text=TEXT)
    told = opened(written(sweep, "made", "other"), width=390)
    assert told["errors"] == []
    assert all(drawn for _, drawn in told["drawn"])
    assert [kind for kind, _ in told["drawn"]].count("history") == 2


def test_it_is_printed_in_ink_and_then_shown_again(sweep: Path) -> None:
    told = opened(
        written(sweep, "made"),
        'drawAll(); dispatchEvent(new Event("beforeprint")); dispatchEvent(new Event("afterprint"));',
    )
    assert told["errors"] == []
    assert all(drawn for _, drawn in told["drawn"])


def test_hostile_names_run_nothing(sweep: Path) -> None:
    record = next(iter(read_sweeps([sweep / "made"]).values()))
    name = "<img src=x onerror='window.alerted=1'></script><script>window.alerted=1</script>"
    path = sweep / "report.html"
    path.write_text(page_of({name: Shown(record, "done", importances(record))}), encoding="utf-8")
    told = opened(path)
    assert told["errors"] == []
    assert not told["alerted"]


def test_the_largest_sweep_is_below_six_megabytes(tmp_path: Path) -> None:
    made_sweep(tmp_path / "made", complete=380, pruned=120)
    for number in range(501):
        trained(tmp_path / "made", number)
    path = written(tmp_path, "made")
    assert path.stat().st_size < 6e6
    told = opened(path)
    assert told["errors"] == []
    assert all(drawn for _, drawn in told["drawn"])
