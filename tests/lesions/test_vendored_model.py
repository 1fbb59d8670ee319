"""The model in the package, on a phantom that it was never shown."""

from dataclasses import replace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.lesions.classification import METHODS
from petechia.lesions.detect import detect
from petechia.lesions.features import NAMES, Described
from petechia.lesions.params import DetectParams
from petechia.pipeline.detector import card, detector, operating_points, threshold
from petechia.pipeline.settings import Settings
from petechia.simulate.protocols import PROTOCOLS

PARAMS = DetectParams(threshold=0.5)


@pytest.fixture(scope="module")
def model():
    return detector()


@pytest.fixture(scope="module")
def found(phantom, model):
    return detect(phantom.inputs(), PARAMS, model)


def nearest(detection, place_mm):
    """Return the finding nearest to a place [mm]."""
    away = [
        np.linalg.norm(np.subtract((f.x_mm, f.y_mm, f.z_mm), place_mm)) for f in detection.findings
    ]
    assert min(away) < 2.5
    return detection.findings[int(np.argmin(away))]


def stored_otherwise(phantom, order, flip):
    """Return the same world in another array."""

    def turned(volume):
        return np.ascontiguousarray(np.flip(np.transpose(volume, order), flip))

    shape = phantom.mask.shape
    step = np.zeros((4, 4))
    step[3, 3] = 1
    for new, old in enumerate(order):
        step[old, new] = -1 if new == flip else 1
        step[old, 3] = shape[old] - 1 if new == flip else 0
    return replace(
        phantom,
        grid=Grid(turned(phantom.mask).shape, phantom.grid.affine @ step),
        **{n: turned(getattr(phantom, n)) for n in ("mask", "magnitude", "field_ppm", "noise_ppm")},
    )


@pytest.mark.parametrize(("order", "flip"), [((2, 0, 1), 1), ((1, 0, 2), 0)])
def test_probabilities_do_not_depend_on_how_the_volume_is_stored(
    phantom, model, found, order, flip
):
    other = detect(stored_otherwise(phantom, order, flip).inputs(), PARAMS, model)
    for lesion in phantom.objects[:4]:
        place = phantom.grid.to_mm(lesion.centre_vox)
        one, two = nearest(found, place), nearest(other, place)
        assert (one.class_, one.sign) == (two.class_, two.sign)
        # a void's middle voxel may be another one: what hangs on it moves a little
        assert one.probability == pytest.approx(two.probability, abs=0.15)


def test_a_mirrored_head_has_the_same_probabilities(phantom, model, found):
    """Left becomes right: other arrays under the same affine."""
    mirrored = replace(
        phantom,
        **{
            n: getattr(phantom, n)[::-1].copy()
            for n in ("mask", "magnitude", "field_ppm", "noise_ppm")
        },
    )
    other = detect(mirrored.inputs(), PARAMS, model)
    width = phantom.mask.shape[0] - 1
    for lesion in phantom.objects[:4]:
        i, j, k = lesion.centre_vox
        one = nearest(found, phantom.grid.to_mm((i, j, k)))
        two = nearest(other, phantom.grid.to_mm((width - i, j, k)))
        assert one.class_ == two.class_
        assert one.probability == pytest.approx(two.probability, abs=0.15)


@pytest.mark.parametrize("classification", list(METHODS))
def test_calcium_is_never_counted(phantom, model, classification):
    params = replace(PARAMS, classification=classification, threshold=0.05)
    calcium = phantom.grid.to_mm(phantom.objects[3].centre_vox)
    f = nearest(detect(phantom.inputs(), params, model), calcium)
    assert (f.class_, f.counted) == ("calcification", False)
    assert f.probability <= 0.02


def test_missing_images_are_no_error(phantom, model):
    blind = detect(phantom.inputs(phase=False), PARAMS, model)
    assert all(f.sign == "not_assessed" for f in blind.findings)
    assert not any(f.class_ == "calcification" for f in blind.findings)
    unsigned = detect(phantom.inputs(sign_trusted=False), PARAMS, model)
    assert all(f.moment_ppm_mm3 is None for f in unsigned.findings)


def test_evidence_tells_the_model_s_reasons(found):
    told = [f.evidence for f in found.findings if f.class_ not in ("calcification", "macrobleed")]
    assert told
    assert all(text.startswith("model: ") for text in told)


def test_the_card_and_the_model_belong_together(model):
    assert model.card is not None
    assert set(model.joint) == set(METHODS)
    assert card()["default"] == DetectParams().classification == Settings().classification
    trees = (model.bleed, model.bleed_thick)
    total = sum(len(v.tobytes()) for of in trees for v in of.arrays().values())
    assert total < 8_000_000


def test_named_protocols_are_like_what_it_was_trained_on_but_for_the_coarsest():
    trained, unlike = detector(), []
    row = np.full((1, len(NAMES)), np.nan, np.float32)
    for name, protocol in PROTOCOLS.items():
        thick, thin = max(protocol.spacing_mm), min(protocol.spacing_mm)
        row[0, [NAMES.index(n) for n in ("in_plane_mm", "thickness_ratio")]] = thin, thick / thin
        row[0, NAMES.index("log_voxel")] = np.log(np.prod(protocol.spacing_mm))
        if trained.unlike(Described(table=row, cubes=np.zeros((1, 6, 2, 2, 2)))):
            unlike.append(name)
    assert unlike == ["3t_tiny"]  # cubes of 2.4 mm


def test_rows_count_from_points_of_their_own_in_thin_slices():
    default = operating_points()
    assert operating_points(classification=card()["default"]) == default
    for row in set(METHODS) - {card()["default"]}:
        assert operating_points(classification=row) == card()["points_of_combined"] != default
        assert detector(classification=row).operating_points == operating_points(classification=row)
        assert threshold("balanced", slice_mm=5.0, classification=row) == threshold(
            "balanced", slice_mm=5.0
        )


def test_thick_slices_have_thresholds_of_their_own():
    thin, thick = operating_points(slice_mm=2.9), operating_points(slice_mm=3.0)
    assert thin == operating_points() == detector(slice_mm=1.0).operating_points
    assert thick == detector(slice_mm=6.0).operating_points
    assert thick.keys() == thin.keys()
    assert all(thick[name] != thin[name] for name in thin)
    # where both go by trees and network alone, less is seen in thick ones
    alike = operating_points(classification="combined")
    assert all(thick[name] < alike[name] for name in ("balanced", "counting"))
    for points in (thin, thick):
        assert points["screening"] < points["balanced"] < points["counting"]
    assert threshold("balanced", slice_mm=5.0) == thick["balanced"]
