"""Commands: parse, print the plan, call one function below."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.cli.command import main, run
    from hypercl.cli.parser import commands_of, parsed, parser_of_all
    from hypercl.cli.paths import paths_beside
    from hypercl.cli.predict import run_of
    from hypercl.cli.report import report_command
    from hypercl.cli.sweep import asked, prepared
    from hypercl.cli.train import trained

__all__, __getattr__ = lazy(__name__, __file__)
