"""What a run and a sweep are: one pydantic model for each section of a file."""
# pyright: reportUnusedImport=false

from hypercl.config.models.any_method import ALL, AnyMethod
from hypercl.config.models.by_task import at_task
from hypercl.config.models.drawn_tasks import CopyTasks, GaussianBumps, ToyRegression
from hypercl.config.models.experiment import Experiment, with_fitting_hypernet, with_method
from hypercl.config.models.expression import ExpressionError, expression
from hypercl.config.models.hypernet import (
    AnyHypernet,
    ChunkedHypernet,
    ComposedHypernet,
    ComposedPart,
    FrozenWeights,
    Hypernet,
    ModulationHypernet,
    OwnWeights,
    PartialHypernet,
    PerturbedHypernet,
    SelfAttentionHypernet,
    SharedWeights,
    StructuredHypernet,
    TaskChunkedHypernet,
    TaskWeights,
)
from hypercl.config.models.imported import Imported
from hypercl.config.models.initialization import HyperfanIn, HyperfanOut, Initialization, Normal, Xavier
from hypercl.config.models.method import (
    DGR,
    ER,
    SI,
    Ewc,
    Finetune,
    Hnet,
    HnetEnt,
    HnetReplay,
    HnetTir,
    HypernetMethod,
    ImportedMethod,
    Joint,
    LwF,
    Method,
    OneNetwork,
    OnlineEwc,
    OwnNetworks,
    Scratch,
    StoredReal,
    generator_of,
)
from hypercl.config.models.objective import METRICS, OF_EARLIER_TASKS, WITHIN_TASKS, Bound, Goal, Objective
from hypercl.config.models.protocol import Confirm, FirstK, FirstTask, Race, StabilityDecay, TestLeak, Transfer
from hypercl.config.models.pruner import (
    ASHARule,
    Hyperband,
    ImportedPruner,
    MedianRule,
    NoPruner,
    Patient,
    PercentileRule,
    ThresholdRule,
)
from hypercl.config.models.regularizer import Proximal, Regularizer
from hypercl.config.models.replay import Autoencoder, DistillingMethod, ReplayHypernet, ReplayMethod
from hypercl.config.models.search import LENGTHS, SAMPLER_SETTINGS, SETTINGS_OF, VARYING, Search, shortened
from hypercl.config.models.section import (
    Kinds,
    KindTag,
    Name,
    Number,
    Section,
    in_full,
    is_list,
    is_mapping,
    kind_of,
    kinds_of,
    models_in,
    name_in,
    required,
    switched,
)
from hypercl.config.models.space import KINDS, Distribution, key_of, label_of
from hypercl.config.models.space_of_methods import METHOD
from hypercl.config.models.stream import ClassTasks, SplitTasks, Stream
from hypercl.config.models.sweep import Logging, Resources, SweepFile, Wandb, imports_of
from hypercl.config.models.target import (
    LSTM,
    MLP,
    ImportedTarget,
    LeNet,
    ResNet18,
    ResNet32,
    Transformer,
    WideResNet,
    ZenkeNet,
)
from hypercl.config.models.tasks import (
    ImageFolder,
    ImportedStream,
    PermutedFashionMNIST,
    PermutedMNIST,
    PermutedTasks,
    SplitCIFAR,
    SplitCIFAR10,
    SplitCIFAR100,
    SplitDigits,
    SplitFashionMNIST,
    SplitMNIST,
    TorchvisionSplit,
    task_count,
)
from hypercl.config.models.training import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    OneCycle,
    Plateau,
    RMSprop,
    Step,
    Training,
)
