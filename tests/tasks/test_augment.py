import torch

from hypercl.tasks.inputs import FlipAndCrop


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def some_images(count, channels=3, height=6, width=5):
    return torch.randint(1, 256, (count, channels, height, width), dtype=torch.uint8, generator=random(9))


def possible(image, padding):
    """Every flipped and cropped form of one image."""
    height, width = image.shape[1:]
    for mirrored in (False, True):
        bordered = torch.zeros(len(image), height + 2 * padding, width + 2 * padding, dtype=torch.uint8)
        bordered[:, padding : padding + height, padding : padding + width] = image.flip(2) if mirrored else image
        for top in range(2 * padding + 1):
            for left in range(2 * padding + 1):
                yield (mirrored, top, left), bordered[:, top : top + height, left : left + width]


def test_an_augmented_image_is_a_flip_and_a_crop_and_all_of_them_occur():
    image = some_images(1)
    forms = {form.numpy().tobytes(): key for key, form in possible(image[0], padding=2)}
    assert len(forms) == 50
    copies = FlipAndCrop(padding=2)(image.expand(2000, -1, -1, -1), random())
    found = [forms[copy.numpy().tobytes()] for copy in copies]
    assert set(found) == set(forms.values())
    assert 900 < sum(mirrored for mirrored, _, _ in found) < 1100


def test_each_image_is_cut_from_itself():
    images = some_images(20)
    for image, copy in zip(images, FlipAndCrop()(images, random()), strict=True):
        assert any(torch.equal(copy, form) for _, form in possible(image, padding=4))


def test_the_generator_is_the_only_randomness():
    images = some_images(20)
    before, state = images.clone(), torch.get_rng_state()
    first = FlipAndCrop()(images, random(1))
    assert torch.equal(first, FlipAndCrop()(images, random(1)))
    assert not torch.equal(first, FlipAndCrop()(images, random(2)))
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.dtype == torch.uint8
