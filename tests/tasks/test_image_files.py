import pytest
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
