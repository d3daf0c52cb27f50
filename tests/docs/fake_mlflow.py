"""As much of MLflow as the example of a logger uses."""

from collections import defaultdict
from dataclasses import dataclass, field
from types import SimpleNamespace


@dataclass
class Metric:
    key: str
    value: float
    timestamp: int
    step: int


@dataclass
class Run:
    tags: dict[str, str]
    metrics: dict[str, list[Metric]] = field(default_factory=lambda: defaultdict(list))
    status: str = "RUNNING"


runs: list[Run] = []


def set_tracking_uri(_uri: str) -> None:
    pass


def set_experiment(_name: str) -> SimpleNamespace:
    return SimpleNamespace(experiment_id="1")


class MlflowClient:
    def create_run(self, experiment_id: str, run_name: str, tags: dict[str, str]) -> SimpleNamespace:
        runs.append(Run(tags))
        return SimpleNamespace(info=SimpleNamespace(run_id=str(len(runs) - 1)))

    def get_run(self, run_id: str) -> SimpleNamespace:
        last = {key: metrics[-1].value for key, metrics in runs[int(run_id)].metrics.items()}
        return SimpleNamespace(data=SimpleNamespace(metrics=last))

    def log_batch(self, run_id: str, metrics: list[Metric]) -> None:
        for metric in metrics:
            runs[int(run_id)].metrics[metric.key].append(metric)

    def log_metric(self, run_id: str, key: str, value: float, step: int) -> None:
        self.log_batch(run_id, [Metric(key, value, 0, step)])

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        return runs[int(run_id)].metrics[key]

    def set_terminated(self, run_id: str, status: str) -> None:
        runs[int(run_id)].status = status
