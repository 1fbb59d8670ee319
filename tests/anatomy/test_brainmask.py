"""The mask is the brain: on known heads, crops, without template, on real scans."""

import numpy as np
import pytest
from scipy import ndimage

from petechia.anatomy.boundary import BrainMaskParams
from petechia.anatomy.brainmask import brain_mask, combined, skull_free
from petechia.core.grid import Grid
from petechia.core.morphology import close_mm
from petechia.errors import InputError, ParameterError


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def darkened(head):
    """Return two echoes with a dark lesion in the depth and one at the surface, and where."""
    magnitude = head.magnitude.copy()
    deep = np.argwhere(head.regions == 13)[0]
    rim = np.argwhere(head.brain & (head.regions == 1))
    rim = rim[np.argmax(head.grid.to_mm(rim)[:, 2])]
    rim = np.rint(head.grid.to_index(head.grid.to_mm(rim) - (0, 0, 6.0))).astype(int)
    for place in (deep, rim):
        low = place - np.maximum(np.rint(3.0 / head.grid.spacing_mm), 1).astype(int)
        magnitude[tuple(slice(a, 2 * p - a + 1) for a, p in zip(low, place, strict=True))] = 0.5
    return np.stack([magnitude, 0.8 * magnitude]), (tuple(deep), tuple(rim))


@pytest.mark.parametrize(
    ("codes", "spacing_mm", "shading"),
    [("RAS", (2.5, 2.5, 3.0), 0.9), ("ILP", (5.0, 3.0, 2.5), 0.3)],
    ids=["shaded", "flipped thick slices"],
)
def test_a_known_brain_is_found_with_its_dark_lesions(
    make_head, template, codes, spacing_mm, shading
):
    head = make_head(codes, spacing_mm, shading=shading)
    echoes, lesions = darkened(head)
    found = brain_mask(echoes, head.grid, template)
    assert found.method == "template"
    assert found.registration.ok
    truth = close_mm(head.brain, head.grid, 4.0)
    # a margin is kept, and the averaged template has no crisp bone: its blur is let in
    assert dice(found.mask, truth) > 0.94
    assert (found.mask & head.brain).sum() > 0.998 * head.brain.sum()
    assert all(found.mask[place] for place in lesions)


@pytest.fixture(scope="module")
def plain(make_head):
    """A head of 4 mm, shared by the ways in which an input can be bad."""
    return make_head("RAS", (4.0, 4.0, 4.0), shading=0.2)


def elsewhere(grid, change):
    whole = np.eye(4)
    whole[:3, :3] = change
    return Grid(grid.shape, whole @ grid.affine)


def pitched(degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


@pytest.mark.parametrize(
    "change", [0.75 * np.eye(3), pitched(40.0)], ids=["infant", "pitched by 40 degrees"]
)
def test_a_small_or_turned_head_is_found(plain, template, change):
    found = brain_mask(plain.magnitude, elsewhere(plain.grid, change), template)
    assert found.method == "template"
    assert dice(found.mask, plain.brain) > 0.9
    assert found.mask[plain.brain].mean() > 0.985


def test_half_a_head_is_found(plain, template):
    box = (slice(0, plain.grid.shape[0] // 2), *(slice(0, n) for n in plain.grid.shape[1:]))
    found = brain_mask(plain.magnitude[box], plain.grid.cut(box), template)
    assert found.method == "template"
    assert dice(found.mask, plain.brain[box]) > 0.9


def test_a_thin_slab_is_found_and_says_that_it_was_not_registered(plain, template):
    middle = int(np.argwhere(plain.brain)[:, 2].mean())
    box = (*(slice(0, n) for n in plain.grid.shape[:2]), slice(middle, middle + 5))
    found = brain_mask(plain.magnitude[box], plain.grid.cut(box), template)
    assert found.method == "morphology"
    assert "not registered" in found.says[0]
    assert found.mask[plain.brain[box]].mean() > 0.97
    assert dice(found.mask, plain.brain[box]) > 0.9


def test_slices_ten_times_as_thick_as_fine(make_head, template):
    head = make_head("RAS", (1.4, 1.4, 14.0), shading=0.2)
    found = brain_mask(head.magnitude, head.grid, template)
    assert found.method == "template"
    assert dice(found.mask, head.brain) > 0.9


def test_of_a_stripped_head_all_is_kept_and_no_more(plain, template):
    found = brain_mask(plain.magnitude * plain.brain, plain.grid, template)
    assert dice(found.mask, close_mm(plain.brain, plain.grid, 4.0)) > 0.98
    assert found.mask[plain.brain].mean() > 0.99


@pytest.mark.parametrize("coils", [1, 16])
@pytest.mark.parametrize("zeros", [False, True], ids=["everywhere", "in an ellipse"])
def test_noise_is_refused(template, coils, zeros):
    grid = Grid((38, 44, 36), np.diag([5.0, 5.0, 5.0, 1.0]))
    parts = np.random.default_rng(0).normal(0, 20, (2 * coils, *grid.shape))
    noise = np.sqrt((parts**2).sum(axis=0)).astype(np.float32)
    if zeros:
        away = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in grid.shape), indexing="ij"))
        noise *= (away**2).sum(axis=0) < 0.8
    with pytest.raises(InputError, match=r"looks like noise|no brain in the magnitude"):
        brain_mask(noise, grid, template)


def test_noise_under_a_shade_is_refused(template):
    grid = Grid((48, 55, 45), np.diag([4.0, 4.0, 4.0, 1.0]))
    noise = np.hypot(*np.random.default_rng(0).normal(0, 20, (2, *grid.shape)))
    shade = np.exp(np.linspace(-1, 1, 55))[None, :, None]
    with pytest.raises(InputError, match="looks like noise"):
        brain_mask((noise * shade).astype(np.float32), grid, template)


def test_without_a_template_the_brain_is_cut_from_the_scalp(make_head):
    head = make_head("RAS", (3.0, 3.0, 3.0), shading=0.2, noise=0.01)
    found = brain_mask(head.magnitude, head.grid)
    assert found.method == "morphology"
    assert dice(found.mask, head.brain) > 0.85


def test_a_crop_keeps_its_tissue_and_its_lesions(template):
    grid = Grid((41, 45, 31), np.diag([0.6, 0.6, 1.0, 1.0]))
    rng = np.random.default_rng(0)
    crop = rng.normal(100, 5, grid.shape).astype(np.float32)
    crop[20:23, 20:23, 15:17] = 1.0
    found = brain_mask(crop, grid, template)
    assert found.method == "crop"
    assert found.mask.mean() > 0.99
    assert found.mask[21, 21, 15]
    assert found.registration is None


def test_a_crop_with_noise_beside_it_is_cut_there(template):
    grid = Grid((40, 44, 30), np.diag([0.7, 0.7, 1.0, 1.0]))
    rng = np.random.default_rng(0)
    signal = np.full(grid.shape, 100.0)
    signal[:8] = 0
    crop = np.hypot(signal + rng.normal(0, 2, grid.shape), rng.normal(0, 2, grid.shape))
    found = brain_mask(crop.astype(np.float32), grid, template)
    assert found.method == "crop"
    assert found.mask[9:].mean() > 0.99
    assert found.mask[:6].mean() < 0.01


def test_a_head_that_does_not_fit_says_so(template):
    """Nonsense of the size of a head is refused, or gets a warning and no regions."""
    grid = Grid((45, 52, 44), np.diag([4.0, 4.0, 4.0, 1.0]))
    middle = (np.array(grid.shape) / 2) * grid.spacing_mm
    away = np.linalg.norm(
        np.moveaxis(np.indices(grid.shape), 0, -1) * grid.spacing_mm - middle, axis=-1
    )
    rng = np.random.default_rng(0)
    noise = np.abs(rng.normal(0, 3, grid.shape))
    ball = ((away < 75) * 100 + noise).astype(np.float32)
    with pytest.raises(InputError, match="all the same"):  # a phantom
        brain_mask(ball, grid, template)
    lumps = ndimage.gaussian_filter(rng.normal(0, 1, grid.shape), 3.0)
    ball = ((away < 75) * 100 * np.exp(0.3 * lumps / lumps.std()) + noise).astype(np.float32)
    found = brain_mask(ball, grid, template)
    assert found.method == "morphology"
    assert not found.registration.ok
    assert "did not fit" in found.says[0]


def test_echoes_are_combined_by_their_squares():
    grid = Grid((3, 4, 5))
    echoes = np.stack([np.full(grid.shape, 3.0), np.full(grid.shape, 4.0)])
    np.testing.assert_allclose(combined(echoes, grid), 5.0)


def test_a_head_is_not_skull_free_and_its_core_is(make_head):
    head = make_head("RAS", (3.0, 3.0, 3.0))
    assert not skull_free(head.magnitude, head.grid)
    i, j, k = (n // 2 for n in head.grid.shape)
    core = head.magnitude[i - 12 : i + 12, j - 14 : j + 14, k - 6 : k + 10]
    assert skull_free(core, Grid(core.shape, head.grid.affine))


def test_bad_input_is_named(template):
    grid = Grid((20, 20, 20))
    with pytest.raises(InputError, match="all voxels are 0"):
        brain_mask(np.zeros(grid.shape, np.float32), grid, template)
    with pytest.raises(ParameterError, match="work_mm = 0"):
        BrainMaskParams(work_mm=0)


@pytest.mark.data
def test_a_real_head_gives_a_brain(real_data, template):
    """3 T, 3 x 3 x 3.6 mm, face and neck in view: volume, symmetry, signal inside and out."""
    pydicom = pytest.importorskip("pydicom")
    files = sorted((real_data / "real/siemens_ve11/2_me_FieldMap_GRE").glob("*.dcm"))
    slices = [pydicom.dcmread(f) for f in files]
    first = sorted((s for s in slices if s.EchoTime < 6), key=lambda s: s.ImagePositionPatient[2])
    magnitude = np.stack([s.pixel_array.T for s in first], axis=-1).astype(np.float32)
    origin = [float(x) for x in first[0].ImagePositionPatient]
    grid = Grid(
        magnitude.shape,
        np.array(
            [[-3, 0, 0, -origin[0]], [0, -3, 0, -origin[1]], [0, 0, 3.6, origin[2]], [0, 0, 0, 1.0]]
        ),
    )
    found = brain_mask(magnitude, grid, template)
    assert found.method == "template"
    volume_ml = found.mask.sum() * grid.voxel_mm3 / 1000
    assert 1250 < volume_ml < 1700
    # bone is dark: the shell 3 to 9 mm outside must be far darker than the rim inside
    out = ndimage.distance_transform_edt(~found.mask, sampling=grid.spacing_mm)
    rim = found.mask & (ndimage.distance_transform_edt(found.mask, sampling=grid.spacing_mm) < 6)
    upper = np.zeros_like(found.mask)
    upper[:, :, 20:] = True  # above the skull base
    shell = (out > 3) & (out < 9) & upper
    assert np.median(magnitude[shell]) < 0.5 * np.median(magnitude[rim & upper])
