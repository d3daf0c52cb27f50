"""The Python face: what the commands do, as functions."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import hypercl

FILE = {
    "experiment": {
        "tasks": {"name": "split_digits", "scenario": "class"},
        "method": {"name": "hnet_ent"},
        "target": {"name": "mlp", "hidden": [30]},
        "hypernet": {"name": "chunked", "task_embedding": 8, "chunk_size": 500},
        "training": {"iterations": 20, "replicas": 2, "threads": 1},
    }
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> hypercl.Run:
    return hypercl.train(FILE, name="small", results=tmp_path_factory.mktemp("results"), quiet=True)


def test_importing_it_imports_nothing_heavy() -> None:
    heavy = "torch ray optuna wandb pandas matplotlib sklearn"
    code = f"import sys, hypercl; print([name for name in {heavy.split()} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_file_can_be_a_mapping() -> None:
    assert hypercl.load_file(FILE, {"method.beta": 1e-5, "hypernet.hidden": [7]}).experiment.method.beta == 1e-5
    with pytest.raises(hypercl.UserError, match="methodd"):
        hypercl.load_file({"experiment": {"tasks": {"name": "split_digits"}, "methodd": 1}})


def test_a_run_is_measured_on_validation_data_alone_unless_asked(run: hypercl.Run) -> None:
    assert 0 < run.metrics["validation"]["final_accuracy"] <= 1
    assert run.matrix().shape == (6, 5)
    assert "test" not in run.metrics
    with pytest.raises(hypercl.UserError, match="test data"):
        run.matrix("test")
    assert hypercl.open(run.folder) == run


def test_a_results_folder_is_opened_as_the_only_run_in_it(run: hypercl.Run, tmp_path: Path) -> None:
    assert hypercl.open(run.folder.parents[1]) == run
    for seed in (1, 2):
        (tmp_path / "runs" / f"seed-{seed}").mkdir(parents=True)
        (tmp_path / "runs" / f"seed-{seed}" / "config.yaml").touch()
    with pytest.raises(hypercl.UserError, match=r"holds 2 runs\n.*runs/seed-1, .*runs/seed-2"):
        hypercl.open(tmp_path)


def test_called_again_it_returns_what_is_finished(run: hypercl.Run) -> None:
    before = run.summary
    again = hypercl.train(FILE, name="small", results=run.folder.parents[2], quiet=True)
    assert (again.folder, again.summary) == (run.folder, before)


def test_it_trains_in_a_thread_as_in_the_main_one(tmp_path: Path) -> None:
    short = {"training.iterations": 2, "tasks.num_tasks": 2}
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(hypercl.train, FILE, set=short, name="thread", results=tmp_path, quiet=True).result()
    assert run.matrix().shape == (3, 2)


def test_a_model_predicts_what_was_measured(run: hypercl.Run) -> None:
    from hypercl.tasks import open_stream

    model = run.model(seed=1)
    stream = open_stream(model.experiment.tasks, Path("data"), True)
    accuracies: list[float] = []
    for index in range(5):
        task = stream.task(index)
        images, labels = task.validation[torch.arange(len(task.validation))]
        inputs = task.inputs(images)
        wanted = labels + model.shape.heads[index].start
        accuracies.append((model.predict(inputs) == wanted).float().mean().item())
        assert set(model.infer_task(inputs).tolist()) <= set(range(5))
        outputs = model.target(index)(inputs)[:, model.shape.heads[index]]
        torch.testing.assert_close(outputs, model.logits(inputs, index))
        assert torch.equal(outputs.argmax(-1) + model.shape.heads[index].start, model.predict(inputs, index))
    measured = run.summary.seeds[0].metrics["validation"]["final_accuracy_per_task"]
    assert accuracies == pytest.approx(list(measured.values()), abs=1e-6)


def test_seeds_that_were_trained_together_are_models_of_their_own(run: hypercl.Run) -> None:
    first, second = run.model(), run.model(seed=2)
    assert not torch.equal(first.embedding(0), second.embedding(0))
    assert first.weights(0).keys() == dict(first.target(0).named_parameters()).keys()
    with pytest.raises(hypercl.UserError, match="not trained with seed 9"):
        run.model(seed=9)


def test_a_targets_module_is_exported_and_comes_back_the_same(run: hypercl.Run, tmp_path: Path) -> None:
    module, inputs = run.model().target(2), torch.rand(3, 1, 8, 8)
    torch.export.save(torch.export.export(module, (inputs,)), tmp_path / "task.pt2")
    torch.testing.assert_close(torch.export.load(tmp_path / "task.pt2").module()(inputs), module(inputs))


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (lambda model: model.logits(torch.rand(2, 1, 8, 8), 5), "task 5 is not learned"),
        (lambda model: model.predict(torch.rand(2, 1, 8, 8), 7), "task 7 is not learned"),
        (lambda model: model.export(7, "never-written.safetensors"), "task 7 is not learned"),
        (lambda model: model.predict([1, 2], task=1), r"inputs are a list; allowed: a torch\.Tensor\n    fix: "),
        (lambda model: model.predict([1, 2]), "inputs are a list"),
        (lambda model: model.predict(torch.rand(2, 64)), "inputs have shape"),
        (lambda model: model.predict(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)), "inputs are torch.uint8"),
    ],
)
def test_what_a_model_cannot_say_is_refused(run: hypercl.Run, question, says: str) -> None:
    with pytest.raises(hypercl.UserError, match=says):
        question(run.model())


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(hypercl.UserError, match=r"neither a sweep .*\n    fix:     name a results folder"):
        hypercl.open(tmp_path)
    with pytest.raises(hypercl.UserError, match="holds no run"):
        hypercl.load(tmp_path)


def test_a_run_that_diverges_raises_what_the_command_says(tmp_path: Path) -> None:
    with pytest.raises(hypercl.Failed, match="A smaller training"):
        hypercl.train(FILE, set={"training.optimizer.lr": 1e17}, name="wild", results=tmp_path, quiet=True)
