"""How a sweep's command ends: its exit code, and the sentence that says so."""

from hypercl.control import Control
from hypercl.exit_codes import ExitCode
from hypercl.sweep.final import FinalStep
from hypercl.sweep.planner import Planner
from hypercl.sweep.results import none_feasible
from hypercl.sweep.study import Bounds, SweepStudy


def progress_of(study: SweepStudy) -> str:
    """How far the search is."""
    return f"{study.trained} of {study.file.search.trials} trials trained"


def ending_of(
    study: SweepStudy,
    planner: Planner,
    control: Control,
    bounds: Bounds,
    final: FinalStep,
    *,
    searching: bool,
    reporting: bool,
) -> tuple[ExitCode, str]:
    """What a command ends with, unless the machine failed.

    Args:
        study: the sweep's.
        planner: of its trials.
        control: what stopped it, if anything did.
        bounds: of its settings.
        final: its final step.
        searching: something is left to search.
        reporting: the final step had begun.
    """
    reason = control.reason
    trained = study.trained
    how = "the same command" if reason != "budget" else "with a larger limit"
    again = f"{progress_of(study)}; rerun {how} to resume"
    stopped = reporting or (not searching and reason in ("sigint", "sigterm", "time", "budget"))
    if stopped and reason is not None and final.due:
        again = f"{trained} trials trained; final step: {final.progress}; rerun {how} to resume"
    elif reason is None or not searching:
        return _finished(study, planner, final)
    if reason == "failed" and reporting:
        return ExitCode.FAILED, f"stopped: {again}. What failed:\n{control.first_failure.strip()}"
    if reason == "failed":
        first = control.first_failure.strip()
        return ExitCode.FAILED, f"stopped: {control.failed_in_row} trials failed in a row. The first:\n{first}"
    if reason == "infeasible":
        share, drawn = bounds.share()
        return ExitCode.INFEASIBLE, (
            f"stopped: 50 suggestions in a row were out of bounds; of {drawn} settings drawn at random {share:.0%} "
            f"are within. Change the space or the constraints (under another --name)"
        )
    why = {"time": "time limit reached", "budget": control.limit}.get(reason, "interrupted")
    return control.exit_code, f"{why}: {again}"


def _finished(study: SweepStudy, planner: Planner, final: FinalStep) -> tuple[ExitCode, str]:
    """Of a search that is over."""
    record = study.record()
    missing = none_feasible(study.file, record.ranked())
    if missing:
        return ExitCode.INFEASIBLE, f"{study.trained} trials are trained; {missing}"
    told = planner.ending(study.trials())
    if told is not None:
        return told
    if not record.ranked():
        return ExitCode.FAILED, "no trial was trained to its end"
    waiting = record.counts()["waiting"]
    more = f"; {waiting} from search.enqueue would need a larger search.trials" if waiting else ""
    more += "; the same command begins the final step" if final.due else ""
    return ExitCode.DONE, f"{study.trained} trials are trained{more}"
