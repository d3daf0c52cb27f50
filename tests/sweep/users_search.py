"""Parts of a search as a user might write them."""

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class Near(optuna.samplers.BaseSampler):
    """Draws at random; a number half way to the best one so far."""

    def __init__(self, seed: int = 0, share: float = 0.5) -> None:
        self.random, self.share = optuna.samplers.RandomSampler(seed=seed), share

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict) -> dict:
        return {}

    def sample_independent(self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution):
        drawn = self.random.sample_independent(study, trial, name, distribution)
        complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        done = [trial for trial in complete if name in trial.params]
        if not done or not isinstance(drawn, float):
            return drawn
        return self.share * max(done, key=lambda trial: trial.values[0]).params[name] + (1 - self.share) * drawn


class Failing(Near):
    def sample_independent(self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution):
        raise RuntimeError("no idea")


class Lowest(optuna.pruners.BasePruner):
    """Prunes what is lower than all others at its step."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        trials = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        others = [other.intermediate_values[step] for other in trials if step in other.intermediate_values]
        return len(others) > 1 and trial.intermediate_values[step] < min(others)


def number() -> int:
    return 3
