"""Streams of tasks: what a learner meets, and the batches it learns from."""
# pyright: reportUnusedImport=false

from hypercl.tasks.batches import Batches, BundledBatches, Samples, steps_in_epochs
from hypercl.tasks.inputs import as_images
from hypercl.tasks.open_stream import (
    TestDataGuard,
    data_place,
    guard_test_data,
    open_leaking,
    open_stream,
    open_with_test,
)
from hypercl.tasks.stream import NoTestData, Shape, Split, Task, TaskStream, shape_of
from hypercl.tasks.toy_regression import POLYNOMIALS
from hypercl.tasks.user_images import form_of, inputs_of, read_files
