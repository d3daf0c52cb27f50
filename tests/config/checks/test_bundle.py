"""`search.bundle`: what cannot be trained together is refused before anything is trained."""

import pytest

from hypercl.config import ConfigError, assign, check_sweep, loads
from hypercl.config.checks import are_alike, why_alone

BASE = """
experiment: {tasks: {name: split_digits}}
space: {method.beta: {log_uniform: [1e-3, 10]}, hypernet.task_embedding: {choice: [8, 32, 96]}}
search: {bundle: 8}
"""


def test_a_space_with_a_scalar_is_taken() -> None:
    check_sweep(loads(BASE, "file.yaml"), "file.yaml")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.replicas=2", "the 2 seeds of a trial are trained together already (training.replicas)"),
        ("search.seeds=3", "the 3 seeds of a trial are trained together already (search.seeds)"),
        ("training.early_stopping=true", "early stopping would end"),
        ("training.schedule=plateau", "schedule plateau would lower"),
        ("method={name: import, path: 'mine:Learner'}", "a method of your own"),
        ("protocol={name: stability_decay}", "each attempt of protocol stability_decay"),
        ("study.storage=postgresql://me@host/studies", "a study in a database hands out one trial at a time"),
        ("space={hypernet.task_embedding: {choice: [8, 96]}}", "nothing that the space varies may differ"),
        ("objective={maximize: validation/final_accuracy, minimize: seconds}", "seconds cannot be measured of one"),
        ("constraints.peak_memory_gib.max=2", "peak_memory_gib cannot be measured of one"),
    ],
)
def test_what_does_not_go_with_bundles_is_refused_and_names_the_fix(override: str, said: str) -> None:
    space = ["space={training.optimizer.lr: {log_uniform: [1e-4, 1e-1]}}"] if override.startswith("method") else []
    with pytest.raises(ConfigError) as caught:
        check_sweep(loads(BASE, "file.yaml", [*space, override]), "file.yaml")
    found = {problem.path: problem.render("file.yaml") for problem in caught.value.problems}
    assert said in found["search.bundle"]
    assert "remove search.bundle" in found["search.bundle"]
    assert "allowed: 1" in found["search.bundle"]


def test_trials_are_alike_where_they_differ_in_scalars_alone() -> None:
    base = loads(BASE, "file.yaml").experiment
    scalars = {"training.seed": 9, "training.optimizer.lr": 0.1, "method.beta": 3, "hypernet.embedding_scale": 2.0}
    assert are_alike(base, assign(base, scalars))
    for other in ({"hypernet.task_embedding": 8}, {"training.batch_size": 8}, {"training.label_smoothing": 0.1}):
        assert not are_alike(base, assign(base, other))
    assert why_alone(base) == ("", "")
