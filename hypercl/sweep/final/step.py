"""The final step: the best settings and the experiment as written, retrained on fresh seeds. Test data is opened
here and only here.

What was decided stands in the study (`hypercl.sweep.final.selection`), what was trained in the folders of the runs: the
same command resumes an interrupted final step, and prints the result of a finished one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hypercl.analysis import About, FinalResult, Reported, counterpart, read_final, with_later, write_final
from hypercl.config import Experiment, SweepFile, UserError
from hypercl.files import write_bytes
from hypercl.formatting import shown, typed
from hypercl.sweep.final.selection import (
    FOLDER,
    FinalSelection,
    best_first,
    choice,
    current_selection,
    progress,
    runs_of,
    selections_of,
    write_selections,
)
from hypercl.sweep.final.status import later_in_words, of_search
from hypercl.sweep.options import FinalMode
from hypercl.sweep.study import SweepStudy, protocol_in_words
from hypercl.sweep.workers import PlannedRun, RanRun, as_begun

if TYPE_CHECKING:
    from hypercl.sweep.workers import RunSession

_GONE = "its folder is gone"


@dataclass(frozen=True)
class FinalStep:
    """The final step of a sweep, in one session.

    Every method reads the study and the folders again.
    """

    study: SweepStudy
    mode: FinalMode

    @property
    def openings(self) -> list[FinalSelection]:
        """Those in the study, in order."""
        return selections_of(self.study.optuna.user_attrs)

    @property
    def folder(self) -> Path:
        """The sweep's results."""
        return self.study.folder

    @property
    def asked(self) -> SweepFile:
        """The sweep's file as written."""
        return self.study.asked

    @property
    def due(self) -> bool:
        """Whether something remains to be trained, as far as a person wants it."""
        last = self._last
        if last is not None and not last.finished:
            return self.mode != "no"
        begins = self.mode == "again" or (last is None and self.mode in ("after the search", "alone"))
        return begins and bool(best_first(self.study.record()))

    @property
    def progress(self) -> str:
        """How much of the last opening is done, in words."""
        last = self._last
        if last is None:
            return "not begun"
        return progress(self._runs(last))

    @property
    def result(self) -> FinalResult | None:
        """The result of the last opening; None until it is finished.

        Raises:
            UserError: neither what was written of it nor any of its runs is there any more.
        """
        last = self._last
        if last is None or not last.finished:
            return None
        try:
            found = read_final(self.folder / FOLDER)
        except UserError:
            found = None
        if found is None:
            left = _as_left(self._runs(last))
            if all(one.why == _GONE for one in left):
                raise UserError(
                    f"{self.folder / FOLDER}: the runs of the final step are gone\n    fix:     put them back from a "
                    f"copy; or hypercl final {shown(self.folder)} --again opens test data once more"
                )
            found = self._write(last, left)
        return with_later(self.folder / FOLDER, found, later_in_words(self.study.record(), last))

    def go(self, session: "RunSession", check: Callable[[Experiment], object]) -> None:
        """Opens test data, or resumes an opening, until every run is done or lost or the session ends.

        Args:
            session: what trains runs.
            check: raises a UserError for an experiment whose networks cannot be built.
        """
        say = session.listener.said
        opening = self._last
        if opening is None or opening.finished:
            opening = self._open(session.slots.concurrent, check)
            say(f"final step: {self._opened_in_words(opening)}")
        else:
            say(f"final step: resuming the one opened at {opening.when}: {self.progress}")
        from hypercl.sweep.workers import train_all

        ran = train_all(self._runs(opening), session)
        if not all(one.ended for one in ran):
            return
        finished = datetime.now(UTC).isoformat("T", "seconds")
        self._write(opening, ran)
        write_selections(self.study, [*self.openings[:-1], replace(opening, finished=finished)])

    def said(self, data: str = "") -> list[str]:
        """How the final step stands, in lines; `data` is the option that a command for it needs (`data_option`)."""
        last, result = self._last, self.result
        if last is None:
            if self.mode in ("no", "when asked") and best_first(self.study.record()):
                return [f"No final step yet: test data stays closed until hypercl final {typed(self.folder)}{data}"]
            return []
        lines = [] if result is None else [result.sentence, result.optimism, _beware(result)]
        table = shown(self.folder / FOLDER / "final.md")
        lines.append(f"Final step{of_search(last)}: {self.progress if result is None else table}")
        if len(self.openings) > 1:
            moments = ", ".join(one.when for one in self.openings)
            lines.append(f"Test data was opened {len(self.openings)} times: {moments}")
        return [line for line in (*lines, later_in_words(self.study.record(), last)) if line]

    @property
    def _last(self) -> FinalSelection | None:
        openings = self.openings
        return openings[-1] if openings else None

    def _runs(self, opening: FinalSelection) -> list[PlannedRun]:
        return as_begun(runs_of(self.asked, opening, self.folder))

    def _open(self, concurrent: int, check: Callable[[Experiment], object]) -> FinalSelection:
        record = self.study.record()
        opening = current_selection(record, choice(record), concurrent)
        for run in self._runs(opening):
            try:
                check(run.experiment)
            except UserError as error:
                text = f"the final step cannot train {run.label} on what is reported on; test data stays closed"
                raise UserError(f"{text}: {error}") from None
        self._keep_tables()
        write_selections(self.study, [*self.openings, opening])
        return opening

    def _keep_tables(self) -> None:
        """Those of an earlier opening, in a folder of its own: the new ones take their place."""
        count = len(self.openings)
        for path in sorted((self.folder / FOLDER).glob("final.*")) if count else ():
            write_bytes(self.folder / FOLDER / f"opening-{count}" / path.name, path.read_bytes())

    def _opened_in_words(self, opening: FinalSelection) -> str:
        settings = ", ".join([*(one.label for one in opening.chosen), *opening.references])
        seeds = f"{len(opening.seeds)} fresh seeds ({opening.seeds[0]}-{opening.seeds[-1]})"
        again = f" once more, {len(self.openings)} times in all" if len(self.openings) > 1 else ""
        return f"test data is opened{again}: {settings} on {seeds} in {len(self._runs(opening))} runs"

    def _write(self, opening: FinalSelection, ran: Sequence[RanRun]) -> FinalResult:
        """Tables and sentences, into `final/`."""
        labels = {one.label: one for one in opening.chosen}
        reported: list[Reported] = []
        for label in [*labels, *opening.references]:
            own = [one for one in ran if one.run.label == label]
            chosen = labels.get(label)
            reported.append(
                Reported(
                    label,
                    chosen.settings if chosen else {},
                    chosen.promised if chosen else None,
                    [one.summary for one in own if one.summary is not None],
                    [(seed, one.why) for one in own if one.summary is None for seed in one.run.seeds],
                    chosen.interval if chosen else None,
                )
            )
        return write_final(self.folder / FOLDER, reported, self._about(opening, ran))

    def _about(self, opening: FinalSelection, ran: Sequence[RanRun]) -> About:
        hardware = {one.summary.hardware for one in ran if one.summary is not None} - {""}
        return About(
            name=self.folder.name,
            protocol=self.asked.protocol.name,
            described=protocol_in_words(self.asked),
            goals=self.asked.objective.goals,
            opened=len(self.openings),
            first_opened=self.openings[0].when if self.openings else None,
            cost=opening.cost,
            earlier=opening.earlier,
            hardware=", ".join(sorted(hardware)) or "unknown hardware",
            promised_seeds=self.study.file.experiment.training.replicas,
            promised_at="" if self.study.record().deciding_race else self.asked.at_fidelity,
        )


def _as_left(runs: Sequence[PlannedRun]) -> list[RanRun]:
    """Runs of a step that is finished."""
    found = [RanRun(run, run.summary, run.lost) for run in runs]
    return [one if one.ended else replace(one, why=_GONE) for one in found]


def _beware(result: FinalResult) -> str:
    """Where the setting as written came out better: that best.yaml does not follow test data; '' elsewhere."""
    best, *_ = result.content["settings"]
    key = counterpart(result.content["goals"][0]["metric"])
    difference = best["metrics"][key]["difference"]
    raised = result.content["goals"][0]["direction"] == "maximize"
    if difference is None or (difference["mean"] >= 0) == raised:
        return ""
    return (
        "The setting as written came out better on test data. best.yaml stays the search's best: for a setting that is "
        "chosen by test data, none would be left to measure it on"
    )
