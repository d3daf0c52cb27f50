"""A bundle of replicas takes the steps that each replica would take alone."""

from typing import Any

import pytest
import torch
from few_samples import FewSamples
from test_learners import METHODS, batch, copied, experiment, learner, same

from hypercl.config import UserError
from hypercl.methods import Learner, State, StepInfo
from hypercl.training import build_bundle, build_learner

SEEDS = (5, 6, 7)
NORM = ("target.name=import", "target.path=small_nets:NormNet", "target.kwargs={width: 5}")
DROP = ("target.name=import", "target.path=small_nets:DropNet", "target.kwargs={width: 8}")
OPTIONS = {
    "as it is": (),
    "gram": ("method.regularizer.form=gram",),
    "gram, linear": ("method.regularizer.form=gram", "hypernet.hidden=[]"),
    "all heads": ("method.regularizer.form=gram", "method.regularizer.mask_heads=false"),
    "subsets": ("method.regularizer.tasks=1",),
    "subsets, gram": ("method.regularizer.tasks=1", "method.regularizer.form=gram"),
    "pairs": ("method.regularizer.pairs=3",),
    "first order": ("method.regularizer.kind=first_order", "method.backpropagate_lookahead=true"),
    "value-preserving, back": ("method.regularizer.kind=value_preserving", "method.backpropagate_lookahead=true"),
    "Fisher, subsets": ("method.regularizer.importance=fisher", "method.regularizer.tasks=1"),
    "factors": ("method.regularizer.task_factors=[0.5, 2, 1]",),
    # Adam would make steps of what rounding leaves of gradients of 0
    "theta": ("method.regularizer.kind=ewc", "method.beta=100", "training.optimizer.name=sgd"),
    "proximal": ("method.proximal=true", "training.optimizer.name=sgd"),
    "proximal, value-preserving": ("method.proximal={steps: 2}", "method.regularizer.kind=value_preserving"),
    "back, subsets": ("method.backpropagate_lookahead=true", "method.regularizer.tasks=1"),
    "back, clipped": ("method.backpropagate_lookahead=true", "training.clip_norm=0.5"),
    "earlier embeddings": ("method.train_earlier_embeddings=true",),
    "clipped": ("training.clip_norm=0.5", "training.optimizer.name=sgd"),
    # some gradients are 0 up to rounding here, which Adam would make steps of
    "noise and dropout": ("hypernet.noise=2", "hypernet.dropout=0.2", "training.optimizer.name=sgd"),
    "layer norm": ("hypernet.normalization=layer",),
    "full": ("hypernet.name=full",),
    "running statistics": NORM,
    "dropout": DROP,
}


def of_replica(tree: Any, index: int) -> Any:
    if isinstance(tree, dict):
        return {k: v if k.startswith("step/") else of_replica(v, index) for k, v in tree.items()}
    return tree[index]


def doubled(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: doubled(value) for key, value in tree.items()}
    return tree.double() if tree.is_floating_point() else tree


def batches_of(method: Learner, task: int, step: int, seed: int) -> list[Any]:
    drawn = [batch(10_000 * seed + 100 * each + step) for each in method.trains_on(task)]
    return [(inputs.double(), labels) for inputs, labels in drawn]


def trained(method: Learner, steps: int, seeds: tuple[int, ...], lr: float = 1e-2) -> tuple[State, list[Any]]:
    state, losses = doubled(method.init()), []
    for task in range(3):
        state = doubled(method.start_task(state, task))
        context = method.task_context(state, task)
        for step in range(steps):
            each = [batches_of(method, task, step, seed) for seed in seeds]
            if len(seeds) > 1:
                drawn = [tuple(map(torch.stack, zip(*own, strict=True))) for own in zip(*each, strict=True)]
            else:
                (drawn,) = each
            state, found = method.step(state, context, drawn, StepInfo(task, step, lr))
            losses.append(found)
        state = method.end_task(state, task, FewSamples(task))
    return state, losses


def assert_replicas_are_single_runs(steps: int, *options: str) -> None:
    bundle = learner(*options, f"training.seed={SEEDS[0]}", f"training.replicas={len(SEEDS)}")
    state, losses = trained(bundle, steps, SEEDS)
    inputs = batch(0)[0].double()
    for index, seed in enumerate(SEEDS):
        alone = learner(*options, f"training.seed={seed}")
        expected, own_losses = trained(alone, steps, (seed,))
        torch.testing.assert_close(of_replica(state, index), expected, rtol=1e-9, atol=1e-9)
        for all_of, own in zip(losses, own_losses, strict=True):
            torch.testing.assert_close({k: v[index] for k, v in all_of.items()}, own, rtol=1e-9, atol=1e-9)
        for task in range(3):
            found = bundle.predictor(state, task)(inputs)[index]
            torch.testing.assert_close(found, alone.predictor(expected, task)(inputs), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_each_replica_equals_its_own_single_run(options: tuple[str, ...]) -> None:
    assert_replicas_are_single_runs(4, *options)


@pytest.mark.parametrize("name", METHODS)
def test_each_replica_of_every_method_equals_its_own_single_run_over_fifty_steps(name: str) -> None:
    # LwF's old outputs are its own as a task begins: gradients of 0 up to rounding, of which Adam would make steps
    sgd = ["training.optimizer.name=sgd"] if name == "lwf" else []
    assert_replicas_are_single_runs(17, f"method.name={name}", *sgd)


VARIANTS = {
    "beta": ["method.beta=0.1", "method.beta=0", "method.beta=7"],
    "beta, gram": ["method.beta=0.1", "method.beta=0", "method.beta=7"],
    "beta, pairs": ["method.beta=0.1", "method.beta=0.2", "method.beta=7"],
    "rate": [f"training.optimizer.lr={rate}" for rate in (1e-2, 1e-4, 2e-2)],
    "scales": [f"hypernet.embedding_scale={scale}" for scale in (1, 0.1, 2)],
    "seed and all": ["training.seed=1", "training.seed=2", "method.beta=3"],
}


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_differ_in_scalars_train_as_each_would_alone(name: str) -> None:
    options = ["training.optimizer={name: sgd, lr: 0.0003}"] if name != "rate" else []
    options += ["method.regularizer.form=gram"] if "gram" in name else []
    options += ["method.regularizer.pairs=3"] if "pairs" in name else []
    settings = [experiment(*options, change) for change in VARIANTS[name]]
    bundle = build_bundle(settings, torch.device("cpu"))
    state, _ = trained(bundle, 4, SEEDS, settings[0].training.optimizer.lr)
    for index, (setting, seed) in enumerate(zip(settings, SEEDS, strict=True)):
        alone = build_learner(setting, torch.device("cpu"))
        expected, _ = trained(alone, 4, (seed,), setting.training.optimizer.lr)
        for task in range(3):
            found = bundle.predictor(state, task)(batch(0)[0].double())[index]
            wanted = alone.predictor(expected, task)(batch(0)[0].double())
            torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)


def test_settings_that_differ_in_more_than_scalars_are_refused_by_name() -> None:
    settings = [experiment(), experiment("hypernet.chunk_size=100")]
    with pytest.raises(UserError, match=r"replica 1: hypernet.chunk_size is 100, that of replica 0 is 200"):
        build_bundle(settings, torch.device("cpu"))


def test_a_replica_that_diverges_does_not_touch_the_others() -> None:
    bundle = learner("training.replicas=2", "training.clip_norm=1")
    whole = bundle.start_task(bundle.init(), 0)
    broken = copied(whole)
    broken["theta"]["head"][0] = torch.nan
    drawn = [tuple(map(torch.stack, zip(batch(1), batch(2), strict=True)))]
    for step in range(3):
        whole, _ = bundle.step(whole, None, drawn, StepInfo(0, step, 1e-2))
        broken, losses = bundle.step(broken, None, drawn, StepInfo(0, step, 1e-2))
    assert losses["task"].isnan().tolist() == [True, False]
    assert same(of_replica(whole, 1), of_replica(broken, 1))
