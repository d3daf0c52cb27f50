"""`experiment`: one run, complete on its own."""

from pydantic import model_validator

from hypercl.config.hypernet import AnyHypernet, ChunkedHypernet
from hypercl.config.method import Hnet, Method, Scratch
from hypercl.config.section import Section
from hypercl.config.target import MLP, Target
from hypercl.config.tasks import Tasks
from hypercl.config.training import Training


class Experiment(Section):
    """A stream of tasks, a target network, its hypernetwork, a method, and how to train."""

    tasks: Tasks  # pyright: ignore[reportInvalidTypeForm]
    """The stream of tasks: the one thing without a default."""
    target: Target = MLP()  # pyright: ignore[reportInvalidTypeForm]
    """The network whose weights are generated."""
    hypernet: AnyHypernet = ChunkedHypernet()  # pyright: ignore[reportInvalidTypeForm]
    """The network that generates them."""
    method: Method = Hnet()  # pyright: ignore[reportInvalidTypeForm]
    """How a learner meets a new task."""
    training: Training = Training()
    """How long, with what optimiser, on what."""

    @model_validator(mode="after")
    def _nothing_before(self) -> "Experiment":
        if self.hypernet.embedding_init == "previous" and isinstance(self.method, Scratch):
            raise ValueError(
                "hypernet.embedding_init previous has no meaning with method scratch: a new hypernetwork has learned "
                "no embedding; use normal"
            )
        return self

    @model_validator(mode="after")
    def _more_than_one_sample(self) -> "Experiment":
        if isinstance(self.target, MLP) and self.target.batch_norm and self.training.batch_size == 1:
            raise ValueError("target.batch_norm needs a training.batch_size of at least 2: one sample has no variance")
        return self
