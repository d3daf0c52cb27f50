"""A GPU that is pretended: real values on the CPU, in tensors that say they are on the device `pretended`.

While `pretended_gpu()` is active, an operation on tensors of both devices is an error, as on a real one, and what costs
time there is counted: kernels, waits of the host for the device, and copies that do not make it wait.
"""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

aten = torch.ops.aten
ALWAYS_WAIT = {
    aten._local_scalar_dense,
    aten.nonzero,
    aten.masked_select,
    aten.equal,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
    aten.bincount,
}
"""The host waits to know a value, or a size that depends on values."""
NO_KERNEL = {aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten.new_empty_strided, aten.lift_fresh}
VIEWS = {aten._unsafe_view, aten._reshape_alias, aten.detach}
"""Besides those whose schema says so."""
WITH_INDICES = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index}
_CpuGenerator = torch.Generator


class _Module(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


_setup_privateuseone_for_python_backend("pretended", backend_module=_Module())
DEVICE = torch.device("pretended:0")


class PretendedTensor(Tensor):
    """A tensor on the device; `held` has its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "PretendedTensor":
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        wrapper = Tensor._make_wrapper_subclass(cls, held.shape, **layout, device=DEVICE)
        wrapper.held = held
        return wrapper

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __repr__(self) -> str:
        return f"PretendedTensor({self.held})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} on the pretended GPU, which is there inside pretended_gpu() only")


class PretendedGenerator(torch.Generator):
    """A generator on the device; it gives the CPU's numbers."""

    seeds: ClassVar[set[int]] = set()
    """Of all of them: what an operation gets is another object of the same generator."""

    def manual_seed(self, seed: int) -> "PretendedGenerator":
        self.seeds.add(seed)
        super().manual_seed(seed)
        return self

    @property
    def device(self) -> torch.device:
        return DEVICE


class _AnyGenerator(_CpuGenerator):
    """Takes the place of `torch.Generator`."""

    def __new__(cls, device: Any = "cpu") -> torch.Generator:
        return PretendedGenerator() if _is_pretended(device) else _CpuGenerator(device=device)


class PretendedGpu(TorchDispatchMode):
    """Runs what is called inside of it, and counts what is called on the device, each by its operation."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: Counter[str] = Counter()
        """Views and empty memory need none; a fused optimiser is one."""
        self.waits: Counter[str] = Counter()
        """Of the host for the device; copies that make it wait are among them."""
        self.copies: Counter[str] = Counter()
        """Between host and device, without a wait."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to be skipped by it, torch would import its compiler."""
        return False

    def reset(self) -> None:
        """Counts from zero again."""
        for counts in (self.kernels, self.waits, self.copies):
            counts.clear()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        inside = [leaf for leaf in given if isinstance(leaf, PretendedTensor)]
        wanted = kwargs.get("device")
        stays = bool(inside) if wanted is None else _is_pretended(wanted)
        if not inside and not stays:
            return func(*args, **kwargs)
        if func.overloadpacket in (aten._to_copy, aten.copy_) and _moves(func, given, bool(inside), stays):
            self._count_move(func, args, kwargs, stays)
        else:
            self._count(func, given, args, kwargs)
        if wanted is not None:
            kwargs["device"] = "cpu" if stays else wanted
        result = func(*tree_map(_held, args), **tree_map(_held, kwargs))
        if not stays:  # to the host
            return result.clone()
        written = {id(leaf.held): leaf for leaf in inside}
        return tree_map(lambda leaf: written[id(leaf)] if id(leaf) in written else _pretended(leaf), result)

    def _count_move(self, func: Any, args: Any, kwargs: dict[str, Any], stays: bool) -> None:
        lazily = kwargs.get("non_blocking") or (func.overloadpacket is aten.copy_ and len(args) > 2 and args[2])
        target = args[0] if func.overloadpacket is aten.copy_ else None
        there = stays if target is None else isinstance(target, PretendedTensor)
        (self.copies if lazily else self.waits)[f"{_name(func)} {'to' if there else 'from'} the device"] += 1

    def _count(self, func: Any, given: list[Tensor], args: Any, kwargs: dict[str, Any]) -> None:
        name, operation, random = _name(func), func.overloadpacket, kwargs.get("generator")
        outside = [leaf for leaf in given if not isinstance(leaf, PretendedTensor)]
        if operation in WITH_INDICES:
            indices = [index for index in args[1] if index is not None]
            if any(not isinstance(index, PretendedTensor) for index in indices):
                self.waits[f"{name} by indices of the host"] += 1
            if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
                self.waits[f"{name} by a mask"] += 1
            outside = [leaf for leaf in outside if all(leaf is not index for index in indices)]
        if any(leaf.dim() for leaf in outside):
            raise RuntimeError(f"{name}: expected all tensors on one device, found {DEVICE} and the CPU")
        if random is not None and random.initial_seed() not in PretendedGenerator.seeds:
            raise RuntimeError(f"{name}: expected a generator on {DEVICE}, found one on the CPU")
        if operation in ALWAYS_WAIT or (operation is aten.repeat_interleave and kwargs.get("output_size") is None):
            self.waits[name] += 1
        if operation not in NO_KERNEL and not is_view(func):
            self.kernels[name] += 1


@contextmanager
def pretended_gpu() -> Generator[PretendedGpu]:
    """The device is there inside; gives what is counted."""
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # a list of indices becomes a tensor of the host, which is then copied
    try:
        with mock.patch.object(torch, "Generator", _AnyGenerator), PretendedGpu() as gpu:
            yield gpu
    finally:
        torch._C._set_only_lift_cpu_tensors(before)


def _moves(func: Any, given: list[Tensor], inside: bool, stays: bool) -> bool:
    """Whether a copy has one end on the host and the other on the device."""
    if func.overloadpacket is aten._to_copy:
        return inside != stays
    return len({isinstance(leaf, PretendedTensor) for leaf in given}) == 2


def is_view(func: Any) -> bool:
    """Whether an operation gives an alias of what it got, and writes nothing."""
    aliases = [returned.alias_info for returned in func._schema.returns]
    views = [alias is not None and not alias.is_write for alias in aliases]
    return (bool(views) and all(views)) or func.overloadpacket in VIEWS


def _is_pretended(device: Any) -> bool:
    return torch.device(device).type == DEVICE.type


def _name(func: Any) -> str:
    return func._schema.name.removeprefix("aten::")


def _held(leaf: Any) -> Any:
    return leaf.held if isinstance(leaf, PretendedTensor) else leaf


def _pretended(leaf: Any) -> Any:
    return PretendedTensor(leaf) if isinstance(leaf, Tensor) else leaf
