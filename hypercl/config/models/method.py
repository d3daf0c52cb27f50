"""`method`: how a learner meets a new task."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from hypercl.config.models.any_method import TASK, UNKNOWN, AnyMethod, Scenarios
from hypercl.config.models.regularizer import Proximal, Regularizer
from hypercl.config.models.replay import Autoencoder, DistillingMethod, ReplayHypernet, ReplayMethod, ReplayShare
from hypercl.config.models.section import (
    Count,
    Flag,
    ImportPath,
    Kinds,
    NotNegative,
    Number,
    Positive,
    switched,
)


class HypernetMethod(AnyMethod):
    """A task-conditioned hypernetwork whose outputs for earlier embeddings are held fixed."""

    generated: ClassVar[bool | None] = True
    beta: NotNegative = 0.01
    """Weight of the output regulariser. Source: von Oswald et al. (2020), Split MNIST."""
    lookahead: Flag = True
    """Evaluate the regulariser at the parameters that a step on the task's gradient alone would reach.

    Source: von Oswald et al. (2020).
    """
    backpropagate_lookahead: Flag = False
    """Count how the look-ahead step depends on the parameters: the gradient of the regulariser then also goes through
    the step's own optimiser and gradient, at the cost of a second derivative. Source: the code of von Oswald et al.
    (2020)."""
    train_earlier_embeddings: Flag = False
    """Keep training the embeddings of earlier tasks, on the regulariser alone, so that they follow the hypernetwork;
    its look-ahead then includes their own drift."""
    proximal: Annotated[Proximal | None, switched] = None
    """Find each step of theta by several: true, or the keys that differ from the defaults; null takes one."""
    regularizer: Regularizer = Regularizer()
    """What the regulariser compares, always without noise and dropout: what is kept is the network that predicts."""

    @model_validator(mode="after")
    def _has_a_step(self) -> "HypernetMethod":
        if not self.lookahead and self.backpropagate_lookahead:
            raise ValueError("backpropagate_lookahead would have no effect without the look-ahead: leave it out")
        if not self.lookahead and self.regularizer.of_step:
            raise ValueError(
                f"regularizer.kind {self.regularizer.kind} compares what the look-ahead step changes, and without "
                "lookahead there is none: use kind output"
            )
        if self.regularizer.of_step and not self.backpropagate_lookahead and self.proximal is None:
            raise ValueError(
                f"regularizer.kind {self.regularizer.kind} is a function of the step, and at a constant step it hardly "
                "changes with the parameters: give backpropagate_lookahead: true, or proximal: true"
            )
        return self

    @model_validator(mode="after")
    def _proximal_alone(self) -> "HypernetMethod":
        if self.proximal is not None and not self.lookahead:
            raise ValueError("lookahead false has no meaning with proximal, which looks ahead by itself: leave it out")
        for key in ("backpropagate_lookahead", "train_earlier_embeddings"):
            if self.proximal is not None and getattr(self, key):
                raise ValueError(f"{key} and proximal are two ways to take a step: give one of them")
        return self

    @model_validator(mode="after")
    def _keeps_what_is_generated(self) -> "HypernetMethod":
        if self.regularizer.kind == "ewc":
            for key in ("backpropagate_lookahead", "train_earlier_embeddings"):
                if getattr(self, key):
                    raise ValueError(
                        f"{key} would have no effect with regularizer.kind ewc, which keeps theta itself: leave it out"
                    )
        return self

    @model_validator(mode="after")
    def _earlier_need_beta(self) -> "HypernetMethod":
        if self.train_earlier_embeddings and not self.beta:
            raise ValueError(
                "train_earlier_embeddings would have no effect with beta 0: earlier embeddings are trained on "
                "the regulariser only"
            )
        return self


class Hnet(HypernetMethod):
    """A task-conditioned hypernetwork whose outputs for earlier embeddings are held fixed; the task is given."""

    name: Literal["hnet"] = "hnet"
    regresses: ClassVar[bool] = True
    scenarios: ClassVar[Scenarios] = TASK


class HnetEnt(HypernetMethod):
    """HNET+ENT: the inferred task is the one whose predictions have the lowest entropy.

    Entropies of tasks with unequal numbers of classes are compared as shares of the largest there can be.
    """

    name: Literal["hnet_ent"] = "hnet_ent"
    scenarios: ClassVar[Scenarios] = UNKNOWN
    temperature: Positive = 1.0
    """Temperature of the softmax whose entropy is compared. Source: von Oswald et al. (2020)."""


class OwnNetworks(AnyMethod):
    """A method of the paper with networks that no hypernetwork generates."""

    own_weights_init: Literal["module", "xavier"] = "module"
    """How the networks that no hypernetwork generates begin (classifier, inference network, encoder): as their PyTorch
    module does, or with Xavier-uniform weights and zero biases, as in the code of von Oswald et al. (2020)."""


class HnetTir(HypernetMethod, OwnNetworks):
    """HNET+TIR: a plain network of the target's kind, trained with replay, tells which task a sample is from."""

    name: Literal["hnet_tir"] = "hnet_tir"
    regresses: ClassVar[bool] = True
    scenarios: ClassVar[Scenarios] = UNKNOWN
    generator: ReplayHypernet = ReplayHypernet(decoder=(50, 150))
    """Replays the inputs of earlier tasks. Source: von Oswald et al. (2020), Split MNIST."""
    replay_share: ReplayShare = 0.5
    """Weight of the replayed samples in the inference network's loss, the rest is the new task's; growing: 1 - 1/t at
    the t-th task. Source: von Oswald et al. (2020) use 0.5."""


class HnetReplay(DistillingMethod, OwnNetworks):
    """HNET+R: a plain classifier, protected by replay from a decoder that a hypernetwork generates."""

    name: Literal["hnet_replay"] = "hnet_replay"
    generator: ReplayHypernet = ReplayHypernet()
    """Replays the inputs of earlier tasks."""
    replay_share: ReplayShare = 0.5
    """Weight of what is replayed in the loss, the rest is the new task's; growing: 1 - 1/t at the t-th task.

    Source: von Oswald et al. (2020) use 0.5.
    """
    targets: Literal["soft", "hard"] = "soft"
    """Targets of replayed samples, from the classifier as it was before the task: its probabilities, or its answer.
    With generator.embedding class, a hard target is the class that the sample was drawn of."""

    @property
    def hard_targets(self) -> bool:
        return self.targets == "hard"


class OneNetwork(AnyMethod):
    """Trains on from task to task; with own weights, all tasks share one network."""

    regresses: ClassVar[bool] = True
    task_buffers: Flag = False
    """With own weights: each task has its own buffers (the running statistics of batch normalisation), which needs the
    task at test time; otherwise all share one set, as it is after the last task."""


class Finetune(OneNetwork):
    """Plain fine-tuning without protection: the lower baseline."""

    name: Literal["finetune"] = "finetune"
    generated: ClassVar[bool | None] = None
    share_buffers: Flag = False
    """With a hypernetwork: one set of buffers (the running statistics of batch normalisation) for all tasks; otherwise
    each task has its own. Source: von Oswald et al. (2020), fine-tuning on Split CIFAR."""


class Scratch(AnyMethod):
    """A new network for each task: the baseline without transfer."""

    name: Literal["scratch"] = "scratch"
    regresses: ClassVar[bool] = True
    scenarios: ClassVar[Scenarios] = TASK
    generated: ClassVar[bool | None] = None


class Joint(AnyMethod):
    """All tasks met so far are trained together, one batch of each per step: the upper baseline."""

    name: Literal["joint"] = "joint"
    regresses: ClassVar[bool] = True
    generated: ClassVar[bool | None] = None


class _Fisher(OneNetwork):
    strength: NotNegative = 1e7
    """Weight of the penalty, lambda. Source: van de Ven and Tolias (2019), Split MNIST, scenario task."""
    fisher_labels: Literal["predicted", "given"] = "predicted"
    """Labels of the squared gradients: the network's predictions, or the data's labels (the empirical Fisher). Of a
    regression: the expectation over a normal distribution around the prediction, or the data's numbers."""
    fisher_samples: Count | None = None
    """Training samples of a task from which its Fisher information is estimated; null takes all."""


class Ewc(_Fisher):
    """Elastic weight consolidation: 1/2 sum over earlier tasks of Fisher information times squared distance.

    Source: Kirkpatrick et al. (2017).
    """

    name: Literal["ewc"] = "ewc"


class OnlineEwc(_Fisher):
    """EWC with one running Fisher information and the newest weights. Source: Schwarz et al. (2018)."""

    name: Literal["online_ewc"] = "online_ewc"
    strength: NotNegative = 1e8
    """Weight of the penalty, lambda. Source: van de Ven and Tolias (2019), Split MNIST, scenario task."""
    decay: Annotated[Number, Field(ge=0, le=1)] = 0.8
    """Gamma: share of the Fisher information of all tasks so far that is kept for the next task.

    Source: van de Ven and Tolias (2019), Split MNIST.
    """


class SI(OneNetwork):
    """Synaptic intelligence: weights are held by their share in lowering earlier losses.

    Source: Zenke et al. (2017).
    """

    name: Literal["si"] = "si"
    strength: NotNegative = 50.0
    """Weight of the penalty, c. Source: van de Ven and Tolias (2019), Split MNIST, scenario task."""
    damping: Positive = 0.1
    """Xi: keeps the importance of a weight that hardly moved finite. Source: Zenke et al. (2017)."""


class LwF(DistillingMethod):
    """Learning without forgetting: on the new task's inputs, the old outputs are kept. Source: Li and Hoiem (2017)."""

    name: Literal["lwf"] = "lwf"


class DGR(DistillingMethod):
    """Deep generative replay: a plain autoencoder, trained on its own samples too, replays for both.

    Source: Shin et al. (2017); its settings, van de Ven and Tolias (2019).
    """

    name: Literal["dgr"] = "dgr"
    generator: Autoencoder = Autoencoder()
    """Replays inputs of earlier tasks."""
    targets: Literal["hard", "soft"] = "hard"
    """Targets of replayed samples, from the classifier as it was before the task: its answer, or its probabilities (DGR
    with distillation)."""

    @property
    def hard_targets(self) -> bool:
        return self.targets == "hard"


class ER(ReplayMethod):
    """Experience replay: a replay buffer of training samples of each class met."""

    name: Literal["er"] = "er"
    budget: Count = 2000
    """Size of the replay buffer in samples, shared evenly by the classes met.

    Source: van de Ven and Tolias (2019), iCaRL.
    """


class StoredReal(ReplayMethod):
    """All training data of earlier tasks is kept and learned on: the upper bound of replay."""

    name: Literal["stored_real"] = "stored_real"
    replay_share: ReplayShare = 0.5
    """Weight of what is replayed in the loss, the rest is the new task's; growing: 1 - 1/t at the t-th task.

    Source: von Oswald et al. (2020) use 0.5.
    """


class ImportedMethod(AnyMethod):
    """A method of your own by import path: a subclass of `hypercl.methods.Learner`, called as `Class(parts, **kwargs)`.

    It trains the target's own weights unless `hypernet` says otherwise.
    """

    name: Literal["import"] = "import"
    regresses: ClassVar[bool] = True
    generated: ClassVar[bool | None] = None
    path: ImportPath
    """`package.module:Class`, found beside the file, in the working directory, or installed."""
    kwargs: dict[str, Any] = {}
    """Further keyword arguments of the class; a space can vary each, such as `method.kwargs.alpha`."""


Method = Annotated[
    Hnet
    | HnetEnt
    | HnetTir
    | HnetReplay
    | Finetune
    | Scratch
    | Joint
    | Ewc
    | OnlineEwc
    | SI
    | LwF
    | DGR
    | ER
    | StoredReal
    | ImportedMethod,
    Kinds(default=Hnet),
]


def generator_of(method: AnyMethod) -> Autoencoder | None:
    """The autoencoder that replays the inputs of earlier tasks; None where the method has none."""
    return method.generator if isinstance(method, HnetTir | HnetReplay | DGR) else None
