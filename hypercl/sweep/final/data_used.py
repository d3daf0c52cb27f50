"""Which data a sweep has touched, and for what: the record that a fair claim rests on."""

from hypercl.config import Experiment, SweepFile
from hypercl.sweep.final.by_train import by_train_rows
from hypercl.sweep.final.selection import FinalSelection, selections_of
from hypercl.sweep.final.status import since_final
from hypercl.sweep.study import (
    StudyRecord,
    final_config,
    has_orders,
    kept_earlier,
    leaks,
    protocol_in_words,
    race_config,
)


def data_used_rows(record: StudyRecord) -> list[tuple[str, str]]:
    """The protocol, and the splits, tasks, seeds and orders of search, selection and final step: names and sentences.

    What was done stands in the study's user attributes `race` and `final`, what the search trains on in the file.
    """
    rows = [("protocol", protocol_in_words(record.asked)), ("search", _search(record.asked, record.file))]
    rows += [("its sampler knew", one.in_words) for one in kept_earlier(record.folder)]
    if record.file.search.race is not None or record.races:
        rows.append(("selection", _selection(record)))
    openings = selections_of(record.attributes)
    rows += [("final step", _final(record.asked, opening)) for opening in openings]
    rows += [("later", later)] if (later := since_final(record)) else []
    beside = by_train_rows(record.folder)
    if not openings:
        unread = "" if leaks(record.asked) or beside else "; no test data has been opened"
        rows.append(("final step", f"none yet{unread}"))
    return rows + beside


def _search(asked: SweepFile, file: SweepFile) -> str:
    training = file.experiment.training
    seeds = _from_to("seed", training.seed, training.seed + training.replicas - 1)
    order = getattr(file.experiment.tasks, "order_seed", None)
    order = "" if order is None else f", order {order}"
    return f"{_data(asked)} of {_tasks(file.experiment)}; {seeds}{order}{file.at_fidelity and f';{file.at_fidelity}'}"


def _selection(record: StudyRecord) -> str:
    """The confirming stage, or races: further seeds, on what the search has."""
    count = max((race.start + len(values) for race in record.races for values in race.values.values()), default=0)
    if not count:
        return "nothing has been compared on further seeds yet"
    first = race_config(record.asked, {}, 0, 1)
    seeds = _from_to("seed", first.training.seed, first.training.seed + count - 1)
    own = ", each with an order of its own" if has_orders(record.file.experiment) else ""
    tasks = "the same tasks" if first.tasks.num_tasks == record.file.experiment.tasks.num_tasks else _tasks(first)
    return f"{_data(record.asked)} of {tasks}; {seeds}{own}{', at full length' if record.file.at_fidelity else ''}"


def _final(asked: SweepFile, opening: FinalSelection) -> str:
    reported = final_config(asked, {}, opening.start)
    own = ", each with an order of its own" if opening.orders else ""
    seeds = _from_to("seed", opening.seeds[0], opening.seeds[-1])
    text = f"train, validation and test data of {_tasks(reported)}; {seeds}{own}; test data opened at {opening.when}, "
    text += f"after {opening.trained} trained trials, for {len(opening.chosen)} settings"
    return text + ("" if opening.finished else "; not finished: hypercl final resumes it")


def _data(asked: SweepFile) -> str:
    return "train data, and TEST DATA in the place of validation data," if leaks(asked) else "train and validation data"


def _tasks(experiment: Experiment) -> str:
    tasks = experiment.tasks
    if tasks.num_tasks is None:
        return f"every task of {tasks.name}"
    return f"{_from_to('task', tasks.skip + 1, tasks.skip + tasks.num_tasks)} of {tasks.name}"


def _from_to(what: str, first: int, last: int) -> str:
    """'seed 42' or 'seeds 42 to 44'."""
    return f"{what} {first}" if first == last else f"{what}s {first} to {last}"
