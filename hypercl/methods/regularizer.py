"""The regulariser of a hypernetwork of any kind, in the form that costs least."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hypercl.config.models import Regularizer
from hypercl.hypernets import (
    CompositeHypernetwork,
    Hypernetwork,
    Part,
    SelfAttentionHypernetwork,
    SharedWeights,
    tensors_of_part,
)
from hypercl.methods.theta import ThetaForm
from hypercl.regularizers import (
    DirectAnchor,
    DirectForm,
    FirstOrder,
    GeneratedForm,
    GramAnchor,
    GramForm,
    HeadMask,
    Point,
    Quadratic,
    SharedAnchor,
    SharedForm,
    StepAnchor,
    StepForm,
    Strength,
    ValuePreserving,
    cheaper_form,
)
from hypercl.tensors import Tensors, add_all_

AnyGenerating = Hypernetwork | CompositeHypernetwork | SelfAttentionHypernetwork


class CheaperForm:
    """The Gram form or the direct one of a hypernetwork with a linear head, as `form` of a config says."""

    def __init__(
        self, hypernet: Hypernetwork, mask: HeadMask | None, config: Regularizer, recorded: bool = False
    ) -> None:
        self.config, self.recorded = config, recorded
        self.direct = DirectForm(hypernet, mask, store=config.tasks is None)
        self.gram = GramForm(hypernet, mask)

    def anchor(self, theta: Tensors, embeddings: Tensor, importance: Tensor | None = None) -> GramAnchor | DirectAnchor:
        """As `DirectForm.anchor`, of the form that is chosen for this number of tasks."""
        replicas = len(embeddings) if embeddings.ndim > 2 else 1
        if self.form(embeddings.shape[-2], embeddings.device, replicas) == "gram":
            return self.gram.anchor(theta, embeddings)
        return self.direct.anchor(theta, embeddings, importance)

    def add_gradient_(
        self, gradient: Tensors, theta: Tensors, anchor: GramAnchor | DirectAnchor, strength: Strength, **subset: Any
    ) -> Tensor:
        """As `OutputRegularizer.add_gradient_`."""
        form: Any = self.gram if isinstance(anchor, GramAnchor) else self.direct
        return form.add_gradient_(gradient, theta, anchor, strength, **subset)

    def form(self, task: int, device: torch.device, replicas: int = 1) -> str:
        """The form of the regulariser during a task, on a device."""
        config = self.config
        if config.direct_alone is not None:
            return "direct"
        if config.form != "auto":
            return config.form
        if config.pairs is not None and config.pairs < self.gram.num_pairs(task):
            return "gram"
        return cheaper_form(self.gram.sizes(min(task, config.tasks or task)), device, self.recorded, replicas)


@dataclass(frozen=True)
class CompositeAnchor:
    """An anchor of each part."""

    parts: Sequence[GramAnchor | DirectAnchor | SharedAnchor]

    def of_replica(self, index: int) -> "CompositeAnchor":
        return CompositeAnchor([part.of_replica(index) for part in self.parts])


class CompositeForm:
    """R of a hypernetwork of several parts: the sum of theirs, since each generates other weights.

    Each part has the form that costs less for it, shared weights one of their own. Weights that are frozen or a
    task's own stay as they are.
    """

    def __init__(
        self, hypernet: CompositeHypernetwork, mask: HeadMask | None, config: Regularizer, recorded: bool = False
    ) -> None:
        self.parts: list[tuple[int, Part, CheaperForm | GeneratedForm | SharedForm]] = []
        for number, part in enumerate(hypernet.parts):
            if isinstance(part.net, Hypernetwork | SelfAttentionHypernetwork):
                own = None if mask is None else mask.of(part.weights, hypernet.num_weights)
                self.parts.append((number, part, _of_outputs(part.net, own, config, recorded)))

    def anchor(self, theta: Tensors, embeddings: Tensor, importance: Tensor | None = None) -> CompositeAnchor:
        """As `DirectForm.anchor`."""
        anchors: list[GramAnchor | DirectAnchor | SharedAnchor] = []
        for number, part, form in self.parts:
            own = part.of(importance) if importance is not None and importance.shape[-1] > 1 else importance
            anchors.append(form.anchor(tensors_of_part(number, theta), embeddings[..., part.columns], own))
        return CompositeAnchor(anchors)

    def add_gradient_(
        self,
        gradient: Tensors,
        theta: Tensors,
        anchor: CompositeAnchor,
        strength: Strength,
        tasks: Tensor | None = None,
        embeddings: Tensor | None = None,
    ) -> Tensor:
        """As `OutputRegularizer.add_gradient_`."""
        values: list[Tensor] = []
        for (number, part, form), before in zip(self.parts, anchor.parts, strict=True):
            into, at = tensors_of_part(number, gradient), None
            if embeddings is not None:
                at = embeddings[..., part.columns]
                into["embeddings"] = gradient["embeddings"][..., part.columns]
            own = tensors_of_part(number, theta)
            add_gradient_: Any = form.add_gradient_
            values.append(add_gradient_(into, own, before, strength, tasks=tasks, embeddings=at))
        return torch.stack(values).sum(0)


@dataclass(frozen=True)
class Step:
    """A step, mostly a look-ahead: R is evaluated where it leads to."""

    origin: Point
    ahead: Point
    gradient: Tensors | None = None
    """If not None, beta times R's gradient with respect to the step of theta is added to it."""

    def of_replica(self, index: int) -> "Step":
        origin, ahead = (
            Point(of_replica(index, point.theta), None if point.embeddings is None else point.embeddings[index])
            for point in (self.origin, self.ahead)
        )
        return Step(origin, ahead, None if self.gradient is None else of_replica(index, self.gradient))


def of_replica(index: int, tensors: Tensors) -> Tensors:
    """A replica's part of tensors by name."""
    return {name: value[index] for name, value in tensors.items()}


def _of_outputs(
    hypernet: Hypernetwork | SelfAttentionHypernetwork, mask: HeadMask | None, config: Regularizer, recorded: bool
) -> CheaperForm | GeneratedForm | SharedForm:
    if isinstance(hypernet, SharedWeights):
        return SharedForm(hypernet.num_weights, mask)
    if isinstance(hypernet, Hypernetwork):
        return CheaperForm(hypernet, mask, config, recorded)
    return GeneratedForm(hypernet, mask, store=config.tasks is None)


AnyForm = CheaperForm | GeneratedForm | SharedForm | CompositeForm | StepForm | ThetaForm
AnyAnchor = GramAnchor | DirectAnchor | SharedAnchor | CompositeAnchor | StepAnchor | Quadratic


def add_gradient_(
    form: AnyForm, gradient: Tensors, step: Step, anchor: AnyAnchor, strength: Strength, **subset: Tensor
) -> Tensor:
    """R of a step; adds `strength` times its gradient, at a constant step, to `gradient` in place.

    Args:
        form: the regulariser.
        gradient: by the names in theta; with embeddings of the step also `embeddings` (tasks, dim).
        step: from where to where.
        anchor: the form's, of the task.
        strength: beta; one per replica if there are several.
        subset: the compared `tasks` or `pairs`, as of the form's `add_gradient_`.
    """
    compare: Any = form.add_gradient_
    options: dict[str, Any] = {**subset, "embeddings": step.ahead.embeddings}
    if isinstance(form, StepForm):
        options |= {"origin": step.origin, "of_step": step.gradient}
    if isinstance(form, StepForm) or step.gradient is None:
        return compare(gradient, step.ahead.theta, anchor, strength, **options)
    own = {name: torch.zeros_like(value) for name, value in gradient.items()}
    value = compare(own, step.ahead.theta, anchor, strength, **options)
    for totals in (gradient, step.gradient):  # theta moves what the step leads to as much as the step does
        add_all_(list(totals.values()), [own[name] for name in totals])
    return value


_STEP_FORMS = {"value_preserving": ValuePreserving, "first_order": FirstOrder}


def build_regularizer(
    hypernet: AnyGenerating, mask: HeadMask | None, config: Regularizer, recorded: bool = False
) -> AnyForm:
    """The regulariser of a hypernetwork.

    Args:
        hypernet: the hypernetwork.
        mask: which weights count; None counts all.
        config: the section `method.regularizer`.
        recorded: whether steps on an accelerator are recorded and replayed (`training.capture`).
    """
    if config.kind == "ewc":
        return ThetaForm(hypernet.shapes)
    if config.of_step:
        return _STEP_FORMS[config.kind](hypernet, mask)
    if isinstance(hypernet, CompositeHypernetwork):
        return CompositeForm(hypernet, mask, config, recorded)
    return _of_outputs(hypernet, mask, config, recorded)
