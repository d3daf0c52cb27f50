"""The console script `hypercl`: one command, its mistakes as messages, its exit code."""

import argparse
import io
import os
import shlex
import sys
from collections.abc import Sequence

from hypercl.control import signals_end_the_process
from hypercl.exit_codes import ExitCode


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Runs a command with its options, as parsed from what was typed."""
    options.typed = shlex.join(["hypercl", *arguments])
    for trusted in getattr(options, "trust", ()):
        os.environ["HYPERCL_TRUST"] = f"{os.environ.get('HYPERCL_TRUST', '')},{trusted}"
    return options.run(options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code; a user's mistake is a message, never a traceback."""
    with signals_end_the_process():  # before anything is imported that takes a moment
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal of ASCII alone gets \xb1 for ±
                stream.reconfigure(errors="backslashreplace")
        if os.path.expanduser("~") == "~":  # a container's user; without a home Ray cannot be imported
            os.environ["HOME"] = "/"  # as Docker has it
        from hypercl.cli.parser import parsed
        from hypercl.config import UserError
        from hypercl.machine import machine_fault

        given = sys.argv[1:] if arguments is None else arguments
        options = parsed(given)
        try:
            return run(options, given)
        except UserError as error:
            print(error, file=sys.stderr)
            return ExitCode.MISTAKE
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.FAILED
        except OSError as error:
            if (why := machine_fault(error)) is None:
                raise
            print(f"{why}, then rerun the same command to resume", file=sys.stderr)
            return ExitCode.MACHINE
