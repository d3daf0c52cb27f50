"""Each package is entered by its face, and a face says the same to people, type checkers and Python."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("hypercl/**/*.py"), *ROOT.glob("launch/*.py")])
ENTRY = "hypercl.__main__"
"""Handles signals before anything is imported; the scripts in launch/ begin there."""
FACES = [file for file in FILES if file.name == "__init__.py"]
LAZY = [file for file in FACES if "= lazy(" in file.read_text(encoding="utf-8")]


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


PACKAGES = {module_of(file) for file in FACES}
MODULES = {module_of(file) for file in FILES}


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each import of the package's own code: the module, and the name taken from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            names = [(node.module or "", alias.asname or alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [(alias.name, "") for alias in node.names]
        else:
            continue
        yield from ((module, name) for module, name in names if module.split(".")[0] == "hypercl")


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def exported(face: Path) -> list[str]:
    """What it imports from its own modules, read without importing it."""
    inside = module_of(face) + "."
    return [name for module, name in imported(tree_of(face)) if module.startswith(inside)]


NAMES = {module_of(face): exported(face) for face in FACES}


def deep_imports(importer: str, tree: ast.AST) -> list[str]:
    """Modules that are imported past the face of their package, from outside it."""
    deep = []
    for module, name in imported(tree):
        is_module = f"{module}.{name}" in MODULES and name not in NAMES.get(module, ())
        target = f"{module}.{name}" if is_module else module
        package = target if target in PACKAGES else target.rpartition(".")[0]
        inside = importer == package or importer.startswith(f"{package}.")
        if not inside and target != ENTRY and (target not in PACKAGES or name.startswith("_")):
            deep.append(f"{target}.{name}" if target == module else target)
    return deep


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_a_package_is_entered_by_its_face() -> None:
    assert {name_of(file): deep for file in FILES if (deep := deep_imports(module_of(file), tree_of(file)))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "from hypercl.sweep.study.record import StudyRecord",
        "from hypercl.sweep.study import record",
        "import hypercl.sweep.study.record",
        "from hypercl.sweep.study import _private",
        "def late():\n    from hypercl.config.reading.load import load",
    ],
)
def test_a_deep_import_is_seen(line: str) -> None:
    assert deep_imports("hypercl.cli.sweep", ast.parse(line))


def test_a_package_may_import_its_own_modules_and_other_faces() -> None:
    lines = "from hypercl.cli import main\nfrom hypercl.sweep.study import StudyRecord\nimport hypercl.files"
    assert deep_imports("hypercl.cli.sweep", ast.parse(lines)) == []


@pytest.mark.parametrize("face", LAZY, ids=name_of)
def test_a_lazy_face_lists_what_it_imports_for_type_checkers(face: Path) -> None:
    package = module_of(face)
    assert sorted(import_module(package).__all__) == sorted(NAMES[package])


def test_every_name_of_a_face_can_be_imported() -> None:
    faces = {package: import_module(package) for package in PACKAGES}
    assert [(package, name) for package in faces for name in NAMES[package] if not hasattr(faces[package], name)] == []


@pytest.mark.parametrize("face", LAZY, ids=name_of)
def test_no_name_of_a_lazy_face_is_that_of_a_module(face: Path) -> None:
    # Importing the module would put it in the place of the name.
    modules = {file.stem for file in face.parent.iterdir() if file.suffix == ".py" or file.is_dir()}
    callable_packages = {"sweep"} if face.parent.name == "hypercl" else set()
    assert modules & set(NAMES[module_of(face)]) == callable_packages
