import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hypercl.config import UserError
from hypercl.config.models import Logging
from hypercl.loggers import LoggerSpec, build, check_loggers
from hypercl.loggers.tensorboard import TensorBoard
from hypercl.testing import LoggerContract
from hypercl.testing.logged_run import finished, reports, started


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    return found.Reload()


class TestTensorBoard(LoggerContract):
    def logger(self, folder):
        return TensorBoard(folder)

    def written(self, folder):
        if not (folder / "tensorboard").exists():
            return []
        return [event.step for event in events(folder).Scalars("task_iteration")]


def test_it_shows_accuracies_losses_config_matrices_and_final_metrics(tmp_path):
    (_, logger) = build(LoggerSpec(Logging(tensorboard=True), "disabled", None, "a", "a", "run", tmp_path), tmp_path)
    for item in (started(tmp_path), *reports(), finished(tmp_path)):
        logger.hear(item)
    logger.close("finished")
    found = events(tmp_path)
    last = {tag: found.Scalars(tag)[-1] for tag in found.Tags()["scalars"]}
    assert (last["validation/task_3"].step, last["validation/task_3"].value) == (30, pytest.approx(0.92))
    assert last["validation/mean_so_far"].value == pytest.approx(0.91)
    assert last["loss/task"].value == pytest.approx(0.5 / 30)
    assert last["final/test/final_accuracy"].value == pytest.approx(0.89)
    assert found.Tags()["images"] == ["validation/accuracy_matrix", "test/accuracy_matrix"]
    (text,) = found.Tensors("config/text_summary")
    assert b"split_digits" in text.tensor_proto.string_val[0]


def test_where_it_is_not_installed_that_is_said_before_a_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match=r"pip install 'hypercl\[tensorboard\]'"):
        check_loggers(Logging(tensorboard=True), [])
