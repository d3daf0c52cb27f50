from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from stream_contract import StreamContract, same_split
from task_data import make_cifar_folders, make_image_folder

from hypercl.config import UserError
from hypercl.config.models.tasks import ImageFolder, SplitCIFAR10
from hypercl.tasks import open_stream, open_with_test


def config(**changes):
    return ImageFolder.model_validate({"path": "birds", "classes_per_task": [2, 3], **changes})


class TestImageFolderWithATestSet(StreamContract):
    config = staticmethod(config)

    @staticmethod
    def make_data(folder):
        make_image_folder(folder / "birds" / "train", 5, 12, seed=1)
        make_image_folder(folder / "birds" / "test", 5, 4, seed=2)


class TestImageFolderWithout(StreamContract):
    @staticmethod
    def config(**changes):
        return config(mode="grey", size=16, **changes)

    @staticmethod
    def make_data(folder):
        make_image_folder(folder / "birds", 5, 15)


@pytest.fixture
def halves(tmp_path):
    make_image_folder(tmp_path / "birds" / "train", 5, 6, seed=1)
    make_image_folder(tmp_path / "birds" / "test", 5, 4, seed=2)
    return tmp_path


@pytest.fixture
def flat(tmp_path):
    make_image_folder(tmp_path / "birds", 5, 20)
    return tmp_path


def opened(data_dir, **changes):
    return open_stream(config(**changes), data_dir, offline=True)


def test_a_folder_is_found_by_its_whole_path_below_the_data_folder_and_at_home(halves, monkeypatch):
    below = opened(halves).task(0).train
    assert same_split(opened(halves / "other", path=str(halves / "birds")).task(0).train, below)
    monkeypatch.setenv("HOME", str(halves))
    assert same_split(opened(halves / "other", path="~/birds").task(0).train, below)


def test_images_of_all_modes_and_sizes_stand_in_one_array(flat):
    place = flat / "birds" / "class_000"
    Image.new("RGBA", (90, 40), (0, 0, 0, 255)).save(place / "a.png")
    Image.new("CMYK", (10, 20)).save(place / "b.jpg")
    Image.new("I;16", (33, 32)).save(place / "c.png")
    Image.new("P", (5, 5)).save(place / "d.gif")
    task = opened(flat, size=24).task(0)
    assert task.train.images.shape[1:] == (3, 24, 24)
    assert len(task.train) + len(task.validation) == 16 + 16 + 3


def test_rgb_is_normalised_as_cifar_and_grey_scaled_as_mnist(halves):
    make_cifar_folders(halves)
    mine = open_stream(config(path="cifar10", classes_per_task=[2, 2]), halves, offline=True).task(1)
    cifar = open_stream(SplitCIFAR10(num_tasks=2), halves, offline=True).task(1)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8))
    assert same_split(mine.train, cifar.train)
    assert torch.equal(mine.inputs(images), cifar.inputs(images))
    grey = opened(halves, mode="grey").task(0)
    assert torch.equal(grey.inputs(images[:, :1]), images[:, :1] / 255)


def test_sizes_and_modes_have_caches_of_their_own_beside_the_images(halves):
    for changes in ({}, {"size": 16}, {"mode": "grey"}):
        opened(halves, **changes)
    caches = {path.name for path in (halves / "birds" / ".hypercl-cache").iterdir() if path.is_dir()}
    assert {name.rpartition("-")[0] for name in caches} == {"train-rgb-32", "train-rgb-16", "train-grey-32"}


def test_augmentation_is_only_as_the_settings_say(halves):
    assert opened(halves).task(0).augment is None
    augment = opened(halves, augment=True, size=64).task(0).augment
    assert augment.padding == 8


def test_a_test_folder_is_not_read_while_tuning(halves):
    whole = opened(halves).task(1).train
    for file in (halves / "birds" / "test").glob("*/*.png"):
        file.write_bytes(b"poison")
    assert same_split(opened(halves).task(1).train, whole)
    with pytest.raises(UserError, match=r"20 of 20 images in .*birds/test cannot be used"):
        open_with_test(config(), halves, offline=True)


def test_the_images_split_off_as_test_set_are_not_read_while_tuning(flat):
    final = open_with_test(config(), flat, offline=True)
    poisoned = {final.test(0).images[row].numpy().tobytes() for row in final.test(0).rows}
    spoiled = 0
    for file in sorted((flat / "birds").glob("class_00[01]/*.png")):
        with Image.open(file) as image:
            if np.asarray(image).transpose(2, 0, 1).tobytes() in poisoned:
                file.write_bytes(b"poison")
                spoiled += 1
    assert spoiled == len(final.test(0)) == 8
    assert same_split(opened(flat).task(0).train, final.task(0).train)
    with pytest.raises(UserError, match="8 of 20 images"):
        open_with_test(config(), flat, offline=True)


def test_the_share_of_the_test_set_can_be_chosen(flat):
    assert len(open_with_test(config(test_share=0.5), flat, offline=True).test(0)) == 20


def test_a_share_is_refused_where_there_is_a_test_set(halves):
    with pytest.raises(UserError, match=r"tasks.test_share: .*(?s:.*)tasks.path to .*birds/train"):
        opened(halves, test_share=0.5)


@pytest.fixture
def without_test(halves):
    for file in (halves / "birds" / "test").rglob("*.png"):
        file.unlink()
    (halves / "birds" / "test").rename(halves / "birds" / "val")
    return halves


def test_a_validation_folder_is_left_alone_and_can_be_named_as_test_set(without_test):
    assert len(opened(without_test).task(0).train) == 10
    with pytest.raises(UserError, match=r"no test/(?s:.*)rename or link .*birds/val to .*birds/test"):
        open_with_test(config(), without_test, offline=True)
    part = open_with_test(config(path="birds/train"), without_test, offline=True)
    assert len(part.test(0)) == 2


def test_a_class_may_be_named_train(flat):
    (flat / "birds" / "class_004").rename(flat / "birds" / "train")
    assert opened(flat).task(1).classes[-1] == "train"


def test_test_folders_of_other_classes_are_told(halves):
    (halves / "birds" / "test" / "class_001").rename(halves / "birds" / "test" / "owl")
    with pytest.raises(UserError, match=r"test lacks the classes class_001 and contains owl, which .*train does not"):
        open_with_test(config(), halves, offline=True)


def test_a_missing_folder_and_too_few_classes_are_told_with_numbers(halves):
    with pytest.raises(UserError, match=r"tasks.path: no folder .*fish(?s:.*)--data-dir"):
        opened(halves, path="fish")
    with pytest.raises(UserError, match=r"2 tasks of 2 and 4 classes need 6 classes, but .*train has 5 class folders"):
        opened(halves, classes_per_task=[2, 4])


def test_too_few_classes_name_the_folders_that_were_taken_for_them(tmp_path):
    make_image_folder(tmp_path / "birds" / "images", 5, 3)
    with pytest.raises(UserError, match=r"1 class folders \(images\)\n    fix: .*set tasks.path to the folder"):
        open_stream(config(), tmp_path, offline=True)


def test_classes_too_small_for_three_parts_are_told_with_all_their_images_counted(tmp_path):
    make_image_folder(tmp_path / "birds", 5, 2)
    with pytest.raises(UserError, match=r"too few images: class_000 \(2\), .*\n    fix: provide at least 3"):
        open_stream(config(), tmp_path, offline=True)


def test_a_path_too_long_for_any_folder_is_told_as_missing(tmp_path):
    with pytest.raises(UserError, match=r"tasks.path: no folder"):
        open_stream(config(path="x" * 300), tmp_path, offline=True)


def test_classes_left_over_are_left_out(halves):
    assert opened(halves, classes_per_task=[2]).task(0).classes == ("class_000", "class_001")


def test_the_path_stands_in_no_cache_name(halves):
    opened(halves)
    moved = Path(halves / "moved")
    (halves / "birds").rename(moved)
    before = {path.name for path in (moved / ".hypercl-cache").iterdir()}
    opened(halves, path="moved")
    assert {path.name for path in (moved / ".hypercl-cache").iterdir()} == before


@pytest.mark.parametrize(("train", "test"), [("training", "testing"), ("Train", "Test"), ("TRAIN", "testing")])
def test_folders_of_training_and_test_data_are_never_classes(tmp_path, train, test):
    make_image_folder(tmp_path / "birds" / train, 2, 4, seed=1)
    make_image_folder(tmp_path / "birds" / test, 2, 3, seed=2)
    settings = config(num_tasks=1, size=32, classes_per_task=2)
    stream = open_with_test(settings, tmp_path, True)
    assert stream.task(0).classes == ("class_000", "class_001")
    assert len(stream.task(0).train) + len(stream.task(0).validation) == 8
    assert len(stream.test(0)) == 6


def test_two_folders_of_training_data_are_refused(tmp_path):
    for half in ("train", "Training", "test"):
        make_image_folder(tmp_path / "birds" / half, 2, 4)
    with pytest.raises(UserError, match="Training and train: which of them is the train data is not clear"):
        opened(tmp_path, num_tasks=1, classes_per_task=2)


def test_folders_beside_training_and_test_data_are_named(tmp_path):
    for half in ("train", "test", "unlabelled"):
        make_image_folder(tmp_path / "birds" / half, 2, 4)
    with pytest.warns(UserWarning, match="not used beside train/ and test/: unlabelled"):
        opened(tmp_path, num_tasks=1, classes_per_task=2)


def test_test_data_that_is_a_link_to_the_training_data_is_refused(tmp_path):
    make_image_folder(tmp_path / "birds" / "train", 2, 4)
    (tmp_path / "birds" / "test").symlink_to(tmp_path / "birds" / "train")
    with pytest.raises(UserError, match="test data would be training data"):
        open_with_test(config(num_tasks=1, size=32, classes_per_task=2), tmp_path, True)


def test_class_names_are_the_same_in_any_unicode_form(tmp_path):
    for half, name in (("train", "caf\u00e9"), ("test", "cafe\u0301")):
        make_image_folder(tmp_path / "birds" / half, 2, 4)
        (tmp_path / "birds" / half / "class_001").rename(tmp_path / "birds" / half / name)
    stream = open_with_test(config(num_tasks=1, size=32, classes_per_task=2), tmp_path, True)
    assert stream.task(0).classes == ("caf\u00e9", "class_000")
    assert len(stream.test(0)) == 8
