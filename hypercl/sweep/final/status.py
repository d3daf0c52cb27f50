"""How far a final step is, for who only reads: no torch, no ray."""

from hypercl.sweep.final.selection import FinalSelection, progress, runs_of, selections_of
from hypercl.sweep.study import StudyRecord
from hypercl.sweep.workers import as_begun


def final_rows(record: StudyRecord) -> list[tuple[str, str]]:
    """The final step as a row of a name and a sentence; none before test data is opened."""
    openings = selections_of(record.attributes)
    if not openings:
        return []
    times = f", the last of {len(openings)} times" if len(openings) > 1 else ""
    return [("final step", f"test data was opened at {openings[-1].when}{times}; {_stands(record, openings[-1])}")]


def final_is_open(record: StudyRecord) -> bool:
    """Whether test data was opened and the final step is not finished."""
    openings = selections_of(record.attributes)
    return bool(openings) and not openings[-1].finished


def _stands(record: StudyRecord, opening: FinalSelection) -> str:
    if opening.finished:
        return f"finished at {opening.finished}"
    return progress(as_begun(runs_of(record.asked, opening, record.folder)))
