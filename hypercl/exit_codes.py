"""What a command's exit code means."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Documented in --help and in the command reference."""

    DONE = 0
    FAILED = 1
    MISTAKE = 2
    INFEASIBLE = 3
    MACHINE = 74
    TIME_UP = 75
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_CODES = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "the run diverged or failed, or too many trials in a row failed",
    ExitCode.MISTAKE: "a mistake in the file, the options or the data; nothing was started",
    ExitCode.INFEASIBLE: "no setting within the constraints was found",
    ExitCode.MACHINE: "the machine failed (disk full, GPU or data gone, Ray ended); rerun the same command to resume",
    ExitCode.TIME_UP: "time limit (--time or --budget) or limit on cost reached; rerun the command to resume",
    ExitCode.INTERRUPTED: "Ctrl-C; rerun the same command to resume",
    ExitCode.TERMINATED: "SIGTERM; rerun the same command to resume",
}
