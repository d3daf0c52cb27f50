import pytest
import torch
from task_data import make_cifar_folders, make_mnist

from hypercl.config.models.tasks import PermutedMNIST, SplitCIFAR
from hypercl.tasks import Batches, open_stream

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CUDA = torch.device("cuda")


def test_batches_on_a_gpu_are_those_on_the_cpu(tmp_path):
    make_mnist(tmp_path)
    stream = open_stream(PermutedMNIST(num_tasks=3), tmp_path, offline=True)
    on_cpu, on_gpu = Batches(stream.task(2), 32, seed=1), Batches(stream.task(2).to(CUDA), 32, seed=1)
    for step in range(5):
        (inputs, labels), (gpu_inputs, gpu_labels) = on_cpu(step), on_gpu(step)
        assert gpu_inputs.is_cuda
        assert gpu_labels.is_cuda
        assert torch.equal(gpu_inputs.cpu(), inputs)
        assert torch.equal(gpu_labels.cpu(), labels)


def test_augmented_batches_on_a_gpu_are_a_function_of_the_step(tmp_path):
    make_cifar_folders(tmp_path)
    task = open_stream(SplitCIFAR(num_tasks=1), tmp_path, offline=True).task(0).to(CUDA)
    inputs, _ = Batches(task, 32, seed=1)(3)
    again, _ = Batches(task, 32, seed=1)(3)
    assert inputs.is_cuda
    assert torch.equal(inputs, again)
    assert not torch.equal(inputs, Batches(task, 32, seed=2)(3)[0])
