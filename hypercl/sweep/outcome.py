"""How a trial ended: decided and written first, told to the study second."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["complete", "pruned", "infeasible", "diverged", "out_of_memory", "failed"]

TRAINED: tuple[Kind, ...] = ("complete", "pruned", "diverged", "out_of_memory")
"""What counts towards `search.trials`: a suggestion out of bounds cost nothing, a failure is not the setting's."""


@dataclass(frozen=True)
class Outcome:
    """The end of a trial. It stands in the study's journal before the trial is told, so that a killed driver's
    decision is carried out by the next one."""

    kind: Kind
    why: str = ""
    """A sentence for people; of a complete trial only on replicas that diverged."""
    value: float | None = None
    """The objective, of a complete trial."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Final metrics by their keys, such as `validation/forgetting`."""
    seconds: float | None = None
    """Seconds of training, over all restarts."""

    def plain(self) -> dict[str, Any]:
        """As it is stored in the journal."""
        return asdict(self)
