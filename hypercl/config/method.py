"""`method`: how a learner meets a new task."""

from typing import Literal

from pydantic import model_validator

from hypercl.config.kinds import kinds
from hypercl.config.section import Count, Flag, NotNegative, Section


class Regularizer(Section):
    """The output regulariser: (1/|S|) sum over earlier tasks j in S of |h(e_j, theta + dtheta) - h(e_j*, theta*)|^2.

    Source: von Oswald et al. (2020).
    """

    form: Literal["auto", "gram", "direct"] = "auto"
    """How it is computed: `direct` generates the earlier tasks' weights at each step, `gram` gets the same value and
    gradient, up to rounding, from products of the hypernetwork's last layer and its inputs, without generating them.
    `auto` takes at each task the one that costs less."""
    tasks: Count | None = None
    """Earlier tasks compared at each step, drawn anew without replacement; null compares all. S is then these tasks."""
    pairs: Count | None = None
    """Pairs of an earlier task and a chunk compared at each step, drawn anew without replacement and scaled to stand
    for all: an unbiased estimate of the whole sum at the same cost for any number of tasks. Null compares all."""
    mask_heads: Flag = True
    """With one head a task, leave out the heads that an earlier task does not use."""

    @model_validator(mode="after")
    def _one_subset(self) -> "Regularizer":
        if self.pairs is not None and self.tasks is not None:
            raise ValueError(f"give tasks ({self.tasks}) or pairs ({self.pairs}), not both: each says what is compared")
        if self.pairs is not None and self.form == "direct":
            raise ValueError(
                f"pairs {self.pairs} cannot be compared in the direct form, which generates whole tasks: use form auto "
                "or gram, or tasks instead of pairs"
            )
        return self


class Hnet(Section):
    """A task-conditioned hypernetwork whose outputs for earlier embeddings are held fixed."""

    name: Literal["hnet"] = "hnet"
    beta: NotNegative = 0.01
    """Weight of the output regulariser. Source: von Oswald et al. (2020), Split MNIST."""
    lookahead: Flag = True
    """Evaluate the regulariser where the optimiser would go on the task's gradient alone.

    Source: von Oswald et al. (2020).
    """
    train_earlier_embeddings: Flag = False
    """Embeddings of earlier tasks go on being trained, on the regulariser alone, so that they follow the hypernetwork;
    its look-ahead then includes their own drift."""
    regularizer: Regularizer = Regularizer()
    """What the regulariser compares, always without noise and dropout: what is kept is the network that predicts."""

    @model_validator(mode="after")
    def _earlier_need_beta(self) -> "Hnet":
        if self.train_earlier_embeddings and not self.beta:
            raise ValueError("train_earlier_embeddings would do nothing with beta 0: earlier ones feel the regulariser")
        return self


class Finetune(Section):
    """The same hypernetwork without protection (beta 0): what forgetting looks like."""

    name: Literal["finetune"] = "finetune"


class Scratch(Section):
    """A new hypernetwork for each task: what a task reaches without its past."""

    name: Literal["scratch"] = "scratch"


class Joint(Section):
    """All tasks met so far are trained together, one batch of each a step: the upper reference."""

    name: Literal["joint"] = "joint"


Method = kinds(Hnet, Finetune, Scratch, Joint, default=Hnet)
