"""How the final step of a sweep stands, seen from outside."""

from hypercl.sweep.final.selection import Opening, openings_of, progress, runs_of
from hypercl.sweep.study.record import SweepRecord
from hypercl.sweep.workers.planned_run import as_begun


def final_rows(record: SweepRecord) -> list[tuple[str, str]]:
    """The final step as a row of a name and a sentence; none before test data is opened."""
    openings = openings_of(record.attributes)
    if not openings:
        return []
    times = f", the last of {len(openings)} times" if len(openings) > 1 else ""
    return [("final step", f"test data was opened at {openings[-1].when}{times}; {_stands(record, openings[-1])}")]


def final_is_open(record: SweepRecord) -> bool:
    """Whether test data was opened and the final step is not finished."""
    openings = openings_of(record.attributes)
    return bool(openings) and not openings[-1].finished


def _stands(record: SweepRecord, opening: Opening) -> str:
    if opening.finished:
        return f"finished at {opening.finished}"
    return progress(as_begun(runs_of(record.asked, opening, record.folder)))
