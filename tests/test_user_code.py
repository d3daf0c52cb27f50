"""A user's own module is kept with the results."""

from pathlib import Path

import pytest

from hypercl.config import Experiment, UserError
from hypercl.config.models.target import MLP, ImportedTarget
from hypercl.config.models.tasks import ImportedStream, SplitDigits
from hypercl.user_code import keep_code, user_code

MINE = Experiment(tasks=SplitDigits(), target=ImportedTarget(path="my_net:Net"))


def test_a_module_is_copied_and_found_first(tmp_path: Path) -> None:
    (tmp_path / "my_net.py").write_text("Net = 1\n")
    places = keep_code(MINE, [tmp_path], tmp_path / "results")
    assert places == (tmp_path / "results" / "code", tmp_path)
    assert (tmp_path / "results" / "code" / "my_net.py").read_text() == "Net = 1\n"


def test_a_package_is_copied_whole(tmp_path: Path) -> None:
    (tmp_path / "my_net" / "inner").mkdir(parents=True)
    (tmp_path / "my_net" / "__init__.py").write_text("")
    (tmp_path / "my_net" / "inner" / "part.py").write_text("x = 1\n")
    keep_code(
        Experiment(tasks=SplitDigits(), target=ImportedTarget(path="my_net.inner.part:Net")),
        [tmp_path],
        tmp_path / "results",
    )
    assert (tmp_path / "results" / "code" / "my_net" / "inner" / "part.py").exists()


@pytest.mark.parametrize("net", ["my_tasks:Net", "my_net:Net"])
def test_the_modules_of_a_stream_and_of_a_target_are_both_kept(tmp_path: Path, net: str) -> None:
    for name in ("my_net", "my_tasks"):
        (tmp_path / f"{name}.py").write_text("Net = make = 1\n")
    stream = ImportedStream(path="my_tasks:make", num_tasks=1, classes_per_task=2, input_shape=(1,))
    keep_code(Experiment(tasks=stream, target=ImportedTarget(path=net)), [tmp_path], tmp_path / "results")
    kept = {file.stem for file in (tmp_path / "results" / "code").iterdir()}
    assert kept == {"my_tasks", net.partition(":")[0]}


def test_a_folder_of_data_named_as_the_module_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "my_net.py").write_text("Net = int\n")
    (tmp_path / "my_net").mkdir()
    (tmp_path / "my_net" / "large.bin").write_bytes(b"data")
    places = keep_code(MINE, [tmp_path], tmp_path / "results")
    assert [kept.name for kept in (tmp_path / "results" / "code").iterdir()] == ["my_net.py"]
    (tmp_path / "my_net.py").write_text("Net = 2\n")
    with pytest.raises(UserError, match="was changed since"):
        keep_code(MINE, [tmp_path], tmp_path / "results")
    assert places[0] == tmp_path / "results" / "code"


def test_a_package_without_init_is_copied_whole(tmp_path: Path) -> None:
    (tmp_path / "my_net" / "inner").mkdir(parents=True)
    (tmp_path / "my_net" / "inner" / "part.py").write_text("x = 1\n")
    keep_code(
        Experiment(tasks=SplitDigits(), target=ImportedTarget(path="my_net.inner.part:x")),
        [tmp_path],
        tmp_path / "results",
    )
    assert (tmp_path / "results" / "code" / "my_net" / "inner" / "part.py").exists()


def test_what_is_installed_or_built_in_is_not_copied(tmp_path: Path) -> None:
    for target in (MLP(), ImportedTarget(path="torchvision.models:resnet18")):
        experiment = Experiment(tasks=SplitDigits(), target=target)
        assert keep_code(experiment, [tmp_path], tmp_path / "results") == (tmp_path,)
    assert not (tmp_path / "results").exists()


def test_a_module_changed_since_is_refused_until_it_is_put_back(tmp_path: Path) -> None:
    (tmp_path / "my_net.py").write_text("Net = 1\n")
    keep_code(MINE, [tmp_path], tmp_path / "results")
    (tmp_path / "my_net.py").write_text("Net = 2\n")
    with pytest.raises(UserError, match="was changed since"):
        keep_code(MINE, [tmp_path], tmp_path / "results")
    (tmp_path / "my_net.py").write_text("Net = 1\n")
    assert keep_code(MINE, [tmp_path], tmp_path / "results")[0].name == "code"


def test_what_nothing_came_from_yet_is_copied_anew(tmp_path: Path) -> None:
    code = tmp_path / "results" / "code"
    (tmp_path / "my_net.py").write_text("Net = 1\n")
    keep_code(MINE, [tmp_path], tmp_path / "results")
    (tmp_path / "my_net.py").write_text("Net = 2\n")
    keep_code(MINE, [tmp_path], tmp_path / "results", replace_copy=True)
    assert (code / "my_net.py").read_text() == "Net = 2\n"


def test_a_module_that_ends_the_program_is_told(tmp_path: Path) -> None:
    (tmp_path / "users_ending.py").write_text("import sys\n\n\ndef make():\n    sys.exit(3)\n")
    told = pytest.raises(UserError, match="users_ending:make failed: SystemExit: 3")
    with told, user_code("tasks.path", "users_ending:make", [tmp_path]) as make:
        make()
    (tmp_path / "users_ended.py").write_text("import sys\nsys.exit()\n")
    with pytest.raises(UserError, match="importing users_ended failed: SystemExit"):
        user_code("tasks.path", "users_ended:make", [tmp_path]).__enter__()


def test_an_error_in_a_users_code_is_told_with_the_last_lines_in_their_file(tmp_path: Path) -> None:
    (tmp_path / "users_errors.py").write_text(
        "import json\n\n\ndef make(depth):\n    if depth:\n        return make(depth - 1)\n    return json.loads('{')\n"
    )
    with pytest.raises(UserError) as caught, user_code("tasks.path", "users_errors:make", [tmp_path]) as make:
        make(4)
    first, *lines = str(caught.value).splitlines()
    assert first.startswith("tasks.path: users_errors:make failed: JSONDecodeError: ")
    file = tmp_path / "users_errors.py"
    assert lines == [
        f"    {file}:6 in make: return make(depth - 1)",
        f"    {file}:6 in make: return make(depth - 1)",
        f"    {file}:7 in make: return json.loads('{{')",
    ]
    (tmp_path / "users_failing.py").write_text("x = 1\ny = x / 0\n")
    with pytest.raises(UserError, match=r"(?s)importing users_failing failed: ZeroDivisionError.*failing.py:2 in"):
        user_code("tasks.path", "users_failing:make", [tmp_path]).__enter__()
