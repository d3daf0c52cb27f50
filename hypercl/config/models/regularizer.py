"""`method.regularizer`: what a hypernetwork keeps of earlier tasks, and how it is computed."""

from typing import Literal

from pydantic import model_validator

from hypercl.config.models.section import Count, Flag, NotNegative, Section


class Regularizer(Section):
    """The output regulariser: (1/|S|) sum over earlier tasks j in S of |h(e_j, theta + dtheta) - h(e_j*, theta*)|^2.

    Source: von Oswald et al. (2020).
    """

    kind: Literal["output", "value_preserving", "first_order", "ewc"] = "output"
    """What is kept: `output`, the generated weights as they were before the task. `value_preserving` keeps them from
    moving in the look-ahead step, |h(e_j, theta + dtheta) - h(e_j, theta)|^2, and `first_order` does so to first order
    in dtheta, by a Jacobian-vector product: neither has a reference from before the task, and both need
    `backpropagate_lookahead` or `proximal`, since at a constant step they hardly change with theta. `ewc` keeps theta
    itself, 1/2 sum_j F_j (theta - theta_j)^2 with the Fisher information of each earlier task, at theta without
    look-ahead. Source: the code of von Oswald et al. (2020)."""
    form: Literal["auto", "gram", "direct"] = "auto"
    """How it is computed: `direct` generates the earlier tasks' weights at each step, `gram` gets the same value and
    gradient, up to rounding, from products of the hypernetwork's last layer and its inputs, without generating them.
    `auto` takes at each task the one that costs less on the device: on a GPU by a short measurement of it, which is
    kept in `~/.cache/hypercl/devices`. Other kinds than output, importance and task_factors have the direct form
    alone."""
    tasks: Count | None = None
    """Earlier tasks compared at each step, drawn without replacement; null compares all. S is then these tasks."""
    pairs: Count | None = None
    """Pairs of an earlier task and a chunk compared at each step, drawn without replacement and scaled to stand
    for all: an unbiased estimate of the whole sum at the same cost for any number of tasks. Null compares all."""
    mask_heads: Flag = True
    """With per-task heads, leave out the heads that an earlier task does not use."""

    importance: Literal["equal", "fisher"] = "equal"
    """Weights count equally, or each by its diagonal Fisher information on its task's data, taken at the task's end
    and kept for each task and weight. Fisher information is small where a task is learned well: beta is then larger by
    orders of magnitude."""
    task_factors: tuple[NotNegative, ...] = ()
    """A factor of each earlier task's part of the sum, in the order of the stream; empty: 1 for all."""
    fisher_labels: Literal["predicted", "given"] = "predicted"
    """Labels of the squared gradients: the network's predictions, or the data's labels (the empirical Fisher)."""
    fisher_samples: Count | None = None
    """Training samples of a task from which its Fisher information is estimated; null takes all."""

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

    @model_validator(mode="after")
    def _has_the_form(self) -> "Regularizer":
        if (why := self.direct_alone) is None:
            return self
        if self.form == "gram":
            raise ValueError(f"form gram cannot compute {why}: use form auto or direct")
        if self.pairs is not None:
            raise ValueError(f"pairs {self.pairs} need form gram, which cannot compute {why}: use tasks")
        return self

    @model_validator(mode="after")
    def _has_an_effect(self) -> "Regularizer":
        idle: dict[str, bool] = {}
        if self.kind == "ewc":
            idle = {"tasks": self.tasks is not None, "importance": self.importance != "equal"}
            idle |= {"mask_heads": not self.mask_heads}
        elif self.importance == "equal":
            idle = {"fisher_labels": self.fisher_labels != "predicted", "fisher_samples": bool(self.fisher_samples)}
        for key, given in idle.items():
            if given:
                why = "kind ewc, which keeps theta" if self.kind == "ewc" else "importance equal"
                raise ValueError(f"{key} {getattr(self, key)} would have no effect with {why}: leave it out")
        return self

    @property
    def direct_alone(self) -> str | None:
        """What only the direct form can compute; None where the Gram form can compute all."""
        if self.kind != "output":
            return f"kind {self.kind}"
        if self.importance != "equal":
            return f"importance {self.importance}"
        return "task_factors" if self.task_factors else None

    @property
    def of_step(self) -> bool:
        """Whether it is a function of the look-ahead step."""
        return self.kind in ("value_preserving", "first_order")

    @property
    def reads_fisher(self) -> bool:
        """Whether the Fisher information of each task is taken at its end."""
        return self.kind == "ewc" or self.importance == "fisher"


class Proximal(Section):
    """From the second task on, a step of theta is found by several steps: from 0, they minimise the loss and beta times
    the regulariser at theta + change, and the size of the change.

    Source: the code of von Oswald et al. (2020).
    """

    steps: Count = 5
    """Steps on one batch, each at the cost of an ordinary one; the task embedding takes one step after them."""
    weight: NotNegative = 1.0
    """Factor of the norm of the change, which is not squared."""
