"""A user's own module is kept with the results."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hypercl.config import Experiment, UserError
from hypercl.config.models.target import MLP, ImportedTarget
from hypercl.config.models.tasks import ImportedStream, SplitDigits
from hypercl.user_code import keep_code, require_kept, user_code

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
    kept = {file.stem for file in (tmp_path / "results" / "code").glob("*.py")}
    assert kept == {"my_tasks", net.partition(":")[0]}


def test_a_folder_of_data_named_as_the_module_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "my_net.py").write_text("Net = int\n")
    (tmp_path / "my_net").mkdir()
    (tmp_path / "my_net" / "large.bin").write_bytes(b"data")
    places = keep_code(MINE, [tmp_path], tmp_path / "results")
    assert [kept.name for kept in (tmp_path / "results" / "code").glob("*.py")] == ["my_net.py"]
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


OWN_PATHS = ["own:bound", "own:cached", "own:maker", "own:Maker", "own.sub:make", "own:Maker.build"]
OWN = """
from functools import cache, partial


def make(): pass


class Maker:
    def __call__(self): pass

    @classmethod
    def build(cls): pass


bound, cached, maker = partial(make), cache(make), Maker()
"""
HOSTILE = """
import os, subprocess
from functools import partial
from subprocess import Popen
"""


@pytest.mark.parametrize(
    "path",
    [
        "subprocess:Popen",
        "os:system",
        "pip.__main__:main",
        "torch:load",
        "torch.hub:load",
        "torchvision.datasets.utils:os.remove",
        "numpy:load",
        "innocent:Popen",
        "innocent:os.system",
        "innocent:subprocess.run",
        "innocent:make.__globals__",
    ],
)
def test_what_a_file_has_no_business_with_is_not_called(tmp_path: Path, path: str) -> None:
    (tmp_path / "innocent.py").write_text(f"{HOSTILE}\n\ndef make(): pass\n")
    with pytest.raises(UserError, match=f"target.path: {path} is not called: .*(?s:.)*fix: .*--trust {path}"):
        user_code("target.path", path, [tmp_path]).__enter__()


@pytest.mark.parametrize("trusted", ["subprocess:Popen", "subprocess", "timm,subprocess"])
def test_what_is_trusted_is_called(monkeypatch: pytest.MonkeyPatch, trusted: str) -> None:
    monkeypatch.setenv("HYPERCL_TRUST", trusted)
    with user_code("target.path", "subprocess:Popen", []) as make:
        assert make is subprocess.Popen


@pytest.mark.parametrize(
    "path",
    ["torchvision.models:resnet18", "torch.nn:Linear", "torch.utils.data:TensorDataset", "own:make", *OWN_PATHS],
)
def test_networks_data_sets_and_functions_of_the_files_own_folder_are_called(tmp_path: Path, path: str) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").write_text(OWN)
    (tmp_path / "own" / "sub.py").write_text("from own import make\n")
    try:
        with user_code("target.path", path, [tmp_path]) as make:
            assert callable(make)
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "own"]:
            del sys.modules[name]


@pytest.mark.parametrize(
    "change",
    [
        lambda code: (code / "my_net.py").write_text("Net = 2\n"),
        lambda code: (code / "scipy.py").write_text("x = 1\n"),
        lambda code: (code / "scipy.pyc").write_bytes(b"x"),
        lambda code: (code / "SHA256SUMS").unlink(),
    ],
    ids=["changed", "added", "compiled", "no record"],
)
def test_kept_code_that_the_results_were_not_begun_with_is_refused_unless_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    (tmp_path / "my_net.py").write_text("Net = 1\n")
    results = tmp_path / "results"
    keep_code(MINE, [tmp_path], results)
    assert list(require_kept(results)) == ["my_net.py"]
    change(results / "code")
    with pytest.raises(UserError, match=r"is not what these results were begun with(?s:.)*--trust"):
        require_kept(results)
    monkeypatch.setenv("HYPERCL_TRUST", str(results))
    assert require_kept(results)


def test_compiled_code_in_a_results_folder_never_stands_for_its_source(tmp_path: Path) -> None:
    (tmp_path / "my_net.py").write_text("Net = 1\n")
    keep_code(MINE, [tmp_path], tmp_path / "results")
    cache = tmp_path / "results" / "code" / "__pycache__"
    cache.mkdir()
    require_kept(tmp_path / "results")
    assert not cache.exists()
