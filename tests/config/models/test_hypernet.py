"""Settings of the hypernetwork that cannot stand together, or would have no effect."""

import pytest

from hypercl.config import ConfigError, Experiment, check_sweep, loads

TEXT = "experiment: {tasks: {name: split_digits}, hypernet: {chunk_size: 200}}"


def experiment(*overrides: str) -> Experiment:
    return loads(TEXT, "x", overrides).experiment


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["hypernet.hidden=[]", "hypernet.dropout=0.1"], "dropout 0.1 would have no effect"),
        (["hypernet.hidden=[]", "hypernet.normalization=layer"], "normalization layer would have no effect"),
        (["hypernet.chunk_size=auto"], "chunk_size auto needs a compression_ratio"),
        (["hypernet.compression_ratio=0.5"], "compression_ratio 0.5 would have no effect beside chunk_size 200"),
        (["hypernet.init.name=hyperfan_in", "hypernet.normalization=layer"], "layer normalization in the trunk hides"),
        (
            ["hypernet.init.name=hyperfan_out", "hypernet.activation=sigmoid", "hypernet.dropout=0.1"],
            "dropout of a sigmoid",
        ),
        (
            ["hypernet.name=structured", "hypernet.init.name=hyperfan_in", "hypernet.normalization=layer"],
            "layer normal",
        ),
        (["hypernet.name=structured", "hypernet.compression_ratio=0.5"], "unknown key"),
        (["hypernet.name=structured", "method.regularizer.pairs=5"], "use method.regularizer.tasks"),
        (["hypernet.name=task_chunked", "hypernet.init.name=hyperfan_in"], "here each task's own"),
        (["hypernet={name: modulation, init: hyperfan_in}"], "not of gains and shifts"),
        (["hypernet={name: self_attention, kernel: 4}"], "kernel"),
        (["hypernet={name: self_attention, attention: [1, 5]}"], "attention names layer 5, and filters has 4"),
        (["hypernet={name: self_attention, attention: [1, 1]}"], "a layer twice"),
        (["hypernet={name: self_attention, init: hyperfan_in}"], "of a linear last layer"),
        (["hypernet.name=self_attention", "method.regularizer.form=gram"], "form gram needs linear last layers"),
        (["hypernet.name=self_attention", "method.regularizer.pairs=5"], "pairs 5 needs linear last layers"),
        (
            ["hypernet={name: composed, parts: [{weights: ['*'], net: self_attention}]}", "method.regularizer.pairs=5"],
            "tasks instead of pairs",
        ),
        (["hypernet={name: partial}"], "generated"),
        (["hypernet={name: partial, generated: [x], own_chunks: true, init: hyperfan_in}"], "or own_chunks false"),
        (["hypernet={name: partial, generated: [x], chunk_size: auto}"], "needs a compression_ratio"),
        (
            ["hypernet={name: partial, generated: [x], compression_ratio: 0.5}"],
            "would have no effect beside chunk_size",
        ),
        (
            ["hypernet={name: partial, generated: [x], others: task}", "method.train_earlier_embeddings=true"],
            "own weights of earlier tasks",
        ),
        (["hypernet={name: composed, parts: [{weights: ['*'], net: task}]}"], "no part is generated"),
        (
            ["hypernet={name: composed, parts: [{weights: ['*'], net: {chunk_size: auto, compression_ratio: 1}}]}"],
            "cannot be auto",
        ),
        (["hypernet={name: partial, generated: [layers.0]}", "method.regularizer.pairs=5"], "use method.regularizer.t"),
        (["hypernet.embedding_init=previous", "method.name=scratch"], "no meaning with method scratch"),
        (["method.train_earlier_embeddings=true", "method.beta=0"], "would have no effect with beta 0"),
        (["hypernet.init.std=0.1"], "unknown key"),
        (["hypernet.dropout=1"], "less than 1"),
    ],
)
def test_what_would_do_nothing_is_refused(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        experiment(*overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["hypernet.chunk_size=auto", "hypernet.compression_ratio=0.5"],
        ["hypernet={name: partial, generated: [x], others: task, chunk_size: auto, compression_ratio: 0.5}"],
        ["hypernet.init.name=hyperfan_in", "hypernet.activation=sigmoid"],
        ["hypernet.name=full", "hypernet.init.name=hyperfan_in", "hypernet.activation=sigmoid", "hypernet.dropout=0.1"],
        ["hypernet.name=full", "hypernet.init.name=hyperfan_in", "hypernet.normalization=layer"],
        ["hypernet.init.name=normal", "hypernet.init.std=0.1"],
    ],
)
def test_what_stands_together_is_taken(overrides: list[str]) -> None:
    experiment(*overrides)


def test_another_kind_of_initialisation_loses_the_keys_of_the_one_before() -> None:
    text = TEXT.replace("200", "200, init: {name: normal, std: 0.1}")
    assert loads(text, "x", ["hypernet.init.name=hyperfan_in"]).experiment.hypernet.init.gain == 2.0


def test_a_space_may_vary_the_options() -> None:
    file = loads(
        """
experiment:
  tasks: {name: split_digits}
  hypernet: {chunk_size: auto, compression_ratio: 0.8}
space:
  hypernet.compression_ratio: {log_uniform: [0.05, 2]}
  hypernet.init.name: {choice: [xavier, normal, hyperfan_in, hyperfan_out]}
  hypernet.dropout: {uniform: [0, 0.5]}
  hypernet.noise: {int: [0, 8]}
  hypernet.embedding_scale: {log_uniform: [0.1, 2]}
  hypernet.embedding_init: {choice: [normal, previous]}
  method.train_earlier_embeddings: {choice: [false, true]}
""",
        "x",
    )
    check_sweep(file, "x")


def test_a_chunk_size_as_written_and_one_solved_from_a_ratio_are_searched_together() -> None:
    file = loads(
        """
experiment:
  tasks: {name: split_digits}
  hypernet: {chunk_size: 200}
space:
  hypernet.chunk_size: {choice: [200, auto]}
  hypernet.compression_ratio: {log_uniform: [0.1, 1], when: {hypernet.chunk_size: auto}}
""",
        "x",
    )
    check_sweep(file, "x")
    del file.space["hypernet.compression_ratio"]
    with pytest.raises(ConfigError, match="chunk_size auto needs a compression_ratio"):
        check_sweep(file, "x")
