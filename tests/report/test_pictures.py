"""Grey values and bytes: what a decoder that is not ours reads back."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

from petechia.report.pictures import (
    GREYS,
    Window,
    body_path,
    every,
    intensity_window,
    outline_path,
    png,
    rate_window,
    rounded_up,
    shrink,
    tint_palette,
    tinted,
)


def decoded(content):
    return np.round(imread(io.BytesIO(content), format="png") * 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (23, 31)])
def test_png_reads_back_as_written(shape):
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 256, shape).astype(np.uint8)
    ramp = np.add.outer(np.arange(shape[0]) * 5, np.arange(shape[1]) * 3).astype(np.uint8)
    for pixels in (noisy, ramp, np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)):
        assert np.array_equal(decoded(png(pixels)), pixels)


def test_a_smooth_picture_compresses_far_below_its_size():
    y, x = np.mgrid[:128, :128]
    smooth = (127 + 100 * np.sin(x / 30) * np.cos(y / 25)).astype(np.uint8)
    assert len(png(smooth)) < smooth.size / 4


def test_palette_png_shows_tints():
    palette = tint_palette([(255, 0, 0), (0, 255, 0)])
    grey = np.full((3, 4), 255, np.uint8)
    tint = np.zeros((3, 4), np.uint8)
    tint[0], tint[1] = 1, 2
    colours = decoded(png(tinted(grey, tint), palette))[..., :3].astype(int)
    assert (colours[2] == 255).all()
    assert (colours[0, :, 0] > colours[0, :, 1]).all()
    assert (colours[1, :, 1] > colours[1, :, 0]).all()
    assert int(tinted(grey, tint).max()) < 3 * GREYS


def test_window_is_black_below_and_white_above():
    grey = Window(-0.2, 0.2, "ppm").grey(np.array([-9, -0.2, 0, 0.2, 9, np.nan, np.inf, -np.inf]))
    assert grey.tolist() == [0, 0, 128, 255, 255, 0, 255, 0]


def test_windows_follow_the_brain_not_the_scalp():
    volume = np.full((9, 9, 9), 1000.0, np.float32)
    mask = np.zeros(volume.shape, bool)
    mask[2:7, 2:7, 2:7] = True
    volume[mask] = 100
    assert intensity_window(volume, mask).high == pytest.approx(110)
    volume[mask] = 20
    assert rate_window(volume, mask).high == pytest.approx(26)


@pytest.mark.parametrize("fill", [0.0, np.nan, -5.0])
def test_windows_of_an_empty_volume_stay_usable(fill):
    volume = np.full((4, 4, 4), fill, np.float32)
    for window in (intensity_window(volume, None), rate_window(volume, None)):
        assert window.high > window.low
        assert window.grey(volume[0]).max() == 0


@pytest.mark.parametrize(("value", "up"), [(0.0123, 0.013), (1, 1), (99.1, 100), (321, 330)])
def test_rounded_up(value, up):
    assert rounded_up(value) == pytest.approx(up)


def test_shrink_keeps_the_mean_and_labels_stay_labels():
    picture = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert shrink(picture, 2).shape == (2, 3)
    assert shrink(picture, 2).mean() == pytest.approx(picture.mean())
    ragged = np.arange(35).reshape(5, 7) % 3
    assert every(ragged, 2).shape == shrink(ragged, 2).shape == (3, 4)
    assert set(np.unique(every(ragged, 2))) <= {0, 1, 2}
    assert np.array_equal(every(ragged, 1), ragged)


def test_outline_of_a_block_is_its_four_edges():
    inside = np.zeros((6, 8), bool)
    inside[2:5, 1:4] = True
    assert outline_path(inside) == "M1 2h3M1 5h3M1 2v3M4 2v3"
    assert body_path(inside) == "M1 2h3v1h-3zM1 3h3v1h-3zM1 4h3v1h-3z"


def test_outline_closes_at_the_border_of_the_picture():
    assert outline_path(np.ones((2, 3), bool)) == "M0 0h3M0 2h3M0 0v2M3 0v2"
    assert outline_path(np.zeros((2, 3), bool)) == ""
