"""Every method's steps, with every option of the regulariser and of training, on any device."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from hypercl.config import Experiment, loads
from hypercl.methods import Batch, Losses, StepInfo
from hypercl.tasks import BundledBatches, Task
from hypercl.tasks.inputs import FlipAndCrop
from hypercl.training.capture import capturing, rate_on
from hypercl.training.divergence import DivergenceDetector
from hypercl.training.parts import Networks, seeds_of

NONE = "hypernet={name: none}"
GENERATED = "{name: chunked, hidden: [6], chunk_size: 500, task_embedding: 4, chunk_embedding: 3}"
REPLAY = f"generator: {{encoder: [12], decoder: [12], latent: 4, condition_size: 3, hypernet: {GENERATED}}}"
BY_CLASS = REPLAY.replace("condition_size: 3", "condition_size: 6, embedding: class")
GRAM, DIRECT = ("method.regularizer.form=gram",), ("method.regularizer.form=direct",)
CASES: dict[str, tuple[str, ...]] = {
    "hnet, Gram": GRAM,
    "hnet, direct": DIRECT,
    "hnet, Gram, shared heads": (*GRAM, "method.regularizer.mask_heads=false"),
    "hnet, Gram, some tasks": (*GRAM, "method.regularizer.tasks=1"),
    "hnet, Gram, some pairs": (*GRAM, "method.regularizer.pairs=3"),
    "hnet, direct, some tasks": (*DIRECT, "method.regularizer.tasks=1"),
    "hnet, Gram, linear": (*GRAM, "hypernet.hidden=[]"),
    "hnet, Gram, linear, some tasks": (*GRAM, "hypernet.hidden=[]", "method.regularizer.tasks=1"),
    "hnet, earlier embeddings": (*GRAM, "method.train_earlier_embeddings=true"),
    "hnet, first order": ("method.regularizer.kind=first_order", "method.backpropagate_lookahead=true"),
    "hnet, Fisher": ("method.regularizer.importance=fisher", "method.regularizer.task_factors=[1, 2, 3]"),
    "hnet, ewc": ("method.regularizer.kind=ewc",),
    "hnet, proximal": ("method.proximal=true", "method.regularizer.tasks=1"),
    "hnet, back through the look-ahead": (*GRAM, "method.backpropagate_lookahead=true"),
    "hnet, no look-ahead": ("method.lookahead=false",),
    "hnet, replicas": ("training.replicas=2",),
    "hnet, replicas, some pairs": ("training.replicas=2", *GRAM, "method.regularizer.pairs=3"),
    "hnet, clipped": ("training.clip_norm=0.1",),
    "hnet, SGD": ("training.optimizer={name: sgd, lr: 0.1, momentum: 0.9}",),
    "hnet, RMSprop": ("training.optimizer={name: rmsprop, lr: 0.1, centered: true}",),
    "hnet, random": ("hypernet.dropout=0.1", "hypernet.noise=2", "target.dropout=0.2"),
    "hnet, normalised": ("hypernet.normalization=layer", "target.batch_norm=true"),
    "hnet, smoothed": ("training.label_smoothing=0.1",),
    "hnet, full": ("hypernet={name: full, hidden: [6]}",),
    "hnet, self-attention": ("hypernet={name: self_attention, task_embedding: 4, chunk_embedding: 3}",),
    "hnet, structured": ("hypernet={name: structured, hidden: [6], task_embedding: 4, chunk_embedding: 3}",),
    "hnet, chunks of each task": (
        "hypernet={name: task_chunked, hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}",
    ),
    "hnet, modulation": ("hypernet={name: modulation, hidden: [6], task_embedding: 4}",),
    "hnet_ent": ("method={name: hnet_ent}", "tasks.scenario=class"),
    "hnet_tir": (f"method={{name: hnet_tir, {REPLAY}}}", "tasks.scenario=class"),
    "hnet_tir, gaussian": (
        f"method={{name: hnet_tir, {REPLAY}}}",
        "method.generator.likelihood=gaussian",
        "tasks.scenario=domain",
    ),
    "hnet_replay": (f"method={{name: hnet_replay, {REPLAY}}}", NONE),
    "hnet_tir, classes": (f"method={{name: hnet_tir, {BY_CLASS}}}", "tasks.scenario=class"),
    "hnet_replay, classes": (f"method={{name: hnet_replay, {BY_CLASS}}}", NONE, "training.replicas=2"),
    "hnet_replay, labelled": (f"method={{name: hnet_replay, targets: hard, {BY_CLASS}}}", NONE, "tasks.scenario=class"),
    "finetune": ("method={name: finetune}",),
    "scratch": ("method={name: scratch}", NONE),
    "joint": ("method={name: joint}",),
    "ewc": ("method={name: ewc, strength: 100}", NONE),
    "online_ewc": ("method={name: online_ewc, strength: 100}", NONE),
    "si": ("method={name: si}", NONE),
    "lwf": ("method={name: lwf}", NONE, "tasks.scenario=domain"),
    "dgr": ("method={name: dgr, generator: {encoder: [12], decoder: [12], latent: 4}}", NONE),
    "er": ("method={name: er, budget: 40}", NONE),
    "er, replicas": ("method={name: er, budget: 40}", NONE, "training.replicas=2"),
    "stored_real": ("method={name: stored_real}", NONE),
    "augmented": ("method={name: finetune}",),
}

PAIRS = "method.regularizer.pairs: pairs are chosen on the host, in blocks of changing size"
TASKS = "method.regularizer.tasks: what the Gram form compares of some tasks is chosen on the host"
EAGER = {
    "hnet, Gram, some tasks": TASKS,
    "hnet, Gram, linear, some tasks": TASKS,
    "hnet, Gram, some pairs": PAIRS,
    "hnet, replicas, some pairs": PAIRS,
    "hnet, random": "the target draws at random in each pass (dropout)",
}
"""Cases whose steps cannot be recorded, and why (`training.capture`)."""


def experiment(*overrides: str) -> Experiment:
    text = """
experiment:
  tasks: {name: split_digits, num_tasks: 3}
  target: {name: mlp, hidden: [12]}
  hypernet: {name: chunked, hidden: [6, 5], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}
  training: {batch_size: 8}
"""
    return loads(text, "waits.yaml", overrides).experiment


def steps(
    case: str, tasks: Sequence[Task], device: torch.device, outcomes: dict[int, str] | None = None
) -> Iterator[tuple[Losses, DivergenceDetector]]:
    """Steps at the last of three tasks, one a turn, as a run makes them: batches are drawn, losses are seen.

    Args:
        case: of `CASES`.
        tasks: of the stream of `experiment`.
        device: where.
        outcomes: if it is given, steps are recorded where they can be, and it says whether.
    """
    setting, last, number = experiment(*CASES[case]), 2, 0
    seeds = seeds_of(setting)
    learner = Networks.of(setting, device).bundle(setting, [len(seeds)])
    state = learner.start_task(learner.init(), last)
    context, divergence = learner.task_context(state, last), DivergenceDetector(len(seeds))
    used = [tasks[index].to(device) for index in learner.trains_on(last)]
    if case == "augmented":
        used = [replace(task, augment=FlipAndCrop(padding=1)) for task in used]
    batches = [BundledBatches(task, setting.training.batch_size, seeds) for task in used]

    def batches_at(step: int) -> list[Batch]:
        return [batch(step) for batch in batches]

    taking = learner if outcomes is None else capturing(learner, setting, batches_at, device, outcomes)
    while True:
        info = StepInfo(last, number, rate_on(device, 1e-3))
        state, losses = taking.step(state, context, batches_at(number), info)
        number += 1
        divergence.see(losses, number)
        yield losses, divergence
