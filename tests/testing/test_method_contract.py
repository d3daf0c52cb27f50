"""The contract passes a sound method of a user's, and tells what is wrong with others."""

import ast
import inspect
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any, ClassVar

import pytest

from hypercl.config import Experiment, UserError
from hypercl.config.models import ImportedMethod
from hypercl.methods import Learner, imported_class
from hypercl.testing import MethodContract
from hypercl.testing.case import scenarios_of

HERE = Path(__file__).parent
HYPERNET = {"name": "chunked", "hidden": [6], "chunk_size": 200, "task_embedding": 4, "chunk_embedding": 3}


class TestPulled(MethodContract):
    method: ClassVar = {"name": "import", "path": "users_methods:Pulled", "kwargs": {"alpha": 0.1}}


class TestPulledHypernet(MethodContract):
    method: ClassVar = {"name": "import", "path": "users_methods:Pulled"}
    sections: ClassVar = {"hypernet": HYPERNET}
    scenarios: ClassVar = ("task",)


class TestAlone(MethodContract):
    method: ClassVar = {"name": "import", "path": "users_methods:Alone"}


def contract(name: str, **more: Any) -> Any:
    method = {"name": "import", "path": f"users_methods:{name}"}
    return type("Contract", (MethodContract,), {"method": method, "__module__": __name__, **more})()


@pytest.mark.parametrize(
    ("name", "claim", "message"),
    [
        ("Counting", "holds_tensors_only", r"after end_task of task 0 state\['learned'\] is a int: use torch.tensor"),
        ("Counting", "an_interrupted_run_equals_an_uninterrupted_one", r"state\['learned'\] is a int"),
        ("Peeking", "reads_only_the_data_it_is_given", r"opened the stream with its test data \(open_with_test\)"),
        ("PeekingQuietly", "reads_only_the_data_it_is_given", "opened the stream with its test data"),
        ("Hoarding", "reads_only_the_data_it_is_given", "training data of task 0 was read after its end_task"),
        ("Prying", "reads_only_the_data_it_is_given", "end_task read data._task: TaskData has a length"),
        ("Foreseeing", "reads_only_the_data_it_is_given", r"trains_on\(0\) names \[1\]: only tasks seen so far"),
        ("Forgetful", "resumes_from_its_state_alone", r"ends elsewhere: state\['theta'\].* differs by"),
        ("Forgetful", "an_interrupted_run_equals_an_uninterrupted_one", "differs from an uninterrupted one"),
        ("Sharing", "start_task_and_end_task_do_not_modify_their_input", "start_task shares tensors"),
        ("Random", "all_randomness_comes_from_its_seed", r"state\['drawn'\] differs.*hypercl.seeds.generator"),
        ("Still", "learns_a_first_task", r"after 50 steps of its first task \d+% of the validation data is right"),
        (
            "Mixing",
            "each_replica_equals_its_single_run_or_is_refused",
            "replica 0 differs from a single run",
        ),
        ("Unsure", "holds_tensors_only", "lacks inference_state, init, predictor, start_task, step"),
        ("Everywhere", "holds_tensors_only", "not a set of some of class, domain, task"),
        ("make", "holds_tensors_only", "is a function, not a subclass of hypercl.methods.Learner"),
        ("Pulle", "holds_tensors_only", "did you mean 'Pulled'"),
    ],
)
def test_a_mistake_is_told(name: str, claim: str, message: str, tmp_path: Path) -> None:
    test = getattr(contract(name), f"test_{claim}")
    needed = {"tmp_path": tmp_path} if claim.startswith("an_interrupted") else {}
    with pytest.raises((AssertionError, UserError), match=message):
        test(scenario="task", **needed)


def test_what_a_method_claims_is_tested_and_nothing_else() -> None:
    own = {"name": "import", "path": "users_methods:Alone"}
    assert scenarios_of(own, {}, [HERE]) == ["task", "class"]
    assert scenarios_of({"name": "hnet_ent"}, {}, []) == ["domain", "class"]


def test_a_network_of_its_own_for_each_task_does_not_say_where_the_task_is_not_given() -> None:
    with pytest.raises(UserError, match="cannot predict without the task's identity"):
        contract("Pulled", sections={"hypernet": HYPERNET}).test_holds_tensors_only(scenario="class")


def test_a_refusal_of_replicas_that_is_not_kept_to_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unchecked(experiment: Experiment, import_paths: Sequence[Path]) -> type[Learner]:
        method = experiment.method
        assert isinstance(method, ImportedMethod)
        return imported_class(method, import_paths)

    monkeypatch.setattr("hypercl.methods.build.learner_class", unchecked)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        contract("Alone").test_each_replica_equals_its_single_run_or_is_refused(scenario="task")


def asserts(statement: ast.stmt) -> bool:
    """Whether a statement cannot be passed without an assertion."""
    if isinstance(statement, ast.If):
        return bool(statement.orelse) and all(any(map(asserts, body)) for body in (statement.body, statement.orelse))
    if isinstance(statement, ast.With) and "raises" in ast.unparse(statement.items[0]):
        return True
    helper = isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("_require")
    return helper or isinstance(statement, ast.Assert) or any(map(asserts, getattr(statement, "body", [])))


@pytest.mark.parametrize("name", [name for name in dir(MethodContract) if name.startswith("test_")])
def test_no_result_of_the_contract_comes_without_an_assertion(name: str) -> None:
    (function,) = ast.parse(dedent(inspect.getsource(getattr(MethodContract, name)))).body
    assert isinstance(function, ast.FunctionDef)
    ends = [index for index, each in enumerate(function.body) if any(isinstance(n, ast.Return) for n in ast.walk(each))]
    before = function.body[: ends[0]] if ends else function.body
    assert any(map(asserts, before))
