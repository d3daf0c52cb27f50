"""The contract of a logger: inherit `LoggerContract`, build the logger, and read back what it has put down."""

from abc import ABC, abstractmethod
from pathlib import Path

from hypercl.config.models import Logging
from hypercl.loggers import JsonLines, Logger, Loggers, LoggerSpec
from hypercl.testing.logged_run import finished, reports, resumed, started
from hypercl.training import Progress, Tick


class LoggerContract(ABC):
    """Tests of every logger, on made reports: no row is put down twice and none is missing, however a run ended.

    Example:
        class TestMine(LoggerContract):
            def logger(self, folder):
                return MyLogger(self.spec(folder), folder, address="...")

            def written(self, folder):
                return [...]
    """

    @abstractmethod
    def logger(self, folder: Path) -> Logger:
        """The logger of a run in a folder."""

    @abstractmethod
    def written(self, folder: Path) -> list[int]:
        """The iterations that the loggers of this folder have put down, in order."""

    def spec(self, folder: Path) -> LoggerSpec:
        """What a run by itself tells its loggers."""
        return LoggerSpec(Logging(), "disabled", None, "run-1", "a run", "run", folder.parent)

    def expected(self, count: int) -> list[int]:
        """What `written` gives after the first `count` reports."""
        return [int(row["iteration"]) for report in reports()[:count] for row in report.rows]

    def heard(self, folder: Path, *items: Progress) -> Loggers:
        """A new logger that has heard items, after metrics.jsonl, as in a run."""
        logger = self.logger(folder)
        loggers = Loggers([logger] if isinstance(logger, JsonLines) else [JsonLines(folder), logger])
        for item in items:
            loggers.hear(item)
        return loggers

    def test_a_whole_run_is_put_down(self, tmp_path: Path) -> None:
        self.heard(tmp_path, started(tmp_path), Tick(0, 1, 1), *reports(), finished(tmp_path)).close("finished")
        assert self.written(tmp_path) == self.expected(6)

    def test_an_interrupted_and_resumed_run_holds_no_row_twice_and_lacks_none(self, tmp_path: Path) -> None:
        self.heard(tmp_path, started(tmp_path), *reports()[:3]).close("interrupted")
        self.heard(tmp_path, started(tmp_path, 3), *resumed(3), finished(tmp_path)).close("finished")
        assert self.written(tmp_path) == self.expected(6)

    def test_so_does_a_run_that_was_killed(self, tmp_path: Path) -> None:
        self.heard(tmp_path, started(tmp_path), *reports()[:3])
        self.heard(tmp_path, started(tmp_path, 3), *resumed(3), finished(tmp_path)).close("finished")
        assert self.written(tmp_path) == self.expected(6)

    def test_so_does_a_run_that_goes_on_from_an_older_checkpoint(self, tmp_path: Path) -> None:
        self.heard(tmp_path, started(tmp_path), *reports()[:4]).close("failed")
        self.heard(tmp_path, started(tmp_path, 1), *resumed(1), finished(tmp_path)).close("finished")
        assert self.written(tmp_path) == self.expected(6)

    def test_a_stopped_run_keeps_what_it_told(self, tmp_path: Path) -> None:
        self.heard(tmp_path, started(tmp_path), *reports()[:3]).close("stopped")
        assert self.written(tmp_path) == self.expected(3)

    def test_closing_twice_is_closing_once(self, tmp_path: Path) -> None:
        loggers = self.heard(tmp_path, started(tmp_path), *reports()[:2])
        loggers.close("failed")
        loggers.close("failed")
        assert self.written(tmp_path) == self.expected(2)

    def test_a_logger_that_never_heard_a_start_can_be_closed(self, tmp_path: Path) -> None:
        self.heard(tmp_path).close("failed")
        assert self.written(tmp_path) == []
