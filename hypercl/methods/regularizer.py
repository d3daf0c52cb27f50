"""The output regulariser of a hypernetwork of any kind, in the form that costs least."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hypercl.config.models import Regularizer
from hypercl.hypernets import CompositeHypernetwork, Hypernetwork, Part, tensors_of_part
from hypercl.regularizers import DirectAnchor, DirectForm, GramAnchor, GramForm, HeadMask, Strength, cheaper_form
from hypercl.tensors import Tensors


class CheaperForm:
    """The Gram form or the direct one of a hypernetwork with a linear head, as `form` of a config says."""

    def __init__(self, hypernet: Hypernetwork, mask: HeadMask | None, config: Regularizer) -> None:
        self.config = config
        self.direct = DirectForm(hypernet, mask, store=config.tasks is None)
        self.gram = GramForm(hypernet, mask)

    def anchor(self, theta: Tensors, embeddings: Tensor) -> GramAnchor | DirectAnchor:
        """As `OutputRegularizer.anchor`, of the form that is chosen for this number of tasks."""
        form = self.gram if self.form(embeddings.shape[-2]) == "gram" else self.direct
        return form.anchor(theta, embeddings)

    def add_gradient_(
        self, gradient: Tensors, theta: Tensors, anchor: GramAnchor | DirectAnchor, strength: Strength, **subset: Any
    ) -> Tensor:
        """As `OutputRegularizer.add_gradient_`."""
        form: Any = self.gram if isinstance(anchor, GramAnchor) else self.direct
        return form.add_gradient_(gradient, theta, anchor, strength, **subset)

    def form(self, task: int) -> str:
        """The form of the regulariser during a task."""
        config = self.config
        if config.form != "auto":
            return config.form
        if config.pairs is not None and config.pairs < self.gram.num_pairs(task):
            return "gram"
        return cheaper_form(self.gram.sizes(min(task, config.tasks or task)))


@dataclass(frozen=True)
class CompositeAnchor:
    """An anchor of each part."""

    parts: Sequence[GramAnchor | DirectAnchor]

    def of_replica(self, index: int) -> "CompositeAnchor":
        return CompositeAnchor([part.of_replica(index) for part in self.parts])


class CompositeForm:
    """R of a hypernetwork of several parts: the sum of theirs, since each generates other weights.

    Each part has the form that costs less for it. Weights that are frozen or a task's own stay as they are.
    """

    def __init__(self, hypernet: CompositeHypernetwork, mask: HeadMask | None, config: Regularizer) -> None:
        self.parts: list[tuple[int, Part, CheaperForm]] = []
        for number, part in enumerate(hypernet.parts):
            if isinstance(part.net, Hypernetwork):
                own = None if mask is None else mask.of(part.weights, hypernet.num_weights)
                self.parts.append((number, part, CheaperForm(part.net, own, config)))

    def anchor(self, theta: Tensors, embeddings: Tensor) -> CompositeAnchor:
        """As `OutputRegularizer.anchor`."""
        return CompositeAnchor(
            [form.anchor(tensors_of_part(n, theta), embeddings[..., part.columns]) for n, part, form in self.parts]
        )

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
            values.append(form.add_gradient_(into, own, before, strength, tasks=tasks, embeddings=at))
        return torch.stack(values).sum(0)


AnyForm = CheaperForm | CompositeForm
AnyAnchor = GramAnchor | DirectAnchor | CompositeAnchor


def build_regularizer(
    hypernet: Hypernetwork | CompositeHypernetwork, mask: HeadMask | None, config: Regularizer
) -> AnyForm:
    """The output regulariser of a hypernetwork.

    Args:
        hypernet: the hypernetwork.
        mask: which weights count; None counts all.
        config: the section `method.regularizer`.
    """
    if isinstance(hypernet, CompositeHypernetwork):
        return CompositeForm(hypernet, mask, config)
    return CheaperForm(hypernet, mask, config)
