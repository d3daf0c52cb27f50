"""The texts that a person reads: of every key, and of a table of mistakes. Other tests look at paths and kinds only."""

from collections.abc import Callable

from hypercl.config import ConfigError
from hypercl.config.checks import check_sweep
from hypercl.config.explain import Setting, explain_key, known_keys
from hypercl.config.reading import loads

Golden = Callable[[str, str], None]
BASE = "experiment: {tasks: {name: split_digits}}\nspace: {method.beta: {log_uniform: [1e-3, 10]}}\n"
MISTAKES = (
    "method.betta=1",
    "method.beta=-1",
    "method.beta=high",
    "method.name=hnett",
    "method.name=ewc method.beta=1",
    "beta=1",
    "target.activation=relo",
    "target.hidden=400",
    "target.hidden=[] target.dropout=0.1",
    "hypernet=none",
    "hypernet.chunk_size=auto",
    "hypernet.hidden=[] hypernet.dropout=0.1",
    "hypernet.compression_ratio=0.5",
    "method.train_earlier_embeddings=true method.beta=0",
    "method.regularizer={tasks: 1, pairs: 1}",
    "method.name=ewc hypernet=chunked",
    "method.name=lwf method.new_classes=zero_logit",
    "method.name=er method.budget=3",
    "method.name=hnet_ent",
    "method.name=import",
    "tasks.scenario=domain",
    "tasks.num_tasks=9",
    "tasks.classes_per_task=[2, 0]",
    "tasks.classes_per_task=1",
    "tasks.validation=0.9",
    "tasks.heads=shared tasks.scenario=class",
    "training.iterations=1.5",
    "training.iterations=100 training={epochs: 1, iterations: 1}",
    "training.optimizer.lr=1e-40",
    "training.schedule={name: step, milestones: [0.5]}",
    "training.schedule={name: plateau, checks: 3}",
    "training.early_stopping={patience: 30}",
    "training.early_stopping=true training.replicas=2",
    "training.device=gpu",
    "by_task={method.beta: [1, 2]}",
    "by_task={method.betta: [1, 2]}",
    "space={}",
    "space.method.beta={uniform: [1, 0]}",
    "space.method.beta={uniform: [0, 1], choice: [1]}",
    "space.method.beta={log_uniform: [1, 10]}",
    "space.method.betta={uniform: [0, 1]}",
    "space.method={choice: [hnet, ewc]}",
    "space.training.seed={int: [1, 9]}",
    "space.tasks.num_tasks={int: [1, 5]}",
    "space.hypernet.chunk_size={choice: [0, 100]}",
    "space.hypernet.task_embedding={equals: 2 * hypernet.chunk_embeding}",
    "space.hypernet.task_embedding={equals: '2 *'}",
    "space.method.beta={uniform: [0, 1], when: {method.name: hnet}}",
    "search.sampler=tpee",
    "search.sampler=grid",
    "search.sampler=random search={sampler: random, startup_trials: 5}",
    "search.enqueue=[{method.beta: 100}]",
    "search.race={block: 20}",
    "search.sampler={name: nsga2}",
    "search.fidelity=0.1",
    "search.fidelity={training.iteration: 0.1}",
    "search.fidelity={training.epochs: 0.1}",
    "search.fidelity={tasks.num_tasks: 0.1}",
    "search.fidelity={tasks.num_tasks: 0.95}",
    "search.fidelity={tasks.num_tasks: 0.5} protocol=first_k",
    "search.fidelity={training.iterations: 0.1} space={training.iterations: {int: [1000, 4000]}}",
    "search.seeds=3 training.replicas=2",
    "objective.maximize=test/final_accuracy",
    "objective={maximize: seconds}",
    "objective={maximize: validation/final_accuracy, minimize: seconds} search.race=true",
    "constraints.forgetting={min: 1, max: 0}",
    "protocol={name: first_k, k: 5}",
    "protocol=first_task",
    "protocol=stability_decay",
    "final.seeds=3",
    "logging.wandb={mode: of}",
    "include=other.yaml",
    "search.confirm=maybe",
    "search.confirm.alfa=0.1",
    "search.confirm=true search.include_base=false",
)
"""Options of `--set`, several of them apart by a space before the next key."""


def test_the_texts_of_all_keys_are_as_in_the_golden_file(golden: Golden):
    golden("explain.txt", "\n".join(map(text_of, known_keys())) + "\n")


def test_the_messages_of_mistakes_are_as_in_the_golden_file(golden: Golden):
    golden("errors.txt", "\n".join(f"$ --set {mistake}\n{message_of(mistake)}\n" for mistake in MISTAKES))


def text_of(path: str) -> str:
    found = explain_key(path)
    if not isinstance(found, Setting):
        return "\n".join([f"{path}: {found.about}", *(f"    {kind.name}: {kind.about}" for kind in found.kinds)])
    texts = dict.fromkeys(f"    {variant.about} [{variant.type}]" for variant in found.variants)
    return "\n".join([f"{path}:", *texts, *([f"    fixed: {found.closed}"] if found.closed else [])])


def message_of(mistake: str) -> str:
    overrides: list[str] = []
    for word in mistake.split(" "):
        starts = "=" in word and word.partition("=")[0].replace(".", "").replace("_", "").isalnum()
        if starts:
            overrides.append(word)
        else:
            overrides[-1] += f" {word}"
    try:
        check_sweep(loads(BASE, "sweep.yaml", overrides), "sweep.yaml")
    except ConfigError as error:
        return str(error)
    raise AssertionError(f"{mistake} is no mistake")
