"""Tables of published results as data."""

from pathlib import Path

import pytest

from hypercl.config import ConfigError, assign
from hypercl.reproduce.jobs import shipped_tables, table_file
from hypercl.reproduce.table import APART, cells_of, load_reproduction, settings_of
from hypercl.shipped_files import folder, shipped

TABLE = """
title: a table
set: {training.iterations: 5, method.beta: 1}
rows:
  hnet:
    label: HNET
    file: small.yaml
    set: {method.beta: 2}
    cells:
      task: {published: 99.5}
  ent:
    label: HNET+ENT
    file: small.yaml
    source: a paper
    set: {method.name: hnet_ent}
    cells:
      domain: {set: {method.beta: 1e-7, target.hidden: [3, 4]}}
      class: {published: 70}
"""
SMALL = "experiment: {tasks: {name: split_digits}, target: {name: mlp, hidden: [12]}}"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "table.yaml").write_text(TABLE)
    return tmp_path / "table.yaml"


def test_a_cells_own_values_win_over_its_rows_and_those_over_the_tables(table: Path) -> None:
    cells = {cell.name: cell for cell in cells_of(load_reproduction(table))}
    assert list(cells) == ["hnet-task", "ent-domain", "ent-class"]
    made = {name: cell.experiment(table.parent / cell.file) for name, cell in cells.items()}
    assert [each.method.beta for each in made.values()] == [2, 1e-7, 1]
    assert [each.method.name for each in made.values()] == ["hnet", "hnet_ent", "hnet_ent"]
    assert [each.tasks.scenario for each in made.values()] == ["task", "domain", "class"]
    assert [each.target.hidden for each in made.values()] == [(12,), (3, 4), (12,)]
    assert {each.training.iterations for each in made.values()} == {5}


def test_overrides_win_over_the_table(table: Path) -> None:
    cell = cells_of(load_reproduction(table))[0]
    assert cell.experiment(table.parent / cell.file, ["method.beta=9"]).method.beta == 9


def test_published_numbers_and_their_source_stay_with_their_cell(table: Path) -> None:
    found = [(cell.label, cell.published, cell.source) for cell in cells_of(load_reproduction(table))]
    assert found == [("HNET", 99.5, ""), ("HNET+ENT", None, "a paper"), ("HNET+ENT", 70.0, "a paper")]


def test_mistakes_in_a_table_are_told_together(table: Path) -> None:
    table.write_text(TABLE.replace("title: a table", "titel: x").replace("99.5", "995"))
    with pytest.raises(ConfigError) as told:
        load_reproduction(table)
    assert all(words in str(told.value) for words in ("titel", "rows.hnet.cells.task.published", "less than or equal"))


def test_a_value_that_a_cell_cannot_have_names_its_key(table: Path) -> None:
    table.write_text(TABLE.replace("method.beta: 2", "method.betta: 2"))
    cell = cells_of(load_reproduction(table))[0]
    with pytest.raises(ConfigError, match=r"method\.betta"):
        cell.experiment(table.parent / cell.file)


def test_settings_are_the_same_on_other_seeds_and_machines_only(table: Path) -> None:
    cell = cells_of(load_reproduction(table))[0]
    own = cell.experiment(table.parent / cell.file)
    elsewhere = {"training.device": "cuda", "training.threads": 7, "training.seed": 4, "training.replicas": 2}
    assert elsewhere.keys() < set(APART)
    assert settings_of(assign(own, elsewhere)) == settings_of(own)
    assert settings_of(assign(own, {"training.batch_size": 64})) != settings_of(own)


@pytest.mark.parametrize("name", ["split_mnist", "permuted_mnist"])
def test_a_shipped_table_has_published_numbers_for_the_methods_of_the_paper(name: str) -> None:
    assert name in shipped_tables()
    cells = {cell.name: cell for cell in cells_of(load_reproduction(table_file(name)))}
    paper = ("hnet-task", "hnet_ent-class", "hnet_tir-domain", "hnet_replay-class")
    assert all(80 < (cells[each].published or 0) < 100 or each == "hnet_ent-class" for each in paper)
    assert all(cell.source for cell in cells.values() if cell.published is not None)


@pytest.mark.parametrize("name", ["split_mnist", "permuted_mnist"])
def test_every_cell_of_a_shipped_table_starts_from_a_shipped_file_and_can_be_trained(name: str) -> None:
    for cell in cells_of(load_reproduction(table_file(name))):
        assert cell.file in shipped(), f"{cell.name} starts from a file that is not shipped"
        experiment = cell.experiment(Path(str(folder())) / f"{cell.file}.yaml")
        assert experiment.tasks.name == name
        assert experiment.tasks.scenario == cell.scenario
