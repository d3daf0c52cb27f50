import numpy as np
import pandas as pd
import pytest

from hypercl.analysis import draw_sweep, history_figure, parameter_figure, read_trials, under_protocol
from hypercl.analysis.style import empty_figure
from hypercl.analysis.sweep import history_table
from hypercl.config import UserError, load, loads, to_yaml
from hypercl.config.models.sweep import Objective

FILE = """
experiment: {tasks: {name: split_digits}}
space:
  method.beta: {log_uniform: [1e-3, 10]}
  hypernet.chunk_size: {int_log: [500, 900]}
  hypernet.task_embedding: {choice: [8, 16, 96]}
  method.lookahead: {choice: [true, false]}
  training.clip_norm: {uniform: [0.5, 2]}
"""
HEAD = "number,state,value,why,seconds,step,method.beta,hypernet.chunk_size,hypernet.task_embedding,"
TRIALS = f"""{HEAD}method.lookahead,training.clip_norm
0,complete,0.90,,3.0,20,0.01,500,96,True,1.0
1,pruned,,,1.0,9,1.0,900,8,False,1.5
2,complete,0.95,,3.0,20,0.1,700,16,True,0.7
3,infeasible,,too large,0.0,,,,,,
4,complete,0.93,,3.0,20,0.5,650,8,False,2.0
5,running,,,0.0,3,0.2,800,16,True,1.2
"""
UP, DOWN = Objective(maximize="validation/final_accuracy"), Objective(minimize="validation/forgetting")


@pytest.fixture
def sweep(tmp_path):
    (tmp_path / "sweep.yaml").write_text(to_yaml(loads(FILE, "test")))
    (tmp_path / "trials.csv").write_text(TRIALS)
    return tmp_path


def drawn(sweep):
    return draw_sweep(load(sweep / "sweep.yaml"), read_trials(sweep / "trials.csv"), sweep / "figures")


def series(axes, label: str) -> tuple[np.ndarray, np.ndarray]:
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)


@pytest.mark.parametrize(("objective", "best"), [(UP, [0.90, 0.90, 0.95, 0.95, 0.95, 0.95]), (DOWN, [0.90] * 6)])
def test_the_best_so_far_never_gets_worse(sweep, objective, best):
    trials = read_trials(sweep / "trials.csv")
    assert list(history_table(trials.sample(frac=1, random_state=0), objective)["best"]) == best


def test_the_history_shows_values_best_and_pruned_trials(sweep):
    (axes,) = history_figure(read_trials(sweep / "trials.csv"), UP).axes
    number, value = series(axes, "complete")
    assert list(number[np.isfinite(value)]) == [0, 2, 4]
    assert list(series(axes, "pruned")[0]) == [1]
    assert list(series(axes, "best so far")[1])[-1] == 0.95
    assert axes.get_ylabel() == "validation final accuracy"


def test_each_parameter_has_a_panel_and_its_own_scale(sweep):
    file = loads(FILE, "test")
    figure = parameter_figure(read_trials(sweep / "trials.csv"), file.space, UP)
    panels = {axes.get_xlabel().replace("\n", ""): axes for axes in figure.axes}
    assert list(panels) == list(file.space)
    assert [axes.get_xscale() for axes in panels.values()] == ["log", "log", "linear", "linear", "linear"]
    assert series(panels["method.beta"], "best") == (0.1, 0.95)
    assert list(series(panels["method.beta"], "pruned")[0]) == [1.0]
    choices = panels["hypernet.task_embedding"]
    assert [label.get_text() for label in choices.get_xticklabels()] == ["8", "16", "96"]
    places, value = series(choices, "complete")
    assert [round(place) for place in places[np.isfinite(value)]] == [2, 1, 0]
    flags, value = series(panels["method.lookahead"], "complete")
    assert [round(place) for place in flags[np.isfinite(value)]] == [0, 0, 1]


def test_the_trial_that_the_sweep_chose_is_marked_though_another_has_a_higher_value(sweep):
    trials = read_trials(sweep / "trials.csv")
    (value,) = trials["value"][trials["number"] == 0]
    assert value < trials["value"].max()
    figure = parameter_figure(trials.assign(best=trials["number"] == 0), loads(FILE, "test").space, UP)
    assert series(figure.axes[0], "best")[1] == value


def test_the_best_of_a_minimized_metric_is_the_lowest(sweep):
    figure = parameter_figure(read_trials(sweep / "trials.csv"), loads(FILE, "test").space, DOWN)
    assert series(figure.axes[0], "best") == (0.01, 0.90)


def test_every_picture_has_its_numbers_beside_it(sweep):
    pictures = drawn(sweep)
    assert [str(path.relative_to(sweep)) for path in pictures] == ["figures/history.png", "figures/parameters.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert list(pd.read_csv(sweep / "figures/history.csv").columns) == ["number", "state", "value", "best"]
    assert list(pd.read_csv(sweep / "figures/parameters.csv")["method.beta"].dropna()) == [0.01, 1.0, 0.1, 0.5, 0.2]


def test_a_sweep_without_a_complete_trial_has_no_figures(sweep):
    (sweep / "trials.csv").write_text("\n".join(TRIALS.splitlines()[:1]) + "\n")
    assert drawn(sweep) == []
    assert not (sweep / "figures").exists()


def test_a_missing_list_of_trials_is_named(sweep):
    (sweep / "trials.csv").unlink()
    with pytest.raises(UserError, match=r"trials\.csv holds no trials"):
        drawn(sweep)


def test_figures_of_a_sweep_that_was_tuned_on_test_data_say_so():
    honest, leaking = (loads(FILE, "test", [f"protocol={{name: {name}}}"]) for name in ("stream", "test_leak"))
    assert under_protocol(empty_figure(6, 4), honest).get_supxlabel() == ""
    assert "TEST LEAK: tuned on the TEST data" in under_protocol(empty_figure(6, 4), leaking).get_supxlabel()
