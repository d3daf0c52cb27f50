"""The space against the experiment."""

from pathlib import Path

import pytest

from hypercl.config import ConfigError, check_sweep, load, load_sweep, loads


def problems_of(space: str, rest: str = "") -> dict[str, str]:
    file = loads(f"experiment: {{tasks: {{name: split_digits}}}}\nspace: {space}\n{rest}", "file.yaml")
    with pytest.raises(ConfigError) as caught:
        check_sweep(file, "file.yaml")
    return {problem.path: str(problem) + problem.render("file.yaml") for problem in caught.value.problems}


def test_a_sweep_needs_a_space() -> None:
    assert "needs a space" in problems_of("{}")["space"]


def test_a_sweep_needs_the_number_of_tasks(tmp_path: Path) -> None:
    stream = "{name: import, path: streams:make, input_shape: [1, 8, 8], classes_per_task: 2, heads: shared}"
    file = tmp_path / "file.yaml"
    file.write_text(f"experiment:\n  tasks: {stream}\nspace: {{method.beta: {{uniform: [0, 1]}}}}")
    with pytest.raises(ConfigError) as caught:
        load_sweep(file)
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == ("experiment.tasks.num_tasks", 2)
    assert problem.fix


def test_an_unknown_path_is_named_with_the_nearest_one() -> None:
    assert "did you mean 'method.beta'?" in problems_of("{method.betta: {uniform: [0, 1]}}")["space.method.betta"]


def test_the_base_must_lie_inside_unless_the_file_says_otherwise() -> None:
    outside = "{method.beta: {uniform: [1, 2]}}"
    assert "lies outside" in problems_of(outside)["space.method.beta"]
    text = f"experiment: {{tasks: {{name: split_digits}}}}\nspace: {outside}\nsearch: {{include_base: false}}"
    check_sweep(loads(text, "x"), "x")


@pytest.mark.parametrize("path", ["training.seed", "tasks.num_tasks", "tasks.validation", "tasks.split_seed"])
def test_seeds_and_the_stream_cannot_be_varied(path: str) -> None:
    assert "cannot vary" in problems_of(f"{{{path}: {{int: [1, 5]}}}}")[f"space.{path}"]


def test_augmentation_can_be_varied() -> None:
    text = "experiment: {tasks: {name: split_cifar}}\nspace: {tasks.augment: {choice: [true, false]}}"
    check_sweep(loads(text, "x"), "x")


def test_a_bound_that_the_experiment_refuses_is_named() -> None:
    found = problems_of("{hypernet.chunk_size: {int: [0, 50000]}}")
    assert "0 is not allowed here" in found["space.hypernet.chunk_size"]


def test_a_grid_needs_values_that_can_be_listed() -> None:
    found = problems_of("{method.beta: {log_uniform: [1e-3, 1]}}", "search: {sampler: grid}")
    assert "can be listed" in found["space.method.beta"]


def test_trunk_shapes_may_be_choices() -> None:
    text = "experiment: {tasks: {name: split_digits}}\nspace: {hypernet.hidden: {choice: [[10, 10], [], [25]]}}"
    check_sweep(loads(text, "x"), "x")


def test_mistakes_of_a_section_and_of_the_space_are_told_together(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text(
        """
experiment:
  tasks: {name: split_digits, num_tasks: 0}
  method: {beta: low}
space:
  method.beta: {uniform: [1, 2]}
  training.seed: {int: [1, 5]}
  hypernet.chunksize: {int: [1, 5]}
  hypernet.chunk_size: {int: [5, 1]}
objectiv: {}
"""
    )
    with pytest.raises(ConfigError) as caught:
        load_sweep(tmp_path / "file.yaml")
    lines = (tmp_path / "file.yaml").read_text().splitlines()
    assert {problem.path: lines[(problem.line or 0) - 1].strip() for problem in caught.value.problems} == {
        "experiment.tasks.num_tasks": "tasks: {name: split_digits, num_tasks: 0}",
        "experiment.method.beta": "method: {beta: low}",
        "space.training.seed": "training.seed: {int: [1, 5]}",
        "space.hypernet.chunksize": "hypernet.chunksize: {int: [1, 5]}",
        "space.hypernet.chunk_size": "hypernet.chunk_size: {int: [5, 1]}",
        "objectiv": "objectiv: {}",
    }


def test_a_file_that_cannot_be_searched_can_still_be_trained(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text("experiment: {tasks: {name: split_digits}}")
    assert load(tmp_path / "file.yaml").space == {}
    with pytest.raises(ConfigError, match="needs a space"):
        load_sweep(tmp_path / "file.yaml")


def test_of_a_section_told_as_wrong_nothing_more_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(
        "experiment:\n  tasks: {name: split_digits}\n  hypernet: {chunk_size: 1000}\n"
        "space:\n  hypernet.chunk_size: {int_log: [100, 4000]}\n  method.beta: {uniform: [1, 2]}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_sweep(file, ["hypernet.compression_ratio=0.5"])
    assert [problem.path for problem in caught.value.problems] == ["experiment.hypernet", "space.method.beta"]


def test_a_mistake_in_an_override_is_not_laid_to_a_line_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text("experiment:\n  tasks: {name: split_digits}\n  method: {beta: 1.0}\n")
    with pytest.raises(ConfigError, match=r"--set  experiment\.method\.betta: unknown key"):
        load(file, ["method.betta=3"])
    with pytest.raises(ConfigError, match=r"--set  experiment\.method\.beta: "):
        load(file, ["method={beta: -1}"])
    file.write_text(file.read_text().replace("1.0", "-1"))
    with pytest.raises(ConfigError, match=r"file\.yaml:3  experiment\.method\.beta: "):
        load(file, ["method.lookahead=false"])


def test_a_misspelt_key_is_one_problem_though_its_default_lies_outside_the_space(tmp_path: Path) -> None:
    text = "experiment: {tasks: {name: split_digits}, hypernet: {chunksize: 150}}\n"
    (tmp_path / "a.yaml").write_text(text + "space: {hypernet.chunk_size: {int: [100, 1000]}}\n")
    with pytest.raises(ConfigError) as caught:
        load_sweep(tmp_path / "a.yaml")
    assert [problem.path for problem in caught.value.problems] == ["experiment.hypernet.chunksize"]
