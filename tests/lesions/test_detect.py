import tomllib
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage
from scipy.fft import set_workers

import petechia.files
from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError, ParameterError
from petechia.lesions.anew import _may_be_a_piece
from petechia.lesions.criteria import COMPARTMENTS, SITES
from petechia.lesions.detect import COMMON, measure
from petechia.lesions.detect import detect as told_of
from petechia.lesions.findings import CLASSES, COLUMNS, SIGNS
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.look import look
from petechia.lesions.params import DetectParams
from petechia.lesions.rows import Measured
from petechia.lesions.shortlist import ShortlistParams
from petechia.lesions.slices import is_thick
from petechia.pipeline.detector import detector, threshold

CONTRACT = tomllib.loads((Path(petechia.files.__file__).parent / "contract.toml").read_text())[
    "findings"
]


@cache
def model(thick):
    """The vendored model, of thin or of thick slices."""
    return detector(slice_mm=5.0 if thick else 1.0)


def detect(inputs, params=None):
    """As a run does: named by the model for these slices, counted at its balanced point."""
    slice_mm = float(inputs.grid.spacing_mm.max())
    chosen = params or DetectParams(threshold=threshold("balanced", slice_mm=slice_mm))
    return told_of(inputs, chosen, model(bool(is_thick(slice_mm))))


def by_rules(inputs):
    """Without a model."""
    return told_of(inputs)


@pytest.fixture(scope="module")
def found(phantom):
    return detect(phantom.inputs())


def at(detection, grid, place_vox, reach_mm=2.0):
    """Return the finding nearest to a place, or None."""
    gaps = [
        np.linalg.norm(grid.to_mm(place_vox) - (f.x_mm, f.y_mm, f.z_mm)) for f in detection.findings
    ]
    if not gaps or min(gaps) > reach_mm:
        return None
    return detection.findings[int(np.argmin(gaps))]


def check_agreement(detection, grid):
    """What the output contract demands of rows and labels."""
    rows = [f.row() for f in detection.findings]
    values = set(np.unique(detection.labels).tolist()) - {0}
    assert values == {int(r["index"]) for r in rows}
    assert len({r["index"] for r in rows}) == len(rows) == len({r["name"] for r in rows})
    for row in rows:
        assert set(COLUMNS) <= set(row)
        for key in ("class", "sign", "mars", "side", "site", "compartment"):
            assert row[key] in CONTRACT[key]
        body = np.argwhere(detection.labels == int(row["index"]))
        centre = grid.to_mm(body.mean(axis=0))
        told = [float(row[k]) for k in ("x_mm", "y_mm", "z_mm")]
        assert np.allclose(centre, told, atol=0.006)
        assert float(row["volume_mm3"]) == pytest.approx(len(body) * grid.voxel_mm3, abs=0.006)
        assert 0 <= float(row["probability"]) <= 1
        assert row["class"] != "microbleed" or float(row["diameter_mm"]) <= 10
        assert row["counted"] == "0" or row["class"] == "microbleed"
        assert row["evidence"]
        assert "nan" not in " ".join(row.values())
        assert "inf" not in " ".join(v for k, v in row.items() if k in ("moment_ppm_mm3",))
        assert not any(c in "".join(row.values()) for c in "\t\n")


def test_columns_and_words_are_the_contract_s():
    assert list(COLUMNS) == CONTRACT["columns"]
    assert list(CLASSES) == CONTRACT["class"]
    assert list(SIGNS) == CONTRACT["sign"]
    assert list(SITES) == CONTRACT["site"]
    assert list(COMPARTMENTS) == CONTRACT["compartment"]


def test_microbleeds_are_found_with_their_moments(phantom, found):
    for sphere in phantom.objects[:3]:
        f = at(found, phantom.grid, sphere.centre_vox)
        assert (f.class_, f.sign, f.counted) == ("microbleed", "paramagnetic", True)
        assert f.moment_ppm_mm3 == pytest.approx(sphere.moment, rel=0.08)
        assert abs(f.moment_ppm_mm3 - sphere.moment) < 3 * f.moment_se_ppm_mm3
        source = np.subtract(f.source_mm, phantom.grid.to_mm(sphere.centre_vox))
        assert np.linalg.norm(source) < 0.5


def test_the_void_says_more_of_a_moment_and_to_the_rules_nothing_of_what_it_is(
    phantom, monkeypatch
):
    found = by_rules(phantom.inputs())
    told = [f for f in found.findings if "by its void" in f.evidence]
    assert len(told) >= 3
    assert all(f.class_ in ("microbleed", "undetermined") for f in told)
    monkeypatch.setattr("petechia.lesions.look.fit_dephasing", lambda *_: None)
    without = by_rules(phantom.inputs())
    for a, b in zip(found.findings, without.findings, strict=True):
        assert (a.class_, a.sign, a.probability) == (b.class_, b.sign, b.probability)
        same = a.moment_ppm_mm3 == b.moment_ppm_mm3
        assert same == ("by its void" not in a.evidence)


def test_the_rules_find_and_count_the_same(phantom, found):
    other = by_rules(phantom.inputs())
    for sphere in phantom.objects[:4]:
        one, two = (at(d, phantom.grid, sphere.centre_vox) for d in (found, other))
        assert (one.class_, one.sign, one.counted) == (two.class_, two.sign, two.counted)
    assert sum(f.counted for f in other.findings) == 3


def test_calcium_is_never_blood(phantom, found):
    calcium = phantom.objects[3]
    f = at(found, phantom.grid, calcium.centre_vox)
    assert (f.class_, f.sign, f.counted) == ("calcification", "diamagnetic", False)
    assert f.moment_ppm_mm3 == pytest.approx(calcium.moment, rel=0.08)


def test_the_vein_is_not_counted_but_told(phantom, found):
    assert sum(f.counted for f in found.findings) == 3
    assert sum(f.class_ == "vessel" for f in found.findings) >= 3


def test_table_and_labels_agree(phantom, found):
    check_agreement(found, phantom.grid)


def test_most_probable_first(found):
    p = [f.probability for f in found.findings]
    assert p == sorted(p, reverse=True)
    assert [f.index for f in found.findings] == list(range(1, len(p) + 1))


def test_spots_of_no_probability_are_not_told_side_by_side():
    def spot(total, seed):
        verdict = SimpleNamespace(probability=1 / (1 + np.exp(-total)), terms={"all": total})
        void = SimpleNamespace(seed_vox=np.array(seed))
        return Measured(void=void, features=None, verdict=verdict)

    left, right = spot(-12.0, (1, 5, 5)), spot(-9.0, (90, 5, 5))
    assert sorted([left, right], key=lambda m: m.order) == [right, left]


def stored(scan, order, flip):
    """Return a phantom whose axes are permuted, one of them reversed: a left-handed affine."""

    def turned(volume):
        return np.ascontiguousarray(np.flip(np.transpose(volume, order), flip))

    shape = scan.mask.shape
    step = np.zeros((4, 4))
    step[3, 3] = 1
    for new, old in enumerate(order):
        step[old, new] = -1 if new == flip else 1
        step[old, 3] = shape[old] - 1 if new == flip else 0
    grid = Grid(turned(scan.mask).shape, scan.grid.affine @ step)
    assert np.linalg.det(grid.affine[:3, :3]) < 0
    volumes = ("mask", "magnitude", "field_ppm", "noise_ppm")
    return replace(scan, grid=grid, **{name: turned(getattr(scan, name)) for name in volumes})


def check_the_same(scan, found, other, place_vox, rel=0.02):
    """Places in mm are those of the same world."""
    one, two = (at(d, scan.grid, place_vox, 3.0) for d in (found, other))
    assert (one.class_, one.sign, one.counted) == (two.class_, two.sign, two.counted)
    # the middle of an even number of voxels is a matter of choice
    assert one.volume_mm3 == pytest.approx(two.volume_mm3, rel=0.1)
    assert one.moment_ppm_mm3 == pytest.approx(two.moment_ppm_mm3, rel=rel)
    assert (one.x_mm, one.y_mm, one.z_mm) == pytest.approx((two.x_mm, two.y_mm, two.z_mm), abs=0.1)


@pytest.mark.parametrize(("order", "flip"), [((0, 1, 2), 0), ((2, 0, 1), 1)])
def test_findings_do_not_depend_on_how_the_volume_is_stored(phantom, found, order, flip):
    other = detect(stored(phantom, order, flip).inputs())
    for lesion in phantom.objects[:4]:
        check_the_same(phantom, found, other, lesion.centre_vox)


def test_nor_do_those_in_thick_slices(make):
    spheres = [make.Sphere((12.2, 14.1, 5.3), 1.3, 1.0), make.Sphere((26.0, 27.3, 9.6), 1.6, 1.0)]
    scan = make.build(spheres, (37, 39, 15), (1, 1, 4))
    found = detect(scan.inputs())
    assert sum(f.counted for f in found.findings) == 2
    for order, flip in (((0, 1, 2), 2), ((2, 0, 1), 1)):
        other = detect(stored(scan, order, flip).inputs())
        for sphere in spheres:
            check_the_same(scan, found, other, sphere.centre_vox)


def test_two_threads_give_the_same_table(phantom, found):
    with set_workers(2):
        two = detect(phantom.inputs())
    assert [f.row() for f in two.findings] == [f.row() for f in found.findings]
    assert (two.labels == found.labels).all()


def test_the_same_input_gives_the_same_table(phantom, found):
    again = detect(phantom.inputs())
    assert [f.row() for f in again.findings] == [f.row() for f in found.findings]


def test_reversed_phase_turns_blood_into_calcium(phantom):
    turned = detect(phantom.inputs(local_field_ppm=-phantom.field_ppm))
    f = at(turned, phantom.grid, phantom.objects[0].centre_vox)
    assert f.class_ == "calcification"


def test_unknown_handedness_gives_no_sign_and_no_moment(phantom):
    blind = detect(phantom.inputs(sign_trusted=False))
    f = at(blind, phantom.grid, phantom.objects[0].centre_vox)
    assert (f.class_, f.sign, f.moment_ppm_mm3) == ("microbleed", "not_assessed", None)
    assert any("handedness" in text for text in blind.says)
    assert any("Probabilities leave calcium out" in text for text in blind.says)
    (told,) = [text for text in blind.says if "opposite sign" in text]
    both = [f for f in blind.findings if f.class_ == "microbleed" and "as given" in f.evidence]
    more = sum("; paramagnetic if" in f.evidence for f in both)
    assert 1 == len(both) - more < more
    assert f"opposite sign, {more} and 1:" in told
    check_agreement(blind, phantom.grid)


def test_magnitude_alone_finds_all_four_and_says_so(phantom):
    plain = detect(phantom.inputs(phase=False))
    for sphere in phantom.objects[:4]:
        f = at(plain, phantom.grid, sphere.centre_vox)
        assert (f.class_, f.sign, f.moment_ppm_mm3) == ("microbleed", "not_assessed", None)
    assert sum(f.counted for f in plain.findings) == 4
    assert "blood and calcium cannot be told apart" in plain.says[0]
    check_agreement(plain, phantom.grid)


@pytest.mark.parametrize(
    ("spacing", "b0_dir"),
    [((0.8, 0.8, 2.0), (0, 0, 1)), ((1, 1, 4), (0, 0, 1)), ((1, 1, 1), (0, 0.5, 0.8))],
    ids=["anisotropic", "thick", "oblique"],
)
def test_other_protocols(make, spacing, b0_dir):
    spheres = [make.Sphere((12.2, 14.1, 7.3), 1.1, 1.0), make.Sphere((26.0, 27.3, 13.6), 1.3, 1.0)]
    scan = make.build(spheres, (37, 39, 21), spacing, b0_dir)
    detection = detect(scan.inputs())
    for sphere in spheres:
        f = at(detection, scan.grid, sphere.centre_vox, 3.0)
        assert f.counted
        assert f.moment_ppm_mm3 == pytest.approx(sphere.moment, rel=0.15)
    assert sum(f.counted for f in detection.findings) == 2
    check_agreement(detection, scan.grid)


def test_any_axis_may_be_the_slice_axis(make):
    sphere = make.Sphere((7.3, 14.1, 12.2), 1.2, 1.0)
    scan = make.build([sphere], (17, 33, 31), (2.5, 0.9, 0.9), (1, 0, 0))
    (f,) = [f for f in detect(scan.inputs()).findings if f.counted]
    assert f.moment_ppm_mm3 == pytest.approx(sphere.moment, rel=0.15)


def test_a_lesion_at_the_border_of_the_volume(make):
    scan = make.build([make.Sphere((0.4, 12.0, 11.0), 1.2, 1.0)], (23, 25, 23))
    f = at(detect(scan.inputs()), scan.grid, (0.4, 12.0, 11.0))
    assert f.class_ == "microbleed"


def test_only_the_brain_is_searched(phantom):
    mask = np.zeros(phantom.grid.shape, dtype=bool)
    mask[4:22, 4:24, 3:20] = True
    inside = detect(replace(phantom.inputs(), brain_mask=mask))
    assert (inside.labels[~mask] == 0).all()
    assert at(inside, phantom.grid, phantom.objects[0].centre_vox).counted
    check_agreement(inside, phantom.grid)


def test_regions_name_the_place(phantom):
    left = SimpleNamespace(name="left thalamus", side="left", site="thalamus", compartment="deep")
    seen = []

    def region_of(place):
        seen.append(place)
        return left if place[0] < 20 else None

    detection = detect(phantom.inputs(region_of=region_of))
    f = at(detection, phantom.grid, phantom.objects[0].centre_vox)
    assert (f.side, f.site, f.compartment) == ("left", "thalamus", "deep")
    f = at(detection, phantom.grid, phantom.objects[1].centre_vox)
    assert (f.side, f.site, f.compartment) == ("n/a", "n/a", "n/a")
    assert all(isinstance(n, int) for n in seen[0])


def test_extra_images_do_not_hurt(phantom):
    rate = -np.log(np.maximum(phantom.magnitude / phantom.magnitude.max(), 0.01)) / phantom.te_s
    chi = np.zeros(phantom.grid.shape, dtype=np.float32)
    chi[12, 14, 11] = 0.8
    more = detect(
        phantom.inputs(
            swi=phantom.magnitude,
            r2star=rate,
            chi_ppm=chi,
            vessel=np.zeros_like(chi),
            field_mask=phantom.mask,
        )
    )
    f = at(more, phantom.grid, phantom.objects[0].centre_vox)
    assert f.counted
    assert f.chi_mean_ppm > 0
    check_agreement(more, phantom.grid)


def test_moments_are_read_before_background_removal_where_that_field_is_known(phantom, found):
    whole = phantom.inputs().local_field_ppm
    tilt = 0.02 * np.arange(phantom.grid.shape[0], dtype=np.float32)[:, None, None]
    told = detect(phantom.inputs(local_field_ppm=0.7 * whole, total_field_ppm=whole + tilt))
    for sphere in (thing for thing in phantom.objects if hasattr(thing, "moment")):
        before, now = (at(d, phantom.grid, sphere.centre_vox) for d in (found, told))
        assert now.moment_ppm_mm3 == pytest.approx(before.moment_ppm_mm3, rel=0.1)


def test_the_table_is_bounded_and_says_so(phantom, found):
    named = [f for f in found.findings if f.class_ not in COMMON]
    assert len(found.findings) > len(named) > 1, "the phantom needs both kinds"
    few = detect(phantom.inputs(), DetectParams(most_findings=len(named)))
    assert any(f"{len(named)} are listed" in text for text in few.says)
    # lesions and calcifications stay; veins and edges make room
    assert [(f.class_, f.x_mm) for f in few.findings] == [(f.class_, f.x_mm) for f in named]
    check_agreement(few, phantom.grid)


def test_the_operating_point_counts(phantom, found):
    strict = detect(phantom.inputs(), DetectParams(threshold=1.0))
    assert len(strict.findings) == len(found.findings)
    assert sum(f.counted for f in strict.findings) == sum(
        f.counted and f.probability == 1.0 for f in found.findings
    )


@pytest.mark.parametrize("what", ["mask", "magnitude", "flat"])
def test_nothing_found_says_why(phantom, what):
    zero = np.zeros(phantom.grid.shape, dtype=np.float32)
    change = {
        "mask": {"brain_mask": zero > 0},
        "magnitude": {"magnitude": zero},
        "flat": {"magnitude": zero + 100},
    }[what]
    detection = detect(replace(phantom.inputs(phase=False), **change))
    assert detection.findings == ()
    assert not detection.labels.any()
    words = {"mask": "mask is empty", "magnitude": "zero throughout", "flat": "No spot"}[what]
    assert words in detection.says[-1]


def test_bad_input_is_named(phantom):
    with pytest.raises(GridMismatchError, match=r"LesionInputs\.swi"):
        phantom.inputs(swi=np.zeros((3, 3, 3)))
    with pytest.raises(InputError, match="not finite"):
        phantom.inputs(chi_ppm=np.full(phantom.grid.shape, np.nan))
    with pytest.raises(ParameterError, match=r"reading echo time of 20\.0 s"):
        replace(phantom.inputs(), reading_te_s=20.0)
    with pytest.raises(ParameterError, match="main field of 0"):
        replace(phantom.inputs(), b0_t=0.0)
    with pytest.raises(ParameterError, match="no method 'frangi'"):
        DetectParams(finders=("frangi",))
    with pytest.raises(ParameterError, match=r"operating point 1\.5"):
        DetectParams(threshold=1.5)
    with pytest.raises(ParameterError, match="0 findings"):
        DetectParams(most_findings=0)


def test_filtered_phase_of_unknown_handedness_tells_whether_spots_are_of_one_sign(phantom):
    field = phantom.field_ppm - ndimage.gaussian_filter(phantom.field_ppm, 8)
    given = phantom.inputs(phase=False, filtered_field_ppm=field, sign_trusted=False)
    likely = SimpleNamespace(
        judge=lambda *_: SimpleNamespace(says=[], of=lambda n: (0.9, {"vessel": 1.0}, "")),
        order_of=lambda _: None,
        least_probability=0.3,
    )
    told = told_of(given, model=likely)
    assert {f.sign for f in told.findings} == {"not_assessed"}
    (words,) = [text for text in told.says if "opposite sign" in text]
    assert "one of these two groups is no blood" in words
    known = told_of(replace(given, sign_trusted=True), model=likely)
    assert not any("opposite sign" in text for text in known.says)
    assert {"paramagnetic", "diamagnetic"} <= {f.sign for f in known.findings}


def test_noise_is_not_blood():
    """A volume of noise alone: nothing is counted, and no sign is clear beyond chance."""
    rng = np.random.default_rng(3)
    grid = Grid((33, 35, 31))
    inputs = LesionInputs(
        grid=grid,
        brain_mask=np.ones(grid.shape, dtype=bool),
        b0_t=3.0,
        reading_te_s=0.02,
        magnitude=np.hypot(*rng.normal(size=(2, *grid.shape))).astype(np.float32),
        local_field_ppm=rng.normal(0, 0.3, grid.shape).astype(np.float32),
        field_noise_ppm=np.full(grid.shape, 0.3, dtype=np.float32),
    )
    found = detect(inputs)
    assert not any(f.counted for f in found.findings)
    told = [f for f in found.findings if f.moment_ppm_mm3 is not None]
    clear = [f for f in told if f.sign in ("paramagnetic", "diamagnetic")]
    assert len(clear) <= 0.05 * max(len(told), 20)


def test_missing_slices_are_no_lesions(phantom):
    """Slices of zeros are neither found nor do they hide what lies elsewhere."""
    magnitude = phantom.magnitude.copy()
    magnitude[:, :, 20:22] = 0
    found = detect(replace(phantom.inputs(), magnitude=magnitude))
    lost = np.zeros(phantom.grid.shape, dtype=bool)
    lost[:, :, 20:22] = True
    for f in found.findings:
        body = found.labels == f.index
        assert not (f.counted and (body & lost).any())
    for sphere in phantom.objects[:3]:
        assert at(found, phantom.grid, sphere.centre_vox).counted


class TestPieces:
    def bleeds(self, make, gap_mm):
        half = 0.5 * gap_mm
        spheres = [make.Sphere((23.0, 24.0, 22.0 + z), 1.8, 0.5) for z in (-half, half)]
        phantom = make.build(spheres, seed=3)
        seen = look(phantom.inputs(), DetectParams())
        cut = [v for v in seen.voids if len(v.body) > 20]
        found = detect(phantom.inputs())
        return spheres, cut, [f for f in found.findings if f.class_ == "microbleed"], found.labels

    def test_one_lesion_cut_in_two_is_one_finding_with_the_whole_moment(self, make):
        spheres, cut, bleeds, labels = self.bleeds(make, gap_mm=4.0)
        assert len(cut) == 2
        (one,) = bleeds
        true = sum(s.moment for s in spheres)
        assert one.moment_ppm_mm3 == pytest.approx(true, rel=0.06)
        assert one.moment_se_ppm_mm3 < 0.15 * true
        assert (labels == one.index).sum() == sum(len(v.body) for v in cut)
        assert np.allclose((one.x_mm, one.y_mm, one.z_mm), (23, 24, 22), atol=0.5)
        assert f"moment {one.moment_ppm_mm3:.2f}" in one.evidence
        assert one.evidence.endswith("; 2 voids that touch, as one")

    @pytest.mark.parametrize("along", [(1, 0, 1), (1, 1, 1), (1, 0, 0)])
    @pytest.mark.parametrize(("radius_mm", "chi_ppm"), [(1.3, 1.0), (1.8, 0.5)])
    def test_a_void_of_two_lobes_has_the_moment_of_both(self, make, along, radius_mm, chi_ppm):
        """Spheres 2.5 mm apart, 1 and 0.61 of the volume: one void, which is no point's."""
        half = 1.25 * np.array(along) / np.linalg.norm(along)
        middle = np.array((23.3, 24.1, 22.4))
        spheres = [
            make.Sphere(tuple(middle + way * half), radius_mm * size, chi_ppm)
            for way, size in ((-1, 1.0), (1, 0.85))
        ]
        phantom = make.build(spheres, seed=3)
        seen = look(phantom.inputs(), DetectParams())
        (one,) = [f for f in detect(phantom.inputs()).findings if f.class_ == "microbleed"]
        true = sum(s.moment for s in spheres)
        assert one.moment_ppm_mm3 == pytest.approx(true, rel=0.03)
        assert one.moment_se_ppm_mm3 < 0.15 * true
        assert one.evidence.endswith("; its field is that of two lobes")
        assert max(f.fit.moment_ppm_mm3 for f in seen.features) < 0.94 * true

    @pytest.mark.parametrize(("radius_mm", "chi_ppm"), [(2.3, -1.5), (3.0, -1.2)])
    def test_a_stone_cut_in_pieces_is_one_calcification(self, make, radius_mm, chi_ppm):
        """A stone keeps signal of its own, and its rim is darker than its middle."""
        stone = make.Sphere((23.0, 24.0, 22.0), radius_mm, chi_ppm)
        phantom = make.build([stone], seed=3)
        seen = look(phantom.inputs(), DetectParams())
        assert sum(len(v.body) > 20 for v in seen.voids) > 1
        (one,) = [f for f in detect(phantom.inputs()).findings if f.sign == "diamagnetic"]
        assert one.class_ == "calcification"
        assert one.moment_ppm_mm3 == pytest.approx(stone.moment, rel=0.06)

    def test_two_stones_are_two(self, make):
        stones = [make.Sphere((23.0, 24.0, 22.0 + z), 1.8, -0.9) for z in (-2.5, 2.5)]
        found = detect(make.build(stones, seed=3).inputs()).findings
        told = [f.moment_ppm_mm3 for f in found if f.class_ == "calcification"]
        assert told == pytest.approx([s.moment for s in stones], rel=0.06)

    def test_one_sphere_is_no_two_lobes(self, phantom, found):
        for sphere in phantom.objects[:3]:
            assert "lobes" not in at(found, phantom.grid, sphere.centre_vox).evidence

    def test_two_lesions_side_by_side_are_two_with_a_moment_each(self, make):
        spheres, _, bleeds, _ = self.bleeds(make, gap_mm=6.0)
        assert [f.moment_ppm_mm3 for f in bleeds] == pytest.approx(
            [s.moment for s in spheres], rel=0.06
        )

    def test_a_dark_place_with_no_more_moment_than_tissue_is_no_piece(self):
        """A void of 274 mm3 beside a bleed of 30 mm3, its moment 1.08 +- 1.14 ppm mm3."""

        def spot(moment, error, volume=274.0):
            fit = SimpleNamespace(moment_ppm_mm3=moment, se_ppm_mm3=error)
            shape = SimpleNamespace(volume_mm3=volume)
            return SimpleNamespace(
                verdict=SimpleNamespace(sign="unclear"),
                features=SimpleNamespace(through=0.1, shape=shape, fit=fit if error else None),
            )

        assert not _may_be_a_piece(spot(1.08, 1.14))
        for more in (spot(12.0, 1.14), spot(1.08, 6.0), spot(1.08, 1.14, 30.0), spot(0, 0)):
            assert _may_be_a_piece(more)

    @pytest.mark.parametrize(
        ("gap_mm", "other_chi"), [(4.0, 1.0), (3.4, -1.0)], ids=["blood", "calcium"]
    )
    def test_what_is_unlikely_joins_a_lesion_and_calcium_does_not(self, make, gap_mm, other_chi):
        one = make.Sphere((23.0, 24.0, 22.0 - gap_mm / 2), 1.4, 1.0)
        other = make.Sphere((23.0, 24.0, 22.0 + gap_mm / 2), 1.4, other_chi)
        found = detect(make.build([one, other], seed=3).inputs()).findings
        told = [f.moment_ppm_mm3 for f in found if f.class_ in ("microbleed", "calcification")]
        true = [one.moment + other.moment] if other_chi > 0 else [one.moment, other.moment]
        assert told == pytest.approx(true, rel=0.06)


def test_a_model_tells_which_dark_spots_are_measured(phantom):
    """By its order for the thickness of the slices, which is asked for once and obeyed."""
    asked, params = [], DetectParams(shortlist=ShortlistParams(most=2, sure=np.inf))

    def order(slice_mm, sign):
        asked.append(slice_mm)
        trees = model(False).order
        return replace(trees, value=sign * trees.value, baseline=0 * trees.baseline)

    inputs = phantom.inputs()
    seen = []
    for sign in (1.0, -1.0):
        likely = SimpleNamespace(
            judge=lambda *_: SimpleNamespace(says=[], of=lambda n: (0.9, {"vessel": 1.0}, "")),
            least_probability=0.3,
            order_of=partial(order, sign=sign),
        )
        spots, _ = measure(inputs, params, likely)
        seen.append({tuple(m.void.seed_vox.tolist()) for m in spots})
    assert asked == [float(inputs.grid.spacing_mm.max())] * 2
    assert not seen[0] & seen[1]
