"""What a command's exit code means."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Documented in --help and in the README."""

    DONE = 0
    FAILED = 1
    MISTAKE = 2
    INFEASIBLE = 3
    TIME_UP = 75
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_CODES = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "the run diverged or failed; or too many trials in a row failed",
    ExitCode.MISTAKE: "a mistake in the file, the options or the data: nothing was begun",
    ExitCode.INFEASIBLE: "no setting inside the constraints was found",
    ExitCode.TIME_UP: "the time given by --time or --budget is over; the same command goes on",
    ExitCode.INTERRUPTED: "Ctrl-C; the same command goes on",
    ExitCode.TERMINATED: "SIGTERM; the same command goes on",
}
