import numpy as np
import pytest
from PIL import Image

from hypercl.tasks.inputs import Form

RGB, GREY = Form((8, 8), "rgb", resized=True), Form((8, 8), "grey", resized=True)


def saved(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("mode", "color", "suffix", "seen"),
    [
        ("RGB", (10, 20, 30), "png", (10, 20, 30)),
        ("L", 77, "png", (77, 77, 77)),
        ("1", 1, "png", (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), "tif", (255, 0, 0)),
        ("RGBA", (10, 20, 30, 255), "png", (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), "png", (255, 255, 255)),
        ("LA", (0, 0), "png", (255, 255, 255)),
        ("I;16", 257 * 40, "png", (40, 40, 40)),
        ("I;16", 65535, "tif", (255, 255, 255)),
        ("I", 257 * 40, "tif", (40, 40, 40)),
    ],
)
def test_every_mode_becomes_three_channels_and_one(tmp_path, mode, color, suffix, seen):
    path = saved(tmp_path / f"image.{suffix}", Image.new(mode, (8, 8), color))
    pixels = RGB.read(path)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (3, 8, 8)
    assert [set(channel.flatten().tolist()) for channel in pixels] == [{value} for value in seen]
    grey = GREY.read(path)
    assert grey.shape == (1, 8, 8)
    assert abs(float(grey.mean()) - np.dot(seen, (0.299, 0.587, 0.114))) <= 1


def test_a_palette_is_looked_up_and_its_transparent_colour_is_white(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.putpixel((0, 0), 0)
    pixels = RGB.read(saved(tmp_path / "image.gif", image, transparency=0))
    assert pixels[:, 0, 0].tolist() == [255, 255, 255]
    assert pixels[:, 4, 4].tolist() == [200, 100, 50]


def test_an_image_is_resized_to_cover_the_square_and_cut_at_its_centre(tmp_path):
    wide = np.zeros((16, 64), np.uint8)
    wide[:, 24:40] = 200
    pixels = GREY.read(saved(tmp_path / "wide.png", Image.fromarray(wide)))
    assert pixels.shape == (1, 8, 8)
    assert pixels[0, :, 1:-1].min() == 200
    small = GREY.read(saved(tmp_path / "small.png", Image.new("L", (2, 3), 5)))
    assert small.shape == (1, 8, 8)


def test_an_image_of_the_wanted_size_keeps_every_pixel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    read = RGB.read(saved(tmp_path / "image.png", Image.fromarray(pixels)))
    assert np.array_equal(read, pixels.transpose(2, 0, 1))


def test_a_photo_taken_on_its_side_is_turned_upright(tmp_path):
    pixels = np.zeros((8, 8), np.uint8)
    pixels[0] = 255
    exif = Image.Exif()
    exif[0x0112] = 3
    read = GREY.read(saved(tmp_path / "photo.png", Image.fromarray(pixels), exif=exif))
    assert read[0, -1].min() == 255
    assert read[0, 0].max() == 0


@pytest.mark.parametrize(("mode", "color"), [("F", 0.5), ("I", 70000), ("I", -1)])
def test_pixels_of_unknown_range_are_refused(tmp_path, mode, color):
    with pytest.raises(ValueError, match="of unknown range"):
        RGB.read(saved(tmp_path / "image.tif", Image.new(mode, (8, 8), color)))
