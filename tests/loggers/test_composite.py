"""A user's own logger: found, given its keywords, kept with the results, and never a run's end."""

import logging
import sys
from pathlib import Path

import pytest

from hypercl.cli import main
from hypercl.config import ConfigError, UserError, loads
from hypercl.loggers import LoggerSpec, build, check_loggers
from hypercl.testing.logged_run import reports, started

MODULE = """
from pathlib import Path
from hypercl.loggers import Logger

class MyLogger(Logger):
    def __init__(self, spec, folder, fail=False, word=""):
        self.file, self.fail, self.word = Path(folder) / "heard.txt", fail, word

    def report(self, item):
        if self.fail:
            raise ConnectionError("the server is gone")
        with self.file.open("a") as file:
            file.write(f"{self.word}{item.step}\\n")

class Other:
    pass
"""
FILE = """
experiment:
  tasks: {name: split_digits, num_tasks: 2}
  target: {name: mlp, hidden: [8]}
  training: {iterations: 4, batch_size: 8, threads: 1}
space: {method.beta: {log_uniform: [1e-3, 10]}}
search: {trials: 1}
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "a_users_logger.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("a_users_logger", None)


def wanted(path: str = "a_users_logger:MyLogger", **kwargs):
    text = f"{FILE}logging: {{import: '{path}', kwargs: {kwargs}}}"
    return loads(text, "mine.yaml").logging


def heard(folder: Path, **kwargs) -> list[str]:
    spec = LoggerSpec(wanted(**kwargs), "disabled", None, "a", "a", "run", folder, import_paths=(folder,))
    for logger in build(spec, folder):
        for item in (started(folder), *reports()[:2]):
            logger.hear(item)
        logger.close("interrupted")
    file = folder / "heard.txt"
    return file.read_text().split() if file.exists() else []


def test_it_is_built_with_its_keywords_and_hears_the_run(mine):
    assert heard(mine, word="step-") == ["step-1", "step-2"]


def test_its_error_ends_the_logging_by_it_and_is_said_once(mine, caplog):
    with caplog.at_level(logging.WARNING):
        assert heard(mine, fail=True) == []
    assert [record.message for record in caplog.records] == [
        "Logging of this run by a_users_logger:MyLogger ends here: the server is gone"
    ]
    assert (mine / "metrics.jsonl").read_text().count("\n") == 4


@pytest.mark.parametrize(
    ("path", "kwargs", "said"),
    [
        ("a_users_loger:MyLogger", {}, "a_users_logger"),
        ("a_users_logger:MyLoger", {}, "did you mean 'MyLogger'"),
        ("a_users_logger:Other", {}, "not a subclass of hypercl.loggers.Logger"),
        ("a_users_logger:MyLogger", {"wort": "a"}, "allowed: fail, word"),
        ("os:system", {}, "os is a module of Python's"),
    ],
)
def test_a_mistake_is_refused_before_a_run(mine, path, kwargs, said):
    with pytest.raises(UserError) as told:
        check_loggers(wanted(path, **kwargs), [mine])
    assert said in str(told.value)


def test_keywords_without_a_logger_are_refused():
    with pytest.raises(ConfigError, match="kwargs has no effect without import"):
        loads(f"{FILE}logging: {{kwargs: {{a: 1}}}}", "mine.yaml")


def test_its_module_is_kept_with_the_results(mine):
    (mine / "mine.yaml").write_text(f"{FILE}logging: {{import: 'a_users_logger:MyLogger'}}\n")
    assert main(["train", "mine.yaml"]) == 0
    run = mine / "results" / "mine" / "runs" / "seed-1"
    assert (run / "code" / "a_users_logger.py").read_text() == MODULE
    assert (run / "heard.txt").read_text().startswith("1\n2\n")
