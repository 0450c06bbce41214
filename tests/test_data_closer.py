"""Enlarging the middle of an image, and blurring alike."""

import pytest
import torch

from senet_edu.data import enlarge, soften


def square(size: int, side: int) -> torch.Tensor:
    """A bright square of `side` pixels in the middle of a dark image [1, 3, size, size]."""
    image = torch.zeros(1, 3, size, size, dtype=torch.uint8)
    first = (size - side) // 2
    image[..., first : first + side, first : first + side] = 200
    return image


def spread(images: torch.Tensor) -> torch.Tensor:
    return images.float().std(dim=(2, 3)).mean()


@pytest.mark.parametrize("change", [enlarge, soften])
def test_a_factor_of_one_changes_nothing(change):
    images = torch.randint(0, 256, (4, 3, 32, 20), dtype=torch.uint8)
    assert torch.equal(change(images, 1.0), images)


@pytest.mark.parametrize("change", [enlarge, soften])
@pytest.mark.parametrize("size", [28, 32, 64])
def test_uint8_of_the_same_shape_and_the_input_left_alone(change, size):
    images = torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8)
    before = images.clone()
    out = change(images, 1.5)
    assert out.dtype == torch.uint8
    assert out.shape == images.shape
    assert torch.equal(images, before)


@pytest.mark.parametrize("factor", [1.2, 1.5, 2.0])
def test_a_square_becomes_larger_by_the_factor(factor):
    bright = (square(64, 20).float() / 200).sum()
    larger = (enlarge(square(64, 20), factor).float() / 200).sum()
    assert larger / bright == pytest.approx(factor**2, rel=0.01)


@pytest.mark.parametrize("factor", [1.2, 1.5, 2.0])
def test_softening_keeps_size_and_brightness_and_loses_detail(factor):
    assert (soften(square(64, 20), factor).float() / 200).sum() == pytest.approx((20**2) * 3, rel=0.03)
    noise = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    assert soften(noise, factor).float().mean() == pytest.approx(noise.float().mean(), abs=2)
    assert spread(soften(noise, factor)) < 0.9 * spread(noise)


def test_the_middle_stays_the_middle_and_each_image_its_own():
    """At factor 2 the pixel right of and below the centre is mixed from the four around a quarter of a pixel off it."""
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    images[0, 0, 2, 2] = 160
    out = enlarge(images, 2.0)
    assert out[0, 0, 2, 2] == 90  # 160 · (3/4)², with three dark neighbours
    assert out[0, 0].argmax() in (2 * 4 + 2, 2 * 4 + 3, 3 * 4 + 2, 3 * 4 + 3)
    assert out[1].sum() == 0


@pytest.mark.parametrize("change", [enlarge, soften])
def test_a_factor_below_one_is_refused(change):
    with pytest.raises(ValueError, match="at least 1"):
        change(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), 0.9)
