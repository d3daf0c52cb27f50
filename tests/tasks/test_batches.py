from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from hypercl.tasks import Batches, BundledBatches, Split, Task, steps_in_epochs
from hypercl.tasks.inputs import IMAGENET


def a_task(samples, index=0, augment=None):
    """A task in which the only pixel of an image names the sample, and the label is its last digit."""
    images = torch.arange(samples + 1, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    rows = torch.arange(1, samples + 1)
    train = Split(images, rows, rows % 10)
    return Task(index, ("a",), slice(0, 10), train, train, lambda pixels: pixels.float(), augment)


def drawn(batches, steps):
    return torch.cat([batches(step)[0].flatten() for step in steps]).long()


sizes = {"samples": some.integers(1, 60), "batch_size": some.integers(1, 80), "seed": some.integers(0, 2**40)}


@given(**sizes)
def test_every_sample_comes_once_a_pass(samples, batch_size, seed):
    steps = range(3 * samples // batch_size + 1)
    order = drawn(Batches(a_task(samples), batch_size, seed), steps)
    for start in range(0, len(order) - samples + 1, samples):
        assert order[start : start + samples].sort().values.tolist() == list(range(1, samples + 1))


@given(**sizes, steps=some.lists(some.integers(0, 500), min_size=1, max_size=5))
def test_a_batch_is_a_function_of_its_step(samples, batch_size, seed, steps):
    task = a_task(samples)
    batches = Batches(task, batch_size, seed)
    for step in steps:
        inputs, labels = batches(step)
        fresh_inputs, fresh_labels = Batches(task, batch_size, seed)(step)
        assert inputs.shape == (batch_size, 1, 1, 1)
        assert torch.equal(inputs, fresh_inputs)
        assert torch.equal(labels, fresh_labels)
        assert torch.equal(inputs.flatten().long() % 10, labels)


def test_passes_seeds_and_tasks_have_orders_of_their_own():
    def order(task, seed, number):
        return tuple(drawn(Batches(a_task(50, task), 50, seed), [number]).tolist())

    assert len({order(task, seed, number) for task in (0, 1) for seed in (0, 1) for number in (0, 1)}) == 8


def test_orders_are_kept_while_their_pass_lasts_and_no_longer(monkeypatch):
    made = []
    original = Batches._order
    monkeypatch.setattr(Batches, "_order", lambda self, number: (made.append(number), original(self, number))[1])
    batches = Batches(a_task(20), 8, seed=0)
    for step in range(10):
        batches(step)
    assert made == [0, 1, 2, 3]
    assert set(batches._orders) == {3}


def test_augmentation_is_a_function_of_seed_task_and_step():
    def noise(images, random):
        return torch.randint(256, images.shape, dtype=torch.uint8, generator=random)

    def batch(index, seed, step):
        return Batches(a_task(200, index, noise), 64, seed)(step)[0]

    assert torch.equal(batch(0, 1, 5), batch(0, 1, 5))
    different = [batch(0, 1, 5), batch(1, 1, 5), batch(0, 2, 5), batch(0, 1, 6)]
    assert len({tuple(inputs.flatten().tolist()) for inputs in different}) == 4


def test_batches_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    Batches(a_task(30), 8, seed=0)(2)
    assert torch.equal(torch.get_rng_state(), before)


@given(**sizes, more=some.integers(0, 3), step=some.integers(0, 50), noisy=some.booleans())
def test_a_bundle_of_batches_holds_the_batch_of_each_seed(samples, batch_size, seed, more, step, noisy):
    def noise(images, random):
        return torch.randint(256, images.shape, dtype=torch.uint8, generator=random)

    task, seeds = a_task(samples, 0, noise if noisy else None), tuple(range(seed, seed + more + 1))
    inputs, labels = BundledBatches(task, batch_size, seeds)(step)
    each = [Batches(task, batch_size, own)(step) for own in seeds]
    assert torch.equal(inputs, torch.stack([own for own, _ in each]))
    assert torch.equal(labels, torch.stack([own for _, own in each]))


def test_a_bundle_of_images_keeps_channels_last():
    """Of each seed's part, where convolutions are quicker for it."""
    images = torch.randint(256, (20, 3, 8, 8), dtype=torch.uint8)
    train = Split(images, torch.arange(20), torch.zeros(20, dtype=torch.int64))
    task = replace(a_task(20), train=train, inputs=IMAGENET)
    inputs, _ = BundledBatches(task, 6, (1, 2))(0)
    assert inputs.shape == (2, 6, 3, 8, 8)
    assert inputs[1].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("samples", "batch_size", "epochs", "steps"),
    [(100, 10, 1, 10), (101, 10, 2, 22), (3, 10, 4, 4), (45_000, 32, 200, 281_400)],
)
def test_epochs_are_rounded_up_to_whole_batches(samples, batch_size, epochs, steps):
    assert steps_in_epochs(samples, batch_size, epochs) == steps
