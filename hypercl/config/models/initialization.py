"""`hypernet.init`: how trunk and head of a hypernetwork begin."""

from typing import Literal

from hypercl.config.models.section import Flag, Positive, Section


class Xavier(Section):
    """Weights uniform with variance 2 / (inputs + outputs), biases zero (Glorot and Bengio, 2010)."""

    name: Literal["xavier"] = "xavier"
    per_tensor: Flag = False
    """Of hypernet full: count the outputs of the last layer by generated tensor, as if each had a layer of its own.
    Source: von Oswald et al. (2020), toy regression."""


class Normal(Section):
    """Weights N(0, std^2), biases zero."""

    name: Literal["normal"] = "normal"
    std: Positive = 0.02
    """Standard deviation of the weights of trunk and head."""


class _Hyperfan(Section):
    gain: Positive = 2.0
    """Makes up for the target's activation: 2 for ReLU (He et al., 2015), 1 for linear layers and tanh."""


class HyperfanIn(_Hyperfan):
    """The generated weights begin with the variance gain / fan-in that a plain target would be given.

    Chunked after hypnettorch. Source: Chang, Flokas and Lipson, 'Principled weight initialization for hypernetworks'
    (ICLR 2020).
    """

    name: Literal["hyperfan_in"] = "hyperfan_in"


class HyperfanOut(_Hyperfan):
    """As hyperfan_in with fan-out, which keeps the size of gradients rather than that of activations."""

    name: Literal["hyperfan_out"] = "hyperfan_out"


Initialization = Xavier | Normal | HyperfanIn | HyperfanOut
