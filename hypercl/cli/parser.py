"""The console script `hypercl`: its commands and their options."""

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from hypercl.cli.values import amount, amount_or_none, count, path, seconds, trusted
from hypercl.config import did_you_mean
from hypercl.exit_codes import EXIT_CODES
from hypercl.formatting import default_data_dir
from hypercl.version import __version__

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""The group of commands of a parser."""


SHELLS = ("bash", "zsh", "fish")
YAML_FILE = "YAML file, such as search_spaces/quickstart.yaml"


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    groups: list[Commands] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(groups[0].choices)


def _add_explain(commands: Commands) -> None:
    parser = _bare_command(commands, "explain", "Explain a key or a section of a file: `hypercl explain method.beta`.")
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="a key path such as method.beta; omit it to list the sections"
    )
    parser.set_defaults(run=_runs("explain", "explain_command"))


def _add_init(commands: Commands) -> None:
    parser = _bare_command(commands, "init", "List the shipped files, or copy one into the working directory.")
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="a shipped file such as quickstart; omit it to list them"
    )
    parser.add_argument("--to", type=path, metavar="FILE", help="destination; default: ./NAME.yaml")
    parser.set_defaults(run=_runs("init", "init_command"))


def _add_analyse(commands: Commands) -> None:
    purpose = "Accuracy over the plane of task embeddings, drift of weights, distances of tasks: pictures and CSV."
    parser = _bare_command(commands, "analyse", purpose)
    parser.add_argument("results", type=path, metavar="RESULTS", help="folder of a run, a trial or a sweep")
    parser.add_argument(
        "--points", type=count, default=21, metavar="N", help="points of the plane along each axis; default: 21"
    )
    parser.add_argument("--to", type=path, metavar="DIR", help="folder for the files; default: analysis/ in the run's")
    _add_data(parser)
    parser.set_defaults(run=_runs("analyse", "analyse_command"))


def _add_cluster(commands: Commands) -> None:
    parser = _bare_command(commands, "cluster", "Copy a file for a cluster: `hypercl cluster init slurm`.")
    parser.add_argument("what", choices=["init"], help="init copies the file into the working directory")
    parser.add_argument("kind", choices=["slurm", "kubernetes", "aws", "gcp", "local"], help="kind of cluster")
    parser.add_argument("--to", type=path, metavar="FILE", help="destination; default: the file's name")
    for option, purpose in {
        "image": "container image (kubernetes), machine image (aws), or its family (gcp)",
        "claim": "volume claim that all pods share (kubernetes)",
        "region": "region (aws, gcp)",
        "filesystem": "shared file system: its id at EFS (aws), or SERVER:/PATH (gcp)",
        "project": "project (gcp)",
        "head": "machine that the sweep is started on (local)",
        "workers": "further machines, separated by commas (local)",
        "user": "user on all machines (local)",
    }.items():
        parser.add_argument(f"--{option}", help=purpose)
    parser.set_defaults(run=_runs("cluster", "cluster_command"))


def _add_list(commands: Commands) -> None:
    parser = _bare_command(commands, "list", "List the sweeps and runs in a folder of results.")
    parser.add_argument(
        "folder", nargs="?", type=path, default=Path("results"), metavar="DIR", help="folder; default: ./results"
    )
    parser.set_defaults(run=_runs("list", "list_command"))


def _add_dashboard(commands: Commands) -> None:
    purpose = "Make or refresh a W&B project's workspace and report: one section a question, runs grouped by setting."
    parser = _bare_command(commands, "dashboard", purpose)
    parser.add_argument("file", type=path, metavar="FILE|RESULTS", help="file of a sweep, or its results folder")
    parser.set_defaults(run=_runs("dashboard", "dashboard"), offline=False)


def _add_upload(commands: Commands) -> None:
    parser = _bare_command(commands, "upload", "Send W&B what it lacks of the runs of a results folder.")
    parser.add_argument("folder", type=path, metavar="RESULTS", help="results folder of a sweep or of runs")
    parser.set_defaults(run=_runs("upload", "upload"), offline=False)


def _add_doctor(commands: Commands) -> None:
    purpose = "Check a results folder and mend it; without one, check the installation."
    parser = _bare_command(commands, "doctor", purpose)
    parser.add_argument("results", nargs="?", type=path, metavar="RESULTS", help="results folder of a sweep or run")
    parser.add_argument(
        "--fix",
        action="store_true",
        help="mend what can be mended; files are moved to RESULTS/lost+found, none deleted",
    )
    parser.add_argument("--wandb", action="store_true", help="it is a problem where W&B cannot be reached")
    _add_data_folder(parser)
    parser.set_defaults(run=_runs("doctor", "doctor_command"))


def _add_predict(commands: Commands) -> None:
    purpose = (
        "Classify image files, or predict numbers, with a trained run or a sweep's best trial: CSV on standard output."
    )
    parser = _bare_command(commands, "predict", purpose)
    parser.add_argument("results", type=path, metavar="RUN", help="folder of a run, a trial or a sweep")
    parser.add_argument(
        "files",
        nargs="+",
        type=path,
        metavar="FILES",
        help="image files, or folders of them; for a regression CSV files, a row an input",
    )
    parser.add_argument(
        "--task", type=count, metavar="N", help="task that the inputs belong to, from 1; default: the method infers it"
    )
    parser.add_argument("--device", metavar="D", help="cpu (default), cuda, cuda:1, mps")
    _add_data(parser)
    parser.set_defaults(run=_runs("predict", "predict_command"))


def _add_report(commands: Commands) -> None:
    parser = _bare_command(commands, "report", "Ranked table, parameter importance and figures of one or more sweeps.")
    parser.add_argument("results", nargs="+", type=path, metavar="RESULTS", help="results folder of a sweep")
    parser.add_argument(
        "--together", action="store_true", help="rank sweeps of other data or lengths of training in one table"
    )
    parser.add_argument("--top", type=count, default=10, metavar="N", help="number of rows; default: 10")
    parser.add_argument(
        "--prefer",
        metavar="PREFERENCE",
        help="print another trade-off than the one in best.yaml and write preferred.yaml; as for hypercl sweep",
    )
    parser.add_argument(
        "--to",
        type=path,
        metavar="DIR",
        help="folder for figures; default: RESULTS/figures, or ./report for several sweeps",
    )
    parser.add_argument(
        "--html",
        action="store_true",
        help="write only report.html, one page with all of it; default place: RESULTS, or ./report for several sweeps",
    )
    parser.set_defaults(run=_runs("report", "report_command"))


def _add_schema(commands: Commands) -> None:
    parser = _bare_command(commands, "schema", "Print the JSON Schema of a file, for editors.")
    parser.add_argument("--write", type=path, metavar="FILE", help="write to a file instead of printing")
    parser.set_defaults(run=_runs("explain", "schema_command"))


def _add_tail(commands: Commands) -> None:
    purpose = "Follow a trial as it trains: a line a report. Ends with the trial."
    parser = _bare_command(commands, "tail", purpose)
    parser.add_argument("results", type=path, metavar="RESULTS", help="results folder of a sweep")
    parser.add_argument("trial", type=int, metavar="TRIAL", help="number of a trial")
    parser.add_argument("--lines", type=count, default=10, metavar="N", help="reports before now; default: 10")
    parser.set_defaults(run=_runs("tail", "tail_command"))


def _add_completion(commands: Commands) -> None:
    parser = _bare_command(commands, "completion", "Print a shell's completion script.")
    parser.add_argument("shell", choices=SHELLS, help='put `eval "$(hypercl completion bash)"` into ~/.bashrc')
    parser.set_defaults(run=_runs("completion", "completion_command"))


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """As `parse_args`, with a suggestion for an unknown option."""
    parser = parser_of_all()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        command = commands_of(parser)[options.command]
        hint = did_you_mean(unknown[0].partition("=")[0], list(command._option_string_actions))
        command.error(f"unrecognized arguments: {' '.join(unknown)}" + (f"; {hint}" if hint else ""))
    return options


def parser_of_all() -> argparse.ArgumentParser:
    """The parser of `hypercl` with all its commands."""
    parser = argparse.ArgumentParser(
        prog="hypercl",
        allow_abbrev=False,
        description="Hyperparameter search for continual learning with hypernetworks.",
    )
    parser.add_argument("--version", action="version", version=f"hypercl {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_train, _add_fetch, _add_sweep, _add_submit, _add_enqueue, _add_final, _add_reproduce):
        add(commands)
    for add in (_add_analyse, _add_cluster, _add_dashboard, _add_doctor, _add_explain, _add_init, _add_list):
        add(commands)
    for add in (_add_predict, _add_report, _add_schema, _add_tail, _add_upload, _add_completion):
        add(commands)
    return parser


def _bare_command(commands: Commands, name: str, purpose: str, **more: Any) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=purpose, description=purpose, allow_abbrev=False, **more)


def _runs(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """A command's function, imported when it runs: each command imports only what it needs."""
    return lambda args: getattr(import_module(f"hypercl.cli.{module}"), function)(args)


def _add_train(commands: Commands) -> None:
    parser = _command(commands, "train", "Train one experiment: the section `experiment` of a file.")
    parser.add_argument("--device", metavar="D", help="auto (cuda, else mps, else cpu), cpu, mps, cuda, cuda:1")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of initial weights, batches and augmentation")
    parser.add_argument(
        "--threads",
        type=count,
        metavar="N",
        help="number of CPU threads; part of the result, since it changes rounding",
    )
    parser.add_argument(
        "--test", action="store_true", help="open the test data and measure on it too; not while you tune"
    )
    parser.add_argument("--fetch", action="store_true", help="download, decode and check the data only; train nothing")
    parser.set_defaults(run=_train, nodes=None)


def _add_fetch(commands: Commands) -> None:
    purpose = "Download, decode and check the data of a file, here or on the nodes of a Ray cluster."
    parser = _bare_command(commands, "fetch", purpose)
    _add_file(parser)
    _add_data(parser)
    parser.add_argument(
        "--nodes", metavar="NODES", help="all nodes of the cluster (all), or names separated by commas; default: here"
    )
    parser.add_argument("--address", metavar="A", help="Ray cluster of --nodes (also RAY_ADDRESS); default: auto")
    parser.set_defaults(run=_runs("fetch", "fetch_command"))


def _add_sweep(commands: Commands) -> None:
    purpose = "Sweep over an experiment. Rerun the same command to resume."
    parser = _command(commands, "sweep", purpose, False, f"{YAML_FILE}; with --show, also a results folder")
    _add_budget(parser)
    parser.add_argument(
        "--fork", metavar="NEW", help="begin results/NEW, of another space or stream, with what this sweep knows so far"
    )
    _add_address(parser)
    _add_telling(parser)
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--dry-run", action="store_true", help="check everything and time two steps; start nothing")
    instead.add_argument(
        "--show", type=int, metavar="N", help="print trial N: its setting, progress, accuracy matrix or failure"
    )
    instead.add_argument(
        "--status", type=path, metavar="RESULTS", help="print the status of a sweep, also while it runs; needs no FILE"
    )
    parser.set_defaults(run=_sweep)


def _add_enqueue(commands: Commands) -> None:
    purpose = "Add a setting to a sweep, running or not: `hypercl enqueue RESULTS method.beta=0.3`."
    parser = _bare_command(commands, "enqueue", purpose)
    parser.add_argument("results", type=path, metavar="RESULTS", help="results folder of a sweep")
    parser.add_argument(
        "setting", nargs="+", metavar="KEY=VALUE", help="a key of the space; one that is left out is as written"
    )
    parser.set_defaults(run=_runs("enqueue", "enqueue_command"))


def _add_budget(parser: argparse.ArgumentParser) -> None:
    """How much a sweep does, and on what."""
    parser.add_argument("--trials", type=count, metavar="N", help="total number of trained trials (search.trials)")
    parser.add_argument("--no-final", action="store_true", help="no final step now, whatever final.auto says")
    parser.add_argument("--join", action="store_true", help="work on a study that another driver began (study.storage)")
    _add_machine(parser)
    parser.add_argument(
        "--prefer",
        metavar="PREFERENCE",
        help="which trade-off between several objectives goes into best.yaml: 'knee' (default), weights such as "
        "'validation/final_accuracy: 1, compression_ratio: 0.2', or a condition such as 'compression_ratio <= 0.5'",
    )


def _add_submit(commands: Commands) -> None:
    purpose = "Sweep as a job of a Ray cluster, and follow its log. Submit again to resume."
    parser = _command(commands, "submit", purpose, False)
    _add_budget(parser)
    parser.add_argument(
        "--address",
        metavar="URL",
        help="Ray's job server (also RAY_API_SERVER_ADDRESS); default: http://127.0.0.1:8265",
    )
    parser.add_argument(
        "--pip", nargs="+", default=[], metavar="PACKAGE", help="packages that the job needs beside what the nodes have"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--detach", action="store_true", help="submit, and do not follow the log")
    instead.add_argument("--follow", metavar="JOB", help="follow the log of a job; needs no FILE")
    instead.add_argument("--stop", metavar="JOB", help="stop a job, with checkpoints; needs no FILE")
    instead.add_argument("--status", metavar="JOB", help="print the state of a job; needs no FILE")
    instead.add_argument("--list", action="store_true", help="list the submitted sweeps; needs no FILE")
    parser.set_defaults(run=_runs("submit", "submit_command"))


def _add_final(commands: Commands) -> None:
    purpose = "Run only the final step of a sweep; this opens its test data. Rerun the same command to resume."
    parser = _bare_command(commands, "final", purpose, **_exit_codes())
    parser.add_argument("results", type=path, metavar="RESULTS", help="results folder of a sweep")
    parser.add_argument("--settings", metavar="K", help="number of best settings, or all of the front (final.settings)")
    parser.add_argument("--seeds", type=count, metavar="N", help="number of fresh seeds per setting (final.seeds)")
    parser.add_argument(
        "--again", action="store_true", help="choose again and open test data once more; every output says so"
    )
    _add_machine(parser)
    _add_address(parser)
    _add_telling(parser)
    _add_data(parser)
    parser.set_defaults(run=_runs("sweep", "final_command"))


def _add_telling(parser: argparse.ArgumentParser) -> None:
    """How much is printed while it runs."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--quiet", dest="telling", action="store_const", const="quiet", default="", help="print only how it ended"
    )
    how.add_argument(
        "--json", dest="telling", action="store_const", const="json", help="print one JSON object a line and event"
    )


def _add_machine(parser: argparse.ArgumentParser) -> None:
    """On what a sweep runs, and how long."""
    parser.add_argument(
        "--time",
        type=seconds,
        metavar="T",
        help="time limit, such as 90s, 30m, 2h or 1h30m; stops with checkpoints, resumable",
    )
    parser.add_argument("--cpus", type=amount, metavar="N", help="maximum total number of CPUs")
    parser.add_argument("--gpus", type=amount_or_none, metavar="N", help="maximum total number of GPUs")
    parser.add_argument("--max-concurrent", type=count, metavar="N", help="maximum number of trials at once")
    parser.add_argument(
        "--max-gpu-hours", type=amount, metavar="H", help="stop, resumable, once the whole sweep has used H GPU-hours"
    )
    parser.add_argument("--max-cost", type=amount, metavar="M", help="the same for money; needs --price-per-gpu-hour")
    parser.add_argument(
        "--price-per-gpu-hour", type=amount, metavar="X", help="price of a GPU-hour, for plan, table and report"
    )


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--address", metavar="A", help="Ray cluster to attach to (also RAY_ADDRESS); default: this machine"
    )


def _add_reproduce(commands: Commands) -> None:
    purpose = "Reproduce a table of published results. Rerun the same command to resume."
    what = "split_mnist, permuted_mnist, or a table of your own (YAML)"
    parser = _command(commands, "reproduce", purpose, what=what)
    parser.add_argument("--only", nargs="+", metavar="CELL", help="cells such as ewc-class, whole rows, or scenarios")
    parser.add_argument("--seeds", type=count, metavar="N", help="number of seeds per cell (training.replicas)")
    parser.add_argument(
        "--budget",
        type=seconds,
        metavar="T",
        help="time limit, such as 30m, 2h or 1h30m; stops with checkpoints, resumable",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--dry-run", action="store_true", help="check every cell and print the plan; run nothing")
    instead.add_argument("--table", type=path, metavar="CSV", help="print a table.csv as Markdown; run nothing")
    parser.set_defaults(run=_runs("reproduce", "reproduce_command"))


def _command(
    commands: Commands,
    name: str,
    purpose: str,
    needs_file: bool = True,
    what: str = YAML_FILE,
) -> argparse.ArgumentParser:
    """A command with what those that train share."""
    parser = _bare_command(commands, name, purpose, **_exit_codes())
    _add_file(parser, needs_file, what)
    parser.add_argument(
        "--results",
        type=path,
        default=Path("results"),
        metavar="DIR",
        help="where results folders are written; default: ./results",
    )
    parser.add_argument("--name", help="name of the results folder; default: the file's name")
    _add_data(parser)
    return parser


def _add_file(parser: argparse.ArgumentParser, needs_file: bool = True, what: str = YAML_FILE) -> None:
    parser.add_argument(
        "file",
        nargs=None if needs_file else "?",
        metavar="FILE",
        help=what,
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change one key of the file, such as method.beta=0.1; repeatable",
    )


def _exit_codes() -> dict[str, Any]:
    """What a command's help ends with."""
    return {
        "epilog": "exit codes:\n" + "\n".join(f"  {code.value:<4} {meaning}" for code, meaning in EXIT_CODES.items()),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def _add_data(parser: argparse.ArgumentParser) -> None:
    """Where data comes from, and whose code may run."""
    _add_data_folder(parser)
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        type=trusted,
        metavar="PATH",
        help="code that may run: an installed package, an import path, or a folder of results (also HYPERCL_TRUST)",
    )


def _add_data_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        type=path,
        default=default_data_dir(),
        metavar="DIR",
        help="directory of the data sets; default: $HYPERCL_DATA, else ./data",
    )
    parser.add_argument("--offline", action="store_true", help="use no network at all (also HYPERCL_OFFLINE=1)")


def _train(args: argparse.Namespace) -> int:
    return _runs("fetch", "fetch_command")(args) if args.fetch else _runs("train", "train")(args)


def _sweep(args: argparse.Namespace) -> int:
    if args.status is not None:
        return _runs("show", "status_command")(args)
    return _runs("sweep", "sweep_command")(args)
