"""Every sampler and every pruner: twelve trials, two running when the driver is killed, and nothing is lost."""

from pathlib import Path
from typing import Any, get_args

import pytest
from bridge import Bridge
from fake_training import accuracy
from optuna.trial import TrialState

from hypercl.config import Experiment, SweepFile, check_sweep, loads
from hypercl.config.models.search import Sampler
from hypercl.sweep.results.files import write_sweep
from hypercl.sweep.study.outcome import outcome_of
from hypercl.sweep.study.record import read_sweep
from hypercl.sweep.study.space import experiment_of

TEXT = """
experiment:
  tasks: {name: split_digits}
  hypernet: {name: chunked, task_embedding: 8}
  method: {name: hnet, beta: 0.01}
space:
  hypernet.name: {choice: [chunked, full]}
  method.beta: {log_uniform: [1e-4, 10]}
  hypernet.task_embedding: {int: [4, 16]}
  hypernet.chunk_size: {int_log: [500, 50000], when: {hypernet.name: chunked}}
  hypernet.chunk_embedding: {equals: 2 * hypernet.task_embedding, when: {hypernet.name: chunked}}
constraints: {compression_ratio: {max: 1.0}}
search: {trials: 12, include_base: false, enqueue: [{hypernet.name: full}]}
"""
GRID = (
    "space.method.beta={choice: [0.001, 0.01, 0.1, 1]}",
    "space.hypernet.chunk_size={choice: [500, 42000], when: {hypernet.name: chunked}}",
)
SAMPLERS = get_args(Sampler)
PRUNERS = {
    "none": "{name: none}",
    "asha": "{name: asha}",
    "hyperband": "{name: hyperband}",
    "median": "{name: median, startup_trials: 1}",
    "percentile": "{name: percentile, startup_trials: 1, percentile: 40}",
    "patient": "{name: patient, patience: 2, rule: {name: median, startup_trials: 1}}",
    "threshold": "{name: threshold, floor: 0.65}",
}


def sweep_of(sampler: str, pruner: str, *more: str) -> SweepFile:
    startup = ["search.startup_trials=9"] if sampler in ("tpe", "gp", "cmaes") else []
    small = ["search.population=4"] if sampler.startswith("nsga") else []
    grid = GRID if sampler == "grid" else ()
    overrides = [f"search.sampler={sampler}", f"pruner={PRUNERS.get(pruner, pruner)}", *startup, *small, *grid, *more]
    file = loads(TEXT, "test.yaml", overrides)
    check_sweep(file, "test.yaml")
    return file


def ratio_of(experiment: Experiment) -> float:
    return experiment.hypernet.task_embedding / 10


class Fake:
    """Hands trials out and trains them in this process, two at a time."""

    def __init__(self, file: SweepFile, folder: Path) -> None:
        self.bridge, self.file, self.names = Bridge(file, folder), file, 0
        if file.search.sampler == "gp":
            # How well the acquisition is optimised does not matter here, and it took most of the time.
            inner = self.bridge.study.optuna.sampler.inner._inner
            inner._n_local_search, inner._n_preliminary_samples, inner._n_qmc_samples_qei = 2, 128, 16
        self.running: dict[str, dict[str, Any]] = {}

    def start(self) -> bool:
        self.names += 1
        given = self.bridge.start(str(self.names))
        if isinstance(given, dict):
            self.running[str(self.names)] = given
        return isinstance(given, dict)

    def train(self, name: str, until: int = 20) -> None:
        """Reports up to a step; the whole stream ends the trial, one in five of them by diverging."""
        config = self.running[name]
        experiment = Experiment.model_validate(config["job"].experiment)
        for step in range(1, until + 1):
            met = (step - 1) // 4 + 1
            learned = [accuracy(experiment, task) for task in range(met)]
            # Where beta is small, more is forgotten with each task than is learned.
            loss = 1.0 * (met - 1) * (experiment.method.beta < 0.01)
            value = max(0.0, sum(learned) - loss) / 5
            if self.bridge.result(config, {"step": step, "value": value, "history": (), "seconds": 1.0}) == "STOP":
                self.bridge.searcher.on_trial_complete(name, {})
                del self.running[name]
                return
        if until == 20:
            diverged = config["job"].number % 5 == 4
            metrics = (("validation/final_accuracy", value), ("compression_ratio", ratio_of(experiment)))
            self.bridge.end(name, "diverged" if diverged else "finished", metrics, why="loss is nan")
            del self.running[name]

    def go_on(self, most: int) -> None:
        """Two at a time, until the sweep is finished or so many have ended."""
        while True:
            while len(self.running) < 2 and self.start():
                pass
            if not self.running or self.bridge.study.trained >= most:
                return
            self.train(next(iter(self.running)))


OWN = '{import: "users_search:Near"}'
GENETIC = '{import: "optuna.samplers:NSGAIISampler", kwargs: {population_size: 4}}'
PAIRS = [
    (sampler, pruner)
    for sampler in SAMPLERS
    for pruner in PRUNERS
    if pruner in ("none", "asha", "hyperband") or sampler in ("random", "tpe")
]
"""A sampler sees of a pruner that trials end early: every one with none, the default and the one of brackets."""


@pytest.mark.parametrize(
    ("sampler", "pruner"), [*PAIRS, (OWN, "asha"), (GENETIC, "none"), ("random", '{import: "users_search:Lowest"}')]
)
def test_nothing_is_lost_and_nothing_comes_twice(sampler: str, pruner: str, tmp_path: Path) -> None:
    file = sweep_of(sampler, pruner)
    killed = Fake(file, tmp_path)
    killed.go_on(6)
    running = [config["job"].number for config in killed.running.values()]
    killed.train(next(iter(killed.running)), until=5)
    before = {trial.number: trial for trial in killed.bridge.study.trials()}

    resumed = Fake(file, tmp_path)
    resumed.go_on(99)

    study = resumed.bridge.study
    trials = study.trials()
    kinds = [outcome_of(trial).kind for trial in trials]
    assert len(running) == 2
    assert all(trial.state.is_finished() for trial in trials)
    assert study.trained == 12 == len(trials) - kinds.count("infeasible")
    assert study.record().counts() == {"trained": 12, **{kind: kinds.count(kind) for kind in set(kinds)}}
    for number, trial in before.items():
        assert trials[number].params == trial.params
        assert trials[number].intermediate_values.items() >= trial.intermediate_values.items()
    assert trials[0].params["hypernet.name"] == "full"
    for trial, kind in zip(trials, kinds, strict=True):
        assert ("hypernet.chunk_size" in trial.params) == (trial.params["hypernet.name"] == "chunked")
        assert trial.state == (TrialState.COMPLETE if kind == "complete" else TrialState.PRUNED)
        assert list(trial.constraints) == ["valid", "compression_ratio", "diverged", "out_of_memory"]
        assert (max(trial.constraints.values()) > 0) == (kind in ("infeasible", "diverged"))
        if kind == "pruned":
            assert 8 <= (trial.last_step or 0) < 20
    assert ("pruned" in kinds) == (pruner != "none")
    best = study.record().best()
    assert best is not None
    assert outcome_of(best).kind == "complete"
    assert all(outcome_of(trial).kind == "complete" for trial in study.record().ranked())
    cells = [tuple(sorted(trial.params.items())) for trial in trials]
    assert sampler.startswith("nsga") or len(set(cells)) == len(cells)


SEVERAL = [
    *[(sampler, "asha") for sampler in SAMPLERS if sampler != "cmaes"],
    *[("tpe", pruner) for pruner in PRUNERS if pruner != "asha"],
]


@pytest.mark.parametrize(("sampler", "pruner"), SEVERAL)
def test_with_two_goals_nothing_is_lost_either(sampler: str, pruner: str, tmp_path: Path) -> None:
    quick = ["search.startup_trials=11"] if sampler == "gp" else []
    goals = "objective={maximize: validation/final_accuracy, minimize: compression_ratio}"
    file = sweep_of(sampler, pruner, goals, *quick)
    killed = Fake(file, tmp_path)
    killed.go_on(6)
    killed.train(next(iter(killed.running)), until=5)
    before = {trial.number: trial for trial in killed.bridge.study.trials()}

    resumed = Fake(file, tmp_path)
    resumed.go_on(99)

    study = resumed.bridge.study
    trials = study.trials()
    kinds = [outcome_of(trial).kind for trial in trials]
    assert all(trial.state.is_finished() for trial in trials)
    assert study.trained == 12 == len(trials) - kinds.count("infeasible")
    for number, trial in before.items():
        assert trials[number].params == trial.params
        assert trials[number].intermediate_values.items() >= trial.intermediate_values.items()
    for trial, kind in zip(trials, kinds, strict=True):
        if kind == "complete":
            trained = experiment_of(file.experiment, file.space, trial.params)
            assert trial.values == [trial.intermediate_values[20], ratio_of(trained)]
        else:
            assert trial.state == TrialState.PRUNED
        if kind == "pruned":
            assert 8 <= (trial.last_step or 0) < 20
    assert ("pruned" in kinds) == (pruner != "none")
    write_sweep(tmp_path, file, "test")
    read = read_sweep(tmp_path).trials
    assert [trial.values for trial in read] == [trial.values for trial in trials]
    assert [trial.intermediate_values for trial in read] == [trial.intermediate_values for trial in trials]
    best = study.record().best()
    assert best is not None
    assert best.number == study.record().ranked()[0].number
    assert best.number in [trial.number for trial in study.optuna.best_trials]
