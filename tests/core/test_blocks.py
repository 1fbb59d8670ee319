import numpy as np

from petechia.core.blocks import Blocks, blur
from petechia.core.grid import Grid


def test_blocks_keep_linear_fields_and_places(grid):
    blocks = Blocks.of(grid, 2.5)
    assert blocks.factors == (2, 2, 2)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"))
    ramp = np.tensordot([0.3, -0.2, 0.5], index, 1).astype(np.float32)
    whole = blocks.reduce(np.ones(grid.shape, np.float32))
    coarse = blocks.reduce(ramp) / whole
    inner = np.s_[2:-4, 2:-4, 2:-4]
    assert np.allclose(blocks.expand(coarse)[inner], ramp[inner], atol=1e-4)
    assert np.allclose(blocks.coarse.to_mm((3, 4, 5)), grid.to_mm((6.5, 8.5, 10.5)))
    assert np.allclose(blocks.coarse.b0_dir, grid.b0_dir)


def test_blocks_never_exceed_the_volume():
    blocks = Blocks.of(Grid.from_spacing((2, 5, 9), 0.5), 4.0)
    assert blocks.factors == (2, 5, 8)
    assert blocks.reduce(np.ones((2, 5, 9))).shape == (1, 1, 2)
    assert blocks.expand(np.ones((1, 1, 2), np.float32)).shape == (2, 5, 9)


def test_the_median_of_a_block_is_that_of_its_voxels_in_the_mask():
    rng = np.random.default_rng(0)
    values, mask = rng.normal(size=(5, 4, 7)), rng.random((5, 4, 7)) > 0.3
    mask[4:, 2:, 6:] = False
    found = Blocks.of(Grid((5, 4, 7)), 2.0).median(values, mask)
    assert found.shape == (3, 2, 4)
    for i, j, k in np.ndindex(3, 2, 4):
        part = np.s_[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, 2 * k : 2 * k + 2]
        own = values[part][mask[part]]
        assert np.isclose(found[i, j, k], np.median(own) if own.size else np.nan, equal_nan=True)
    assert np.isnan(found[2, 1, 3])


def test_blur_is_in_millimetres():
    grid = Grid.from_spacing((41, 41, 21), (1.0, 1.0, 2.0))
    point = np.zeros(grid.shape, np.float32)
    point[20, 20, 10] = 1
    out = blur(point, grid, 3.0)
    assert np.isclose(out[24, 20, 10], out[20, 20, 12], rtol=0.02)
    assert np.isclose(out.sum(), 1, atol=1e-3)
