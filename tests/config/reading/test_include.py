"""`include`: a file's keys over those of the files it includes; mistakes name the file in which they were made."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercl.config import ConfigError, Problem, UserError, load, load_sweep, loads, to_yaml
from hypercl.config.models.sweep import SweepFile
from hypercl.config.reading.include import content_of, text_of
from hypercl.config.reading.yaml_text import dump
from hypercl.sweep.results.files import write_sweep
from hypercl.sweep.study.resume_check import check_same

BASE = """
experiment:
  tasks: {name: split_digits, num_tasks: 3}
  hypernet: {name: chunked, hidden: [8], chunk_size: 100}
  method: {name: hnet, beta: 0.5, regularizer: {form: direct}}
  training: {iterations: 40, batch_size: 16}
space:
  method.beta: {log_uniform: [1e-4, 10]}
  hypernet.chunk_size: {int_log: [50, 500]}
search: {sampler: tpe, startup_trials: 4, trials: 9}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "shared" / "base.yaml", BASE)
    return tmp_path


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def over(folder: Path, text: str, include: str = "shared/base.yaml") -> SweepFile:
    return load(write(folder / "mine.yaml", f"include: {include}\n{text}"))


def problems_of(file: Path) -> dict[str, Problem]:
    with pytest.raises(ConfigError) as caught:
        load_sweep(file)
    return {problem.path: problem for problem in caught.value.problems}


def test_a_file_that_only_includes_is_the_included_one(folder: Path) -> None:
    assert to_yaml(over(folder, "")) == to_yaml(loads(BASE, "base"))


def test_a_files_own_keys_win_and_mappings_merge_deeply(folder: Path) -> None:
    found = over(folder, "experiment: {method: {regularizer: {mask_heads: false}}, training: {batch_size: 8}}")
    method, training = found.experiment.method, found.experiment.training
    assert (method.beta, method.regularizer.form, method.regularizer.mask_heads) == (0.5, "direct", False)
    assert (training.iterations, training.batch_size) == (40, 8)
    assert found.experiment.tasks.num_tasks == 3


def test_a_section_of_another_kind_takes_the_place_of_the_included_one_whole(folder: Path) -> None:
    found = over(folder, "experiment: {hypernet: {name: full}, method: {name: finetune}}\nspace: {}").experiment
    assert found.hypernet.hidden == (10, 10)
    assert found.method.name == "finetune"
    same = over(folder, "experiment: {hypernet: {name: chunked, chunk_size: 7}}").experiment
    assert (same.hypernet.hidden, same.hypernet.chunk_size) == ((8,), 7)


def test_the_name_of_the_results_is_not_a_kind(folder: Path) -> None:
    write(folder / "shared" / "named.yaml", f"name: theirs\n{BASE}")
    found = over(folder, "name: mine", "shared/named.yaml")
    assert (found.name, found.experiment.tasks.num_tasks) == ("mine", 3)


def test_a_keyword_called_name_of_ones_own_module_is_not_a_kind(folder: Path) -> None:
    own = "{name: import, path: 'a:b', kwargs: {name: x, k: 1}}"
    write(folder / "own.yaml", f"experiment: {{tasks: {{name: split_digits}}, target: {own}}}")
    target = over(folder, "experiment: {target: {kwargs: {name: y}}}", "own.yaml").experiment.target
    assert target.kwargs == {"name": "y", "k": 1}


def test_an_entry_of_the_space_is_replaced_whole_and_null_removes_it(folder: Path) -> None:
    found = over(folder, "space: {method.beta: {uniform: [0.1, 1]}, hypernet.chunk_size: null}")
    assert list(found.space) == ["method.beta"]
    assert found.space["method.beta"].kind == "uniform"


def test_null_for_an_entry_that_nothing_includes_is_a_mistake(folder: Path) -> None:
    file = write(folder / "mine.yaml", "include: shared/base.yaml\nspace: {method.betta: null}")
    assert set(problems_of(file)) == {"space.method.betta"}


def test_what_cannot_stand_beside_a_files_own_key_goes(folder: Path) -> None:
    found = over(folder, "experiment: {training: {epochs: 2}}\nsearch: {sampler: random}")
    assert (found.experiment.training.epochs, found.experiment.training.iterations) == (2, None)
    assert (found.search.sampler, found.search.startup_trials, found.search.trials) == ("random", None, 9)
    write(folder / "shared" / "low.yaml", f"{BASE}objective: {{minimize: validation/forgetting}}")
    assert (
        over(folder, "objective: {maximize: validation/during_accuracy}", "shared/low.yaml").objective.minimize is None
    )
    both = write(folder / "both.yaml", "include: shared/base.yaml\nexperiment: {training: {epochs: 2, iterations: 3}}")
    assert "keep one of them" in problems_of(both)["experiment.training"].message


def test_of_several_includes_later_ones_win_and_includes_may_include(folder: Path) -> None:
    write(folder / "shared" / "long.yaml", "include: ../more/long.yaml\nexperiment: {training: {batch_size: 4}}")
    write(folder / "more" / "long.yaml", "experiment: {training: {iterations: 99, batch_size: 5}}")
    training = over(folder, "", "[shared/base.yaml, shared/long.yaml]").experiment.training
    assert (training.iterations, training.batch_size) == (99, 4)
    training = over(folder, "", "[shared/long.yaml, shared/base.yaml]").experiment.training
    assert (training.iterations, training.batch_size) == (40, 16)


def test_one_file_may_be_included_twice_on_different_ways(folder: Path) -> None:
    write(folder / "a.yaml", "include: shared/base.yaml\nexperiment: {training: {iterations: 7}}")
    write(folder / "b.yaml", "include: shared/base.yaml")
    assert over(folder, "", "[a.yaml, b.yaml]").experiment.training.iterations == 40


def test_a_text_includes_from_the_folder_of_its_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "include: shared/base.yaml"
    assert loads(text, str(folder / "no such file.yaml")).experiment.tasks.num_tasks == 3
    monkeypatch.chdir(folder)
    assert loads(text, "text").experiment.tasks.num_tasks == 3


def test_overrides_come_last_and_cannot_include(folder: Path) -> None:
    file = write(folder / "mine.yaml", "include: shared/base.yaml\nexperiment: {method: {beta: 2}}")
    assert load(file, ["method.beta=3"]).experiment.method.beta == 3
    with pytest.raises(ConfigError, match="include: write include at the top of the file"):
        load(file, ["include=shared/base.yaml"])


def test_a_mistake_names_the_file_and_the_line_in_which_it_was_made(folder: Path) -> None:
    shared = write(
        folder / "shared" / "wrong.yaml",
        BASE.replace("batch_size: 16", "batch_sise: 16").replace("hypernet.chunk_size", "hypernet.chunk_sise"),
    )
    mine = write(folder / "mine.yaml", "include: shared/wrong.yaml\nexperiment:\n  method: {beta: -1}\n")
    found = problems_of(mine)
    assert {path: (problem.file, problem.line) for path, problem in found.items()} == {
        "experiment.training.batch_sise": (str(shared), 6),
        "space.hypernet.chunk_sise": (str(shared), 9),
        "experiment.method.beta": (str(mine), 3),
    }
    with pytest.raises(ConfigError, match=f"3 problems in {mine}\n") as caught:
        load_sweep(mine)
    assert f"{shared}:6  experiment.training.batch_sise: unknown key" in str(caught.value)


def test_what_was_replaced_is_no_longer_blamed(folder: Path) -> None:
    mine = write(
        folder / "mine.yaml", "include: shared/base.yaml\nexperiment:\n  method:\n    name: joint\n    beta: 1\n"
    )
    problem = problems_of(mine)["experiment.method.beta"]
    assert (problem.file, problem.line) == (str(mine), 5)
    assert "experiment.method.regularizer" not in content_of(mine.read_text(), str(mine)).locations


def test_a_missing_include_names_the_key_the_file_and_the_nearest_one(folder: Path) -> None:
    write(folder / "shared" / "middle.yaml", "# a comment\ninclude: [bass.yaml]")
    mine = write(folder / "mine.yaml", "include:\n  - shared/middle.yaml\n  - gone/base.yaml\n")
    found = problems_of(mine)
    inner, own = found["include.0"], found["include.1"]
    assert (inner.file, inner.line, inner.value) == (str(folder / "shared" / "middle.yaml"), 2, "bass.yaml")
    assert inner.fix == "did you mean 'base.yaml'?"
    assert (own.file, own.line, own.message) == (str(mine), 1, "file not found")
    assert "from the folder of" in own.fix


def test_a_circle_of_includes_is_told_with_its_files(folder: Path) -> None:
    write(folder / "a.yaml", "include: shared/b.yaml")
    write(folder / "shared" / "b.yaml", "\ninclude: ../a.yaml")
    problem = problems_of(folder / "a.yaml")["include"]
    assert "circle" in problem.message
    assert problem.message.count("a.yaml") == 2
    assert (problem.file, problem.line) == (str(folder / "shared" / "b.yaml"), 2)
    assert problem.fix


@pytest.mark.parametrize("text", ["", "[1, 2]", "just text"])
def test_an_include_without_sections_is_a_mistake(folder: Path, text: str) -> None:
    write(folder / "empty.yaml", text)
    problem = problems_of(write(folder / "mine.yaml", "include: empty.yaml"))["include"]
    assert (problem.message, problem.value) == ("the file holds no sections", "empty.yaml")


@pytest.mark.parametrize("value", ["3", "{a: b}", "[shared/base.yaml, 3]", "true"])
def test_an_include_that_is_no_path_is_a_mistake(folder: Path, value: str) -> None:
    problem = problems_of(write(folder / "mine.yaml", f"include: {value}"))["include"]
    assert problem.message == "this should be a file, or a list of files"
    assert problem.line == 1


def test_an_include_that_is_no_yaml_is_told_in_its_own_file(folder: Path) -> None:
    broken = write(folder / "broken.yaml", "experiment:\n  tasks: [1")
    problem = problems_of(write(folder / "mine.yaml", "include: [broken.yaml, gone.yaml]"))
    assert problem[""].file == str(broken)
    assert "not valid YAML" in problem[""].message
    assert "include.1" in problem


def test_a_folder_and_a_path_that_cannot_be_one_are_mistakes(folder: Path) -> None:
    for value in ("shared", '"\\0"', '""'):
        problem = problems_of(write(folder / "mine.yaml", f"include: {value}"))["include"]
        assert "cannot be read" in problem.message


def test_an_include_stands_at_the_top_of_a_file_only(folder: Path) -> None:
    mine = write(folder / "mine.yaml", "experiment: {include: shared/base.yaml, tasks: {name: split_digits}}")
    assert set(problems_of(mine)) >= {"experiment.include"}


def test_the_file_kept_in_the_results_includes_nothing_and_is_compared_by_content(folder: Path) -> None:
    file = over(folder, "experiment: {method: {beta: 2}}")
    results = folder / "results" / "mine"
    results.mkdir(parents=True)
    write_sweep(results, file, "mine")
    assert "include:" not in text_of(results / "sweep.yaml")
    assert load(results / "sweep.yaml").experiment == file.experiment
    write(folder / "shared" / "base.yaml", BASE + "# a comment more\n")
    check_same(results, load(folder / "mine.yaml"))
    write(folder / "shared" / "base.yaml", BASE.replace("iterations: 40", "iterations: 41"))
    with pytest.raises(UserError, match=r"iterations: 40 -> 41"):
        check_same(results, load(folder / "mine.yaml"))


keys = st.sampled_from(["experiment", "space", "method", "name", "beta", "x"])
sections = st.recursive(
    st.none() | st.integers() | st.sampled_from(["hnet", "joint"]),
    lambda inner: st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=30, deadline=None)
@given(below=st.dictionaries(keys, sections, max_size=4), above=st.dictionaries(keys, sections, max_size=4))
def test_every_value_of_a_file_is_kept_and_including_it_again_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, below: dict[str, Any], above: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("laid")
    write(folder / "below.yaml", dump(below))
    write(folder / "above.yaml", dump({"include": "below.yaml"} | above))
    found = content_of("include: [above.yaml, above.yaml]", str(folder / "mine.yaml"))
    once = content_of("include: above.yaml", str(folder / "mine.yaml"))
    assert found.data == once.data
    assert all(_holds(found.data.get(key), value) for key, value in above.items() if key != "space")


def _holds(found: Any, value: Any) -> bool:
    if isinstance(value, dict):
        return isinstance(found, dict) and all(
            _holds(found.get(key), each) for key, each in value.items() if each != {}
        )
    return found == value or (isinstance(found, dict) and found.get("name") == value)
