import errno
import os
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from task_data import make_image_folder

from hypercl.config import UserError
from hypercl.tasks import image_files as image_cache
from hypercl.tasks.image_files import image_files, read_images
from hypercl.tasks.inputs import Form


@pytest.fixture
def half(tmp_path):
    make_image_folder(tmp_path / "set" / "train", classes=3, per_class=4)
    return tmp_path / "set" / "train"


def read(tmp_path):
    form = Form((32, 32), "rgb", resized=False)
    return read_images(image_files(tmp_path / "set" / "train"), form, tmp_path, "set-train")


@pytest.mark.usefixtures("half")
def test_classes_are_the_sorted_folders(tmp_path):
    source = read(tmp_path)
    assert source.classes == ("class_000", "class_001", "class_002")
    assert source.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert source.images.shape == (12, 3, 32, 32)


def test_a_grey_image_becomes_three_equal_channels(tmp_path, half):
    Image.new("L", (32, 32), 77).save(half / "class_000" / "0000.png")
    image = read(tmp_path).images[0]
    assert image.unique().tolist() == [77]


def test_other_files_are_left_alone(tmp_path, half):
    (half / "class_000" / "Thumbs.db").write_bytes(b"x")
    (half / "class_000" / ".hidden.png").write_bytes(b"x")
    (half / ".git").mkdir()
    (half / "README.txt").write_text("x")
    assert len(read(tmp_path).labels) == 12


def test_an_image_added_or_changed_is_seen(tmp_path, half):
    assert len(read(tmp_path).labels) == 12
    Image.new("RGB", (32, 32), (1, 2, 3)).save(half / "class_002" / "0009.png")
    assert read(tmp_path).images[-1, :, 0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_a_broken_image_is_named(tmp_path, half, content):
    file = half / "class_001" / "0002.png"
    file.write_bytes(file.read_bytes()[:-900] if content is None else content)
    with pytest.raises(UserError, match=r"class_001/0002\.png cannot be read as an image"):
        read(tmp_path)


def test_an_image_of_another_size_is_named(tmp_path, half):
    Image.new("RGB", (30, 40)).save(half / "class_001" / "0002.png")
    with pytest.raises(UserError, match=r"class_001/0002\.png is 40 x 30 pixels and should be 32 x 32"):
        read(tmp_path)


def test_empty_class_folders_are_told(tmp_path, half):
    for file in (half / "class_001").iterdir():
        file.unlink()
    with pytest.raises(UserError, match="class_001 contains no images"):
        read(tmp_path)
    for file in (half / "class_002").iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r"folders class_001, class_002 contain no images"):
        read(tmp_path)


def test_images_in_folders_of_a_class_are_found_and_what_macos_leaves_is_not(tmp_path, half):
    (half / "class_000" / "2024" / "may").mkdir(parents=True)
    Image.new("RGB", (32, 32), (9, 9, 9)).save(half / "class_000" / "2024" / "may" / "a.PNG", "png")
    for place in ("__MACOSX/class_000/._a.png", "class_000/.thumbs/a.png", "class_000/._0000.png"):
        (half / place).parent.mkdir(parents=True, exist_ok=True)
        (half / place).write_bytes(b"x")
    source = read(tmp_path)
    assert source.labels.tolist() == [0] * 5 + [1] * 4 + [2] * 4
    assert source.images[4].unique().tolist() == [9]


def test_all_unusable_images_are_named_at_once_up_to_ten(tmp_path, half):
    (half / "class_002" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (half / "class_000" / "0001.png").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert "2 of 13 images" in str(caught.value)
    assert "class_000/0001.png cannot be read as an image" in str(caught.value)
    assert "class_002/gone.png cannot be read as an image" in str(caught.value)
    assert "fix: remove or replace them" in str(caught.value)
    for file in half.glob("*/*.png"):
        file.write_bytes(b"")
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert str(caught.value).count("cannot be read") == 10
    assert "and 3 more" in str(caught.value)


def test_decoding_thousands_of_images_is_told_once(tmp_path, monkeypatch, capsys):
    make_image_folder(tmp_path / "set" / "train", classes=3, per_class=4)
    monkeypatch.setattr(image_cache, "ANNOUNCED", 11)
    read(tmp_path)
    assert f"decoding 12 images of {tmp_path} once into {tmp_path}/.hypercl-cache" in capsys.readouterr().err
    read(tmp_path)
    assert capsys.readouterr().err == ""


def test_a_folder_without_classes_is_refused(tmp_path):
    (tmp_path / "README.txt").write_text("x")
    with pytest.raises(UserError, match="contains no class folders"):
        image_files(tmp_path)


def listed(folder):
    return [name for name, _, _ in image_files(folder).listing]


def test_a_linked_folder_is_followed_once_and_never_in_circles(tmp_path, half):
    make_image_folder(tmp_path / "elsewhere", classes=1, per_class=2)
    (half / "class_000" / "more").symlink_to(tmp_path / "elsewhere" / "class_000")
    (half / "class_000" / "again").symlink_to(tmp_path / "elsewhere" / "class_000")
    (half / "class_000" / "round").symlink_to(half / "class_000")
    names = listed(half)
    assert len(names) == 12 + 2
    assert "class_000/again/0001.png" in names


@pytest.mark.parametrize("suffix", [".jfif", ".JPE", ".tga", ".pbm"])
def test_images_of_less_known_suffixes_are_read(tmp_path, half, suffix):
    Image.new("1", (32, 32), 1).convert("RGB").save(half / "class_000" / "new.png")
    Image.new("L", (32, 32), 255).save(half / "class_000" / f"other{suffix}")
    assert f"class_000/other{suffix}" in listed(half)
    assert len(read(tmp_path).labels) == 14


def test_what_is_not_used_is_counted_in_one_warning(half):
    for name in ("a.heic", "b.heic", "labels.csv", "noise"):
        (half / "class_001" / name).write_bytes(b"x")
    (half / "stray.png").write_bytes(b"x")
    (half / "class_001" / "linked.png").symlink_to(half / "class_001" / "0000.png")
    with pytest.warns(UserWarning, match="not used") as caught:
        assert len(listed(half)) == 12
    (told,) = caught
    assert str(told.message).endswith(
        "not used: 1 .csv, 2 .heic, 1 files without a suffix, 1 images outside of class folders, "
        "1 links to an image of the same class"
    )


def test_an_image_that_links_put_into_two_classes_is_told(half):
    (half / "class_001" / "linked.png").symlink_to(half / "class_000" / "0000.png")
    with pytest.warns(UserWarning, match="1 images are in two classes, by links"):
        assert len(listed(half)) == 13


def test_two_folders_of_one_name_in_two_unicode_forms_are_refused(half):
    for name in ("caf\u00e9", "cafe\u0301"):
        (half / name).mkdir()
    with pytest.raises(UserError, match="two folders have the same name"):
        image_files(half)


@pytest.mark.usefixtures("half")
def test_images_are_decoded_and_written_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(image_cache, "_CHUNK_BYTES", 2 * 3 * 32 * 32)
    pieces = read(tmp_path).images
    monkeypatch.setattr(image_cache, "_CHUNK_BYTES", 2**25)
    monkeypatch.setattr(image_cache, "_FORMAT", 0)
    assert torch.equal(pieces, read(tmp_path).images)
    assert pieces.float().std() > 50


@pytest.mark.usefixtures("half")
def test_a_disk_that_is_too_small_is_told_before_anything_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    monkeypatch.setattr(Form, "read", lambda *_: pytest.fail("an image was decoded"))
    with pytest.raises(UserError, match=r"0\.0 GB are needed for 12 images, 0\.0 free"):
        read(tmp_path)


@pytest.mark.usefixtures("half")
def test_images_beyond_the_address_space_are_told_before_anything_is_decoded(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(image_cache.np, "load", full)
    monkeypatch.setattr(Form, "read", lambda *_: pytest.fail("an image was decoded"))
    with pytest.raises(UserError, match=r"(?s)GB of address space: .*Cannot allocate memory.*lower tasks\.size"):
        read(tmp_path)
