"""The pretended recorder replays what a function did, knows nothing of the host, and refuses what a CUDA graph does."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.pretended_gpu import DEVICE, pretended_gpu
from tests.pretended_graph import PretendedRecorder

CPU = torch.device("cpu")


def test_a_replay_reads_and_writes_the_same_memory() -> None:
    given, total, seen = torch.ones(3), torch.zeros(3), list[Tensor]()

    def function() -> None:
        fresh = given * 2
        total.add_(fresh.view(3, 1)[:, 0])
        seen.append(fresh.sum())

    replay = PretendedRecorder(CPU).record(function)
    total.zero_()
    given.copy_(torch.tensor([1.0, 2.0, 3.0]))
    replay()
    replay()
    assert total.tolist() == [4, 8, 12]
    assert float(seen[-1]) == 12


def test_gradients_are_replayed() -> None:
    given, found = torch.ones(3), torch.zeros(3)

    def function() -> None:
        leaf = given.clone().requires_grad_()
        found.copy_(torch.autograd.grad((leaf**3).sum(), leaf)[0])

    replay = PretendedRecorder(CPU).record(function)
    given.fill_(2)
    replay()
    assert found.tolist() == [12, 12, 12]


def test_numbers_of_the_host_and_memory_that_was_new_are_those_of_the_recording() -> None:
    host, total = {"number": 1.0, "memory": torch.ones(2)}, torch.zeros(2)
    replay = PretendedRecorder(CPU).record(lambda: total.copy_(host["memory"] * host["number"]))
    host |= {"number": 5.0, "memory": torch.full((2,), 7.0)}
    replay()
    assert total.tolist() == [1, 1]


REFUSED: dict[str, Callable[[Tensor], object]] = {
    "a wait": lambda x: x.sum().item(),
    "control flow by a value": lambda x: x * 2 if x.sum() > 1 else x,
    "a draw": lambda x: torch.rand(2, generator=torch.Generator(device=x.device).manual_seed(3), device=x.device),
    "a draw of the global state": torch.nn.Dropout(0.5),
    "a size by values": lambda x: x[x > 0],
    "a copy to the host": lambda x: x.to("cpu", non_blocking=True),
    "a copy from the host": lambda x: torch.ones(2).to(x.device, non_blocking=True),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_graph_cannot_hold_is_refused(what: str) -> None:
    with pretended_gpu():
        given = torch.ones(2, device=DEVICE)
        with pytest.raises(RuntimeError, match="being recorded"):
            PretendedRecorder(DEVICE).record(lambda: REFUSED[what](given))


def test_replays_on_the_pretended_gpu_are_counted_there() -> None:
    with pretended_gpu() as gpu:
        total = torch.zeros(2, device=DEVICE)
        replay = PretendedRecorder(DEVICE).record(lambda: total.add_(1))
        gpu.reset()
        replay()
        assert total.tolist() == [5, 5]  # three warm-ups, the recording, the replay
        assert gpu.kernels == {"add_": 1}
