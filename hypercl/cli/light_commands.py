"""The options of commands that train nothing: those that explain, look at results, and prepare."""

from pathlib import Path

from hypercl.cli.options import Commands, add_data, add_data_folder, bare_command, runs
from hypercl.cli.values import count, path

SHELLS = ("bash", "zsh", "fish")


def add_explain(commands: Commands) -> None:
    parser = bare_command(commands, "explain", "Explain a key or a section of a file: `hypercl explain method.beta`.")
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="a key path such as method.beta; omit it to list the sections"
    )
    parser.set_defaults(run=runs("explain", "explain_command"))


def add_init(commands: Commands) -> None:
    parser = bare_command(commands, "init", "List the shipped files, or copy one into the working directory.")
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="a shipped file such as quickstart; omit it to list them"
    )
    parser.add_argument("--to", type=path, metavar="FILE", help="destination; default: ./NAME.yaml")
    parser.set_defaults(run=runs("init", "init_command"))


def add_analyse(commands: Commands) -> None:
    purpose = "Accuracy over the plane of task embeddings, drift of weights, distances of tasks: pictures and CSV."
    parser = bare_command(commands, "analyse", purpose)
    parser.add_argument("results", type=path, metavar="RESULTS", help="folder of a run, a trial or a sweep")
    parser.add_argument(
        "--points", type=count, default=21, metavar="N", help="points of the plane along each axis; default: 21"
    )
    parser.add_argument("--to", type=path, metavar="DIR", help="folder for the files; default: analysis/ in the run's")
    add_data(parser)
    parser.set_defaults(run=runs("analyse", "analyse_command"))


def add_cluster(commands: Commands) -> None:
    parser = bare_command(commands, "cluster", "Copy a file for a cluster: `hypercl cluster init slurm`.")
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
    parser.set_defaults(run=runs("cluster", "cluster_command"))


def add_list(commands: Commands) -> None:
    parser = bare_command(commands, "list", "List the sweeps and runs in a folder of results.")
    parser.add_argument(
        "folder", nargs="?", type=path, default=Path("results"), metavar="DIR", help="folder; default: ./results"
    )
    parser.set_defaults(run=runs("list", "list_command"))


def add_dashboard(commands: Commands) -> None:
    purpose = "Make or refresh a W&B project's workspace and report: one section a question, runs grouped by setting."
    parser = bare_command(commands, "dashboard", purpose)
    parser.add_argument("file", type=path, metavar="FILE|RESULTS", help="file of a sweep, or its results folder")
    parser.set_defaults(run=runs("dashboard", "dashboard"), offline=False)


def add_upload(commands: Commands) -> None:
    parser = bare_command(commands, "upload", "Send W&B what it lacks of the runs of a results folder.")
    parser.add_argument("folder", type=path, metavar="RESULTS", help="results folder of a sweep or of runs")
    parser.set_defaults(run=runs("upload", "upload"), offline=False)


def add_doctor(commands: Commands) -> None:
    purpose = "Check a results folder and mend it; without one, check the installation."
    parser = bare_command(commands, "doctor", purpose)
    parser.add_argument("results", nargs="?", type=path, metavar="RESULTS", help="results folder of a sweep or run")
    parser.add_argument(
        "--fix",
        action="store_true",
        help="mend what can be mended; files are moved to RESULTS/lost+found, none deleted",
    )
    parser.add_argument("--wandb", action="store_true", help="it is a problem where W&B cannot be reached")
    add_data_folder(parser)
    parser.set_defaults(run=runs("doctor", "doctor_command"))


def add_predict(commands: Commands) -> None:
    purpose = (
        "Classify image files, or predict numbers, with a trained run or a sweep's best trial: CSV on standard output."
    )
    parser = bare_command(commands, "predict", purpose)
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
    add_data(parser)
    parser.set_defaults(run=runs("predict", "predict_command"))


def add_report(commands: Commands) -> None:
    parser = bare_command(commands, "report", "Ranked table, parameter importance and figures of one or more sweeps.")
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
    parser.set_defaults(run=runs("report", "report_command"))


def add_schema(commands: Commands) -> None:
    parser = bare_command(commands, "schema", "Print the JSON Schema of a file, for editors.")
    parser.add_argument("--write", type=path, metavar="FILE", help="write to a file instead of printing")
    parser.set_defaults(run=runs("explain", "schema_command"))


def add_tail(commands: Commands) -> None:
    purpose = "Follow a trial as it trains: a line a report. Ends with the trial."
    parser = bare_command(commands, "tail", purpose)
    parser.add_argument("results", type=path, metavar="RESULTS", help="results folder of a sweep")
    parser.add_argument("trial", type=int, metavar="TRIAL", help="number of a trial")
    parser.add_argument("--lines", type=count, default=10, metavar="N", help="reports before now; default: 10")
    parser.set_defaults(run=runs("tail", "tail_command"))


def add_completion(commands: Commands) -> None:
    parser = bare_command(commands, "completion", "Print a shell's completion script.")
    parser.add_argument("shell", choices=SHELLS, help='put `eval "$(hypercl completion bash)"` into ~/.bashrc')
    parser.set_defaults(run=runs("completion", "completion_command"))
