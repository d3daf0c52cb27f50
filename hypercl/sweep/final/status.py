"""How far a final step is, for who only reads: no torch, no ray."""

from hypercl.analysis import label_in_words
from hypercl.formatting import typed
from hypercl.sweep.final.by_train import by_train_rows
from hypercl.sweep.final.selection import FinalSelection, progress, runs_of, selections_of
from hypercl.sweep.study import StudyRecord
from hypercl.sweep.workers import as_begun


def final_rows(record: StudyRecord) -> list[tuple[str, str]]:
    """Openings of test data, by the final step and beside it, as rows of a name and a sentence."""
    openings, beside = selections_of(record.attributes), by_train_rows(record.folder)
    if not openings:
        return beside
    times = f", the last of {len(openings)} times" if len(openings) > 1 else ""
    last = openings[-1]
    text = f"test data was opened at {last.when}{times}, {of_search(last).strip()}; {_stands(record, last)}"
    return [("final step", "; ".join(filter(None, (text, later_in_words(record, last))))), *beside]


def of_search(opening: FinalSelection) -> str:
    """' after 20 trials': the state of the search that a final result belongs to."""
    return f" after {opening.trained} trial{'s' * (opening.trained != 1)}"


def since_final(record: StudyRecord) -> str:
    """As `later_in_words`, of the last opening; '' where there was none."""
    openings = selections_of(record.attributes)
    return later_in_words(record, openings[-1]) if openings else ""


def later_in_words(record: StudyRecord, opening: FinalSelection) -> str:
    """How far the search went on after an opening, whether its best is another one now, and how to renew the final
    result; '' where it did not."""
    more, best = record.trained - opening.trained, record.best()
    if more <= 0:
        return ""
    text = f"{more} more trial{'s were' if more > 1 else ' was'} trained since"
    if best is None or best.number == opening.chosen[0].trial:
        return f"{text}, and the best is still the same"
    before = label_in_words(opening.chosen[0].label)
    return (
        f"{text}, and the best is now trial {best.number}, not {before}: to measure it, "
        f"hypercl final {typed(record.folder)} --again opens test data once more, which every output then says"
    )


def final_is_open(record: StudyRecord) -> bool:
    """Whether test data was opened and the final step is not finished."""
    openings = selections_of(record.attributes)
    return bool(openings) and not openings[-1].finished


def _stands(record: StudyRecord, opening: FinalSelection) -> str:
    if opening.finished:
        return f"finished at {opening.finished}"
    return progress(as_begun(runs_of(record.asked, opening, record.folder)))
