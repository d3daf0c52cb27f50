"""What holding a student to its teacher's answers costs, against plain loops."""

from math import exp, log

import pytest
import torch
from torch import Tensor

from hypercl.methods.loss import Distillation


def logits(samples: int, classes: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(samples, classes, generator=draw, dtype=torch.float64)


def probabilities(row: list[float]) -> list[float]:
    powers = [exp(value) for value in row]
    return [power / sum(powers) for power in powers]


def soft(student: Tensor, teacher: Tensor, temperature: float, new_classes: str) -> float:
    """Sample by sample, class by class."""
    total = 0.0
    for said, wanted in zip(student.tolist(), teacher.tolist(), strict=True):
        new = len(said) - len(wanted)
        targets = probabilities([value / temperature for value in wanted + [0.0] * new * (new_classes == "zero_logit")])
        answers = probabilities([value / temperature for value in said])
        total -= sum(target * log(answer) for target, answer in zip(targets, answers, strict=False))
    return temperature**2 * total / len(student)


@pytest.mark.parametrize("new_classes", ["exclude", "zero_logit"])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
@pytest.mark.parametrize("known", [1, 3, 5])
def test_soft_targets_are_the_teachers_probabilities(new_classes: str, temperature: float, known: int) -> None:
    student, teacher = logits(7, 5, 1), logits(7, known, 2)
    found = Distillation(temperature, "soft", new_classes).loss(student, teacher)
    assert float(found) == pytest.approx(soft(student, teacher, temperature, new_classes), rel=1e-12)


def test_hard_targets_are_the_teachers_answers() -> None:
    student, teacher = logits(7, 5, 1), logits(7, 3, 2)
    answers = [row.index(max(row)) for row in teacher.tolist()]
    wanted = [-log(probabilities(row)[answer]) for row, answer in zip(student.tolist(), answers, strict=True)]
    found = Distillation(2.0, "hard").loss(student, teacher)
    assert float(found) == pytest.approx(sum(wanted) / 7, rel=1e-12)


def test_hard_targets_are_smoothed_as_labels_are() -> None:
    student, teacher = logits(7, 5, 1), logits(7, 3, 2)
    wanted = torch.full((7, 5), 0.1 / 4, dtype=torch.float64)
    wanted[range(7), teacher.argmax(1)] = 0.9
    expected = -(wanted * student.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(Distillation(2.0, "hard", smoothing=0.1).loss(student, teacher), expected)


@pytest.mark.parametrize("targets", ["soft", "hard"])
def test_replicas_are_computed_apart(targets: str) -> None:
    distillation = Distillation(2.0, targets)
    students, teachers = [logits(7, 5, seed) for seed in (1, 2)], [logits(7, 3, seed) for seed in (3, 4)]
    each = [distillation.loss(student, teacher) for student, teacher in zip(students, teachers, strict=True)]
    found = distillation.loss(torch.stack(students), torch.stack(teachers))
    torch.testing.assert_close(found, torch.stack(each))


def test_a_zero_logit_for_new_classes_draws_the_student_towards_them() -> None:
    """The reason to exclude them: a replayed sample is of no new class."""
    teacher = torch.tensor([[1.0, -1.0]])
    pulls = []
    for new_classes in ("exclude", "zero_logit"):
        student = torch.zeros(1, 3, requires_grad=True)
        Distillation(2.0, "soft", new_classes).loss(student, teacher).backward()
        assert student.grad is not None
        pulls.append(float(student.grad[0, 2]))
    assert pulls[1] < pulls[0]
    assert pulls[0] > 0
