"""What accuracies at fixed steps say about the learning rate and about going on."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hypercl.config.models.training import Adam, EarlyStopping, Plateau, Training
from hypercl.training.validation_monitor import Notes, ValidationMonitor, check_steps

accuracies = st.lists(st.integers(0, 8).map(lambda n: n / 8), min_size=1, max_size=60)


def told(training: Training, values: list[float]) -> list[tuple[float, bool, bool]]:
    """After each check: factor, whether it was the best, whether to stop. The notes go through JSON in between."""
    notes: Notes = {}
    found = []
    for step, value in enumerate(values, start=1):
        monitor = ValidationMonitor(training, 60, notes)
        assert monitor.due(step)
        best = monitor.see(step, value)
        assert not monitor.due(step)
        found.append((monitor.factor, best, monitor.stopped))
        notes = json.loads(json.dumps(notes))
    return found


@settings(deadline=None)  # torch.optim is imported late
@given(accuracies, st.integers(0, 4), st.integers(0, 4), st.sampled_from([0.5, 0.1]))
def test_a_plateau_lowers_the_rate_where_torch_does(
    values: list[float], patience: int, cooldown: int, factor: float
) -> None:
    schedule = Plateau(factor=factor, patience=patience, cooldown=cooldown, min_lr=1e-5, checks=60)
    training = Training(schedule=schedule, optimizer=Adam(lr=0.01))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max", factor, patience, threshold=0.0, cooldown=cooldown, min_lr=1e-5, eps=0.0
    )
    for (ours, _, _), value in zip(told(training, values), values, strict=True):
        theirs.step(value)
        assert 0.01 * ours == pytest.approx(optimizer.param_groups[0]["lr"])


@given(accuracies, st.integers(1, 5))
def test_early_stopping_keeps_the_first_best_and_waits_for_a_better_one(values: list[float], patience: int) -> None:
    found = told(Training(early_stopping=EarlyStopping(patience=patience, checks=60)), values)
    kept = [index for index, (_, best, _) in enumerate(found) if best]
    assert values[kept[-1]] == max(values)
    assert kept[-1] == values.index(max(values))
    for index, (factor, _, stopped) in enumerate(found):
        newest = max(place for place in kept if place <= index)
        assert stopped == (index - newest >= patience)
        assert factor == 1


@given(st.integers(1, 500), st.integers(1, 60))
def test_checks_are_spread_evenly_and_never_more_than_asked_for(steps: int, checks: int) -> None:
    due = check_steps(steps, checks)
    assert max(due) == steps
    assert min(due) >= 1
    assert len(due) == min(steps, checks)


def test_each_has_checks_of_its_own() -> None:
    schedule = Plateau(patience=0, checks=3)
    training = Training(schedule=schedule, early_stopping=EarlyStopping(patience=1, checks=4))
    monitor = ValidationMonitor(training, 12, {})
    assert monitor.steps == {3, 4, 6, 8, 9, 12}
    monitor.see(3, 0.5)
    monitor.see(4, 0.5)
    assert (monitor.factor, monitor.stopped) == (1, False)
    monitor.see(6, 0.5)
    assert (monitor.factor, monitor.stopped) == (1, True)
    monitor.see(8, 0.5)
    assert monitor.factor < 1


def test_nothing_is_checked_without_a_reason() -> None:
    monitor = ValidationMonitor(Training(), 100, {})
    assert not monitor.steps
    assert (monitor.factor, monitor.stopped) == (1, False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Plateau(patience=5, checks=7), "at least 8 checks, not 7"),
        (lambda: EarlyStopping(patience=5, checks=6), "at least 7 checks, not 6"),
        (lambda: Training(schedule=Plateau(min_lr=1e-3), optimizer=Adam(lr=1e-3)), "could never be lowered"),
    ],
)
def test_what_could_never_act_is_refused(make, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make()


def test_what_can_act_only_once_does() -> None:
    lowered = told(Training(schedule=Plateau(patience=57, checks=60)), [0.5] * 60)
    assert [factor < 1 for factor, _, _ in lowered] == [False] * 58 + [True] * 2
    stopped = told(Training(early_stopping=EarlyStopping(patience=58, checks=60)), [0.5] * 60)
    assert [stop for _, _, stop in stopped] == [False] * 58 + [True] * 2
