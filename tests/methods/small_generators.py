"""Methods with a generator on small networks."""

from test_learners import learner

from hypercl.methods import Learner

SMALL = ("method.generator.encoder=[10]", "method.generator.decoder=[9]", "method.generator.latent=3")
HYPERNET = (
    "method.generator.condition_size=4",
    "method.generator.hypernet={name: chunked, hidden: [6], chunk_size: 200, task_embedding: 4, chunk_embedding: 3}",
)
CLASSES = ("method.generator.embedding=class", "method.generator.condition_size=6")
GAUSSIAN = ("method.generator.likelihood=gaussian", "method.generator.deviation=0.3")
OPTIONS = {
    "hnet_replay": ("method={name: hnet_replay}", "hypernet.name=none", *SMALL, *HYPERNET),
    "hnet_tir": ("method={name: hnet_tir}", "tasks.scenario=class", *SMALL, *HYPERNET),
    "hnet_replay, classes": ("method={name: hnet_replay}", "hypernet.name=none", *SMALL, *HYPERNET, *CLASSES),
    "hnet_tir, classes": ("method={name: hnet_tir}", "tasks.scenario=class", *SMALL, *HYPERNET, *CLASSES),
    "gaussian": ("method={name: hnet_tir}", "tasks.scenario=class", *SMALL, *HYPERNET, *GAUSSIAN),
    "gaussian, classes": ("method={name: hnet_tir}", "tasks.scenario=class", *SMALL, *HYPERNET, *GAUSSIAN, *CLASSES),
    "dgr": ("method={name: dgr}", "hypernet.name=none", *SMALL),
}


def generative(name: str, *overrides: str) -> Learner:
    return learner(*OPTIONS[name], *overrides)
