"""What every logger must hold; inherited by the test class of each."""

from pathlib import Path

from logged_runs import finished, reports, resumed, started

from hypercl.loggers import Logger, Loggers
from hypercl.training.progress import Tick


class LoggerContract:
    """A subclass builds its logger and reads back the iterations that it has put down, in order."""

    def logger(self, folder: Path) -> Logger:
        raise NotImplementedError

    def written(self, folder: Path) -> list[int]:
        raise NotImplementedError

    def hear(self, logger: Logger, *items) -> None:
        for item in items:
            Loggers([logger]).hear(item)

    def expected(self, count: int) -> list[int]:
        """What `written` gives after the first `count` reports."""
        return [int(row["iteration"]) for report in reports()[:count] for row in report.rows]

    def test_a_whole_run_is_put_down(self, tmp_path):
        logger = self.logger(tmp_path)
        self.hear(logger, started(tmp_path), Tick(0, 1, 1), *reports(), finished(tmp_path))
        logger.close("finished")
        assert self.written(tmp_path) == self.expected(6)

    def test_an_interrupted_and_resumed_run_holds_no_row_twice_and_lacks_none(self, tmp_path):
        first = self.logger(tmp_path)
        self.hear(first, started(tmp_path), *reports()[:3])
        first.close("interrupted")
        second = self.logger(tmp_path)
        self.hear(second, started(tmp_path, after=3), *resumed(3), finished(tmp_path))
        second.close("finished")
        assert self.written(tmp_path) == self.expected(6)

    def test_a_stopped_run_keeps_what_it_told(self, tmp_path):
        logger = self.logger(tmp_path)
        self.hear(logger, started(tmp_path), *reports()[:3])
        logger.close("stopped")
        assert self.written(tmp_path) == self.expected(3)

    def test_closing_twice_is_closing_once(self, tmp_path):
        logger = self.logger(tmp_path)
        self.hear(logger, started(tmp_path), *reports()[:2])
        logger.close("failed")
        logger.close("failed")
        assert self.written(tmp_path) == self.expected(2)

    def test_a_logger_that_never_heard_a_start_can_be_closed(self, tmp_path):
        self.logger(tmp_path).close("failed")
        assert self.written(tmp_path) == []
