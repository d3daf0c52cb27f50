"""What README, guides and contributing guide say exists, parses and runs."""

import importlib
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import optuna
import pytest
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from hypercl.cli import main
from hypercl.cli.parser import parser_of_all
from hypercl.config import load, load_sweep, loads
from hypercl.config.explain import known_keys
from tests.docs import fake_mlflow

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "pages"
README, CONTRIBUTING = ROOT / "README.md", ROOT / ".github" / "CONTRIBUTING.md"
WRITTEN = [README, CONTRIBUTING, *sorted(PAGES.glob("*.md"))]
FENCED = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
ROOMS = re.compile(r"<!-- rooms: ([\w.]+) -->")
IN_THE_REPOSITORY = re.compile(r"^(?:hypercl|search_spaces|launch|tests|docs|\.ci|\.github)/[\w./-]+$")
OTHERS = frozenset(
    {"pip", "sbatch", "pre-commit", "pytest", "python", "ray", "export", ".", "mkdocs", "tests/gpu/check"}
)
"""First words of commands that are not hypercl's."""


def hook(name: str) -> ModuleType:
    """A module that MkDocs loads when it builds the site."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def blocks(file: Path, language: str) -> list[str]:
    return [body for found, _, body in FENCED.findall(text_of(file)) if found == language]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command in a shell block, and each of hypercl's in the text: where, and its words."""
    for file in WRITTEN:
        lines = [line for block in blocks(file, "bash") for line in block.replace("\\\n", " ").splitlines()]
        inline = re.findall(r"`([^`]+)`", FENCED.sub("", text_of(file)))
        lines += [code for code in inline if code.startswith(("hypercl ", "python launch/"))]
        for line in lines:
            for command in re.split(r"\s(?:&&|\|)\s", line):
                words = shlex.split(command, comments=True)
                if words:
                    yield file.name, words


COMMANDS = sorted({(where, tuple(words)) for where, words in commands()})
OURS = [(where, words) for where, words in COMMANDS if words[0] == "hypercl" or "launch/" in " ".join(words[:2])]


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    """Pages that are written when the site is built, below the site's pages."""
    return {
        **hook("reference").pages(),
        hook("commands").PAGE: hook("commands").page(),
        "contributing.md": text_of(CONTRIBUTING),
    }


def test_the_readme_is_short() -> None:
    assert len(text_of(README).splitlines()) <= 200


def slugs(markdown: str) -> set[str]:
    """The addresses of a page's headings, as the site and GitHub make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", FENCED.sub("", markdown), re.MULTILINE):
        explicit = re.search(r"\{ #(\S+)", heading)
        plain = re.sub(r"[^\w\s-]", "", heading.lower()).strip()
        found.add(explicit[1] if explicit else re.sub(r"[\s-]+", "-", plain))
    return found


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: file.stem)
def test_every_link_leads_somewhere(file: Path, generated: dict[str, str]) -> None:
    pictures = {f"pictures/{path.name}" for path in (ROOT / ".github" / "pictures").iterdir()}
    for link in LINK.findall(text_of(file)):
        address, _, anchor = link.partition("#")
        if link.startswith(("https://", "http://")):
            continue
        target = (file.parent / address).resolve() if address else file
        if file.parent == PAGES and address in pictures:
            continue
        page = generated.get(address) if file.parent == PAGES or file == CONTRIBUTING else None
        assert page is not None or target.exists(), f"{file.name}: {link}"
        if anchor:
            assert anchor in slugs(page or text_of(target)), f"{file.name}: {link}"


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: file.stem)
def test_every_file_that_is_named_exists(file: Path) -> None:
    named = [word for code in re.findall(r"`([^`\n]+)`", text_of(file)) for word in code.split()]
    named += [word for block in blocks(file, "bash") for word in shlex.split(block, comments=True)]
    assert [word for word in named if IN_THE_REPOSITORY.match(word) and not (ROOT / word).exists()] == []


@pytest.mark.parametrize(("where", "words"), OURS, ids=lambda value: value if isinstance(value, str) else value[-1])
def test_every_command_is_understood(where: str, words: tuple[str, ...]) -> None:
    arguments = list(words[1:])
    if words[0] == "python":
        arguments = [Path(words[1]).stem, *words[2:]]
        assert (ROOT / words[1]).exists(), where
    if len(words) == 2:  # a command that the text names
        assert words[1] in hook("commands").commands(), where
        return
    given = parser_of_all().parse_args(arguments)
    shipped = ROOT / "search_spaces" / Path(str(getattr(given, "file", None))).name
    if getattr(given, "overrides", None) and shipped.suffix == ".yaml" and shipped.exists():
        (load if given.command == "train" else load_sweep)(shipped, given.overrides)  # one run leaves the space aside


def test_every_other_command_is_of_a_known_tool() -> None:
    assert len(OURS) > 30
    assert {words[0] for _, words in COMMANDS} - {"hypercl"} <= OTHERS


@pytest.mark.parametrize(
    ("file", "block"),
    [(file, block) for file in WRITTEN for block in blocks(file, "yaml")],
    ids=lambda value: value.stem if isinstance(value, Path) else "",
)
def test_every_file_that_is_shown_is_valid(file: Path, block: str) -> None:
    assert next(iter(yaml.safe_load(block))) in ("experiment", "include")
    loads(block, str(ROOT / file.name))


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the page on extending shows."""
    for _, title, body in FENCED.findall(text_of(PAGES / "extending.md")):
        if title:
            (tmp_path / title).write_text(body, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["my_net", "my_tasks", "my_method", "my_search"])
def test_an_example_trains_and_can_be_swept(name: str, examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, name, raising=False)
    assert load_sweep(examples / f"{name}.yaml").space
    assert main(["train", f"{name}.yaml", "--set", "training.threads=1"]) == 0
    assert (examples / "results" / name / "runs" / "seed-1" / "summary.json").exists()


def test_the_example_of_a_contract_tests_the_method(examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(examples)
    contract = importlib.import_module("test_my_method").TestPulled()
    for scenario in ("task", "domain", "class"):
        contract.test_learns_a_first_task(scenario)
    monkeypatch.delitem(sys.modules, "test_my_method")


def test_the_example_of_a_logger_keeps_the_contract(
    examples: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(examples)
    monkeypatch.setitem(sys.modules, "mlflow", fake_mlflow)
    monkeypatch.setitem(sys.modules, "mlflow.entities", fake_mlflow)
    contract = importlib.import_module("test_my_mlflow").TestMyMlflow()
    for name in [name for name in dir(contract) if name.startswith("test_")]:
        getattr(contract, name)(tmp_path_factory.mktemp("run"))
    assert main(["train", "my_mlflow.yaml", "--set", "training.threads=1"]) == 0
    done = fake_mlflow.runs[-1]
    assert (done.tags["kind"], done.status, "final/validation/final_accuracy" in done.metrics) == (
        "run",
        "FINISHED",
        True,
    )
    for name in ("test_my_mlflow", "my_mlflow"):
        monkeypatch.delitem(sys.modules, name)


def test_the_study_opens_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "quickstart"
    folder.mkdir(parents=True)
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    optuna.create_study(study_name="digits", storage=storage).add_trial(optuna.create_trial(value=1.0))
    (block,) = blocks(PAGES / "results-folder.md", "python")
    exec(compile(block, "results-folder.md", "exec"), {})
    assert capsys.readouterr().out == "digits 1 trials\n"


def test_the_example_in_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks(PAGES / "python.md", "python"))
    exec(compile(code, "python.md", "exec"), {})
    assert capsys.readouterr().out == "True (6, 5)\ntorch.Size([16, 10]) slice(2, 4, None)\nTrue\n4\n"


def test_the_reference_holds_every_key(generated: dict[str, str]) -> None:
    addresses = set().union(*(slugs(page) for page in generated.values()))
    sections = {path.removeprefix("reference/").removesuffix(".md") for path in generated}
    keys = {key for key in known_keys() if not key.endswith(".name") and key != "experiment"}
    assert len(keys) > 150
    assert keys - addresses - sections == set()


def test_the_navigation_lists_every_page(generated: dict[str, str]) -> None:
    listed = set(re.findall(r"[\w/-]+\.md", text_of(ROOT / "docs" / "mkdocs.yml").partition("nav:")[2]))
    assert listed == {path.name for path in PAGES.glob("*.md")} | set(generated)


def test_the_drawing_shows_every_room() -> None:
    rooms = hook("rooms")
    packages = ROOMS.findall(text_of(PAGES / "architecture.md"))
    assert "hypercl" in packages
    for package in packages:
        drawn = re.findall(r'class="room"[^>]*>(\w+)<', rooms.svg(package))
        assert drawn == [module.rpartition(".")[2] for row in rooms.layers(package) for module in row]
