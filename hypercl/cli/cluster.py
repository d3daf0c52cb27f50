"""`hypercl cluster init`: the shipped files for clusters, copied with the values that each needs."""

import argparse
from pathlib import Path

from hypercl.cli.paths import require_writable
from hypercl.config import UserError
from hypercl.files import write_text
from hypercl.formatting import typed
from hypercl.shipped_files import cluster_files

FILES = {
    "slurm": ("slurm.sbatch", (), "sbatch {} FILE"),
    "kubernetes": ("kuberay-rayjob.yaml", ("image", "claim"), "kubectl create -f {}"),
    "aws": ("aws.yaml", ("region", "image", "filesystem"), "ray up {}"),
    "gcp": ("gcp.yaml", ("project", "region", "image", "filesystem"), "ray up {}"),
    "local": ("local.yaml", ("head", "workers", "user"), "ray up {}"),
}
"""Kind -> its file, the options it needs, and the command that comes next."""


def cluster_command(args: argparse.Namespace) -> int:
    """Copies the file of a kind of cluster into the working directory.

    Raises:
        UserError: a value is missing or means nothing here, or there is such a file already.
    """
    name, needed, then = FILES[args.kind]
    options = {option for _, own, _ in FILES.values() for option in own}
    given = {option: value for option in options if (value := getattr(args, option)) is not None}
    if missing := [option for option in needed if option not in given]:
        raise UserError(f"{args.kind} needs {', '.join(f'--{option}' for option in missing)}")
    if foreign := sorted(given.keys() - set(needed)):
        raise UserError(f"--{foreign[0]} is not for {args.kind}")
    target = args.to or Path(name)
    if target.exists():
        raise UserError(f"{target} is there already and stays as it is\n    fix:     --to FILE names another place")
    require_writable("--to", target.parent.resolve())
    head, *lines = (cluster_files() / name).read_text(encoding="utf-8").splitlines(keepends=True)
    text = "".join([head, *(line if line.lstrip().startswith("#") else _filled(line, given) for line in lines)])
    write_text(target, text)
    print(f"written: {target}\nnext:    read it, then {then.format(typed(target))}")
    return 0


def _filled(line: str, given: dict[str, str]) -> str:
    """A line whose capital names of options are replaced by their values."""
    for option, value in given.items():
        line = line.replace(option.upper(), value)
    return line
