import pytest
from PIL import Image
from task_data import make_image_folder

from hypercl.config import UserError
from hypercl.tasks.image_folder import read_image_folder


@pytest.fixture
def half(tmp_path):
    make_image_folder(tmp_path / "set" / "train", classes=3, per_class=4)
    return tmp_path / "set" / "train"


def read(tmp_path, classes=3):
    return read_image_folder(tmp_path, "set/train", classes, (32, 32))


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


def test_missing_classes_and_empty_folders_are_told(tmp_path, half):
    with pytest.raises(UserError, match="should hold 10 class folders and holds 3"):
        read(tmp_path, classes=10)
    for file in (half / "class_001").iterdir():
        file.unlink()
    with pytest.raises(UserError, match="class_001 holds no images"):
        read(tmp_path)
