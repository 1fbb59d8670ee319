"""The second simulator: fields and moments against closed forms, scans against symmetry."""

import ast
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from petechia.anatomy.sites import REGIONS
from petechia.assets.store import load_arrays
from petechia.errors import ParameterError
from petechia.files.contract import contract

FOLDER = Path(__file__).parents[2] / "validation"
sys.path.append(str(FOLDER))

from second.anatomy import CEREBRA  # noqa: E402
from second.body import VEIN_FULL, Body, _fill_tube  # noqa: E402
from second.field import head_field, shim  # noqa: E402
from second.geometry import geometry_of  # noqa: E402
from second.lesions import CALCIFICATION, MICROBLEED, Lesion, lesion_of  # noqa: E402
from second.protocols import PROTOCOLS  # noqa: E402
from second.scan import acquire  # noqa: E402
from second.signals import Magnet, crop_k, laid_lesion  # noqa: E402
from second.spheres import add_spheres  # noqa: E402
from second.tissue import GYROMAGNETIC_MHZ_T, contrast_of, spoiled_signal  # noqa: E402
from second.truth import COLUMNS, truth_of, vein_part  # noqa: E402
from second.writing import is_written, scan_name, stored_phase  # noqa: E402

FORBIDDEN = ("simulate", "phase", "qsm", "lesions")
TILTED = np.array([0.0, 0.6, 0.8])
SMALL = replace(
    PROTOCOLS["3t_megre_siemens"], shape=(20, 22, 18), te_s=(5e-3, 20e-3), tilt_deg=(15, 0, 0)
)


def closed_form(points_mm, radius_mm, chi_ppm, b0):
    r = np.linalg.norm(points_mm, axis=-1)
    cosine = points_mm @ b0 / np.maximum(r, 1e-9)
    outside = chi_ppm / 3 * (radius_mm / np.maximum(r, 1e-9)) ** 3 * (3 * cosine**2 - 1)
    return np.where(r > radius_mm, outside, 0.0)


def ball(moment, chi=1.0, kind=MICROBLEED):
    radius = np.cbrt(3 * moment / chi / (4 * np.pi))
    return Lesion(
        kind=kind, where="nowhere", place_mm=np.zeros(3), offsets_mm=np.zeros((1, 3)),
        radii_mm=np.array([radius]), sphere_chi_ppm=chi, chi_ppm=chi, moment_ppm_mm3=moment,
        shape="sphere",
    )  # fmt: skip


def plain_magnet(protocol=SMALL, texture=0.0):
    """Even white matter without a field of its own, its signal uneven by `texture`."""
    geometry = geometry_of(protocol, np.array([3.0, -20.0, 10.0]))
    shape = geometry.fine_shape
    uneven = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
    body = Body(
        signal=1 + np.float32(texture) * uneven,
        r2star_hz=np.full(shape, 20.0, np.float32),
        chi_ppm=np.empty((0, 0, 0), np.float32),
        fatty=np.zeros(shape, bool),
        brain=np.ones(shape, bool),
        vein=np.zeros(shape, np.uint8),
    )
    return Magnet(
        body=body, field_ppm=np.zeros(shape, np.float32), geometry=geometry, protocol=protocol,
        sensitivity=np.ones(protocol.shape, np.float32),
    )  # fmt: skip


def laid(lesion, magnet, off_mm=(0.0, 0.0, 0.0)):
    contrast = contrast_of(3.0, 0.032, 15)
    place = np.array([3.0, -20.0, 10.0]) + off_mm
    return laid_lesion(lesion, place, magnet.geometry, contrast, 3.0)


def test_it_shares_no_code_with_what_it_tests():
    files = [*FOLDER.glob("second/*.py"), FOLDER / "second_simulator.py"]
    assert len(files) > 10
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{a.name}" for a in node.names]
            for name in names:
                parts = name.split(".")
                assert parts[0] != "petechia" or parts[1] not in FORBIDDEN, f"{path}: {name}"


def test_added_spheres_are_the_closed_form_inside_and_out():
    fine_mm = np.array([0.5, 0.6, 0.7])
    field = np.zeros((30, 28, 26), np.float32)
    spheres = np.array([[6.1, 8.0, 9.0, 1.7, 0.9, 0, 0], [9.3, 9.0, 7.0, 1.1, -1.4, 0, 0]])
    add_spheres(field, spheres, fine_mm, TILTED)
    points = np.moveaxis(np.indices(field.shape), 0, -1) * fine_mm
    exact = sum(closed_form(points - s[:3], s[3], s[4], TILTED) for s in spheres)
    np.testing.assert_allclose(field, exact, atol=1e-5)
    assert field.max() > 0.4


def test_the_field_of_a_head_is_that_of_a_ball_alone_and_not_of_its_copies():
    # so small a box that the copies of the ball would be felt by a tenth of its field
    spacing, radius = np.array([1.0, 1.0, 1.0]), 9.0
    points = np.moveaxis(np.indices((36, 40, 44)), 0, -1) - np.array([18, 20, 22])
    away = np.linalg.norm(points, axis=-1)
    chi = np.clip(radius - away + 0.5, 0, 1).astype(np.float32)
    field = head_field(chi, spacing, TILTED)
    exact = closed_form(points.astype(float), radius, 1.0, TILTED)
    ring = (away > radius + 2) & (away < radius + 7)
    off = field - exact
    assert np.abs(off[ring] - off[ring].mean()).max() < 0.02
    assert exact[ring].max() > 0.3


def test_the_shim_leaves_a_quarter_of_second_order_terms_at_most():
    rng = np.random.default_rng(3)
    points = np.moveaxis(np.indices((40, 44, 36)), 0, -1) * 2.0
    x, y, z = np.moveaxis((points - points.mean((0, 1, 2))) / 60, -1, 0)
    field = (3 + x + 0.5 * x * y - 0.7 * (y * y - z * z)).astype(np.float32)
    before = field.std()
    shim(field, np.ones(field.shape, bool), np.full(3, 2.0), rng)
    assert field.std() < 0.26 * before
    assert abs(field.mean()) < 0.01


@pytest.mark.parametrize("seed", range(6))
def test_the_spheres_of_a_lesion_have_its_moment_and_its_volume(seed):
    rng = np.random.default_rng(seed)
    lesion = lesion_of(rng, MICROBLEED, "nowhere", np.zeros(3), 7.0, 0.8)
    volumes = 4 / 3 * np.pi * lesion.radii_mm**3
    assert (volumes * lesion.sphere_chi_ppm).sum() == pytest.approx(7.0, rel=1e-9)
    step = 0.08
    points = np.moveaxis(np.indices((100, 100, 100)), 0, -1).reshape(-1, 3) * step - 50 * step
    away = [np.linalg.norm(points - offset, axis=1) for offset in lesion.offsets_mm]
    union = (np.array(away) < lesion.radii_mm[:, None]).any(axis=0).sum() * step**3
    assert union == pytest.approx(7.0 / 0.8, rel=0.03)
    assert lesion.diameter_mm == pytest.approx(np.cbrt(6 * 7.0 / 0.8 / np.pi))


@pytest.mark.parametrize("handedness", [1, -1])
def test_phase_above_blood_grows_with_the_echo_and_turns_with_the_hand(handedness):
    magnet = plain_magnet(replace(SMALL, handedness=handedness, snr=1e5))
    one = laid(ball(9.0), magnet)
    rng = np.random.default_rng
    with_it, _, _ = acquire(magnet, [one], rng(1))
    without, _, _ = acquire(magnet, [], rng(1))
    phase = [np.angle(a * np.conj(b)) for a, b in zip(with_it, without, strict=True)]
    middle = magnet.geometry.to_index(one.place_mm)
    index = np.moveaxis(np.indices(SMALL.shape), 0, -1)
    off = (index - middle) * magnet.geometry.voxel_mm
    away = np.linalg.norm(off, axis=-1)
    along = np.abs(off @ magnet.geometry.b0_dir) / np.maximum(away, 1e-9)
    ring = (away > 3.5) & (away < 6)
    radius = ball(9.0).radii_mm[0]
    expected = closed_form(off, radius, 1.0, magnet.geometry.b0_dir)
    for te_s, image in zip(SMALL.te_s, phase, strict=True):
        radian = 2 * np.pi * GYROMAGNETIC_MHZ_T * 3.0 * te_s * handedness
        slope = (image * expected)[ring].sum() / (expected[ring] ** 2).sum() / radian
        assert slope == pytest.approx(1.0, abs=0.1)
    assert handedness * phase[-1][ring & (along > 0.9)].mean() > 0.1
    assert handedness * phase[-1][ring & (along < 0.2)].mean() < -0.05


def test_a_scan_is_that_of_its_seed():
    magnet = plain_magnet(texture=0.05)
    lesions = [laid(ball(4.0), magnet)]
    first, _, noise = acquire(magnet, lesions, np.random.default_rng(8))
    again, _, _ = acquire(magnet, lesions, np.random.default_rng(8))
    other, _, _ = acquire(magnet, lesions, np.random.default_rng(9))
    assert len(first) == len(SMALL.te_s)
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - c).max() > noise


def test_noise_is_what_the_ratio_asks_for():
    magnet = plain_magnet()
    images, last, noise = acquire(magnet, [], np.random.default_rng(2))
    first = np.abs(last) / np.exp(-20.0 * (SMALL.te_s[1] - SMALL.te_s[0]))
    assert noise * SMALL.snr == pytest.approx(np.median(first[first > 0.3]), rel=1e-3)
    assert (np.abs(images[-1]) - np.abs(last)).std() == pytest.approx(noise, rel=0.1)


def test_truth_holds_moments_of_spheres_and_voids_that_lose_signal():
    magnet = plain_magnet()
    anatomy = SimpleNamespace(region_at=lambda place: 1, channel=lambda which: np.ones((200,) * 3))
    lesions = [
        laid(ball(6.0), magnet, (-5, 0, 0)),
        laid(ball(-4.0, -1.0, CALCIFICATION), magnet, (5, 0, 0)),
        laid(ball(0.02), magnet, (0, 7, 0)),
        laid(ball(6.0), magnet, (0, 0, 40)),
    ]
    _, last, noise = acquire(magnet, lesions, np.random.default_rng(2))
    truth = truth_of(anatomy, magnet, lesions, last, noise)
    assert set(truth.rows[0]) == {*contract().truth.columns, *COLUMNS}
    for row, one in zip(truth.rows, lesions, strict=True):
        spheres = one.spheres
        moment = (4 / 3 * np.pi * spheres[:, 3] ** 3 * spheres[:, 4]).sum()
        assert row["moment_ppm_mm3"] == pytest.approx(moment, abs=1e-4)
    assert [row["visible"] for row in truth.rows] == [1, 1, 0, 0]
    sizes = np.bincount(truth.labels.ravel(), minlength=5)
    assert sizes[3:].tolist() == [1, 0]  # its centre alone, and outside the slab
    without = np.abs(magnet.echo(SMALL.te_s[-1], [lesions[1]]))
    lost = 1 - np.abs(last) / without
    assert lost[truth.labels == 1].min() > 0.149
    excited = np.abs(last) > 0.5 * np.median(np.abs(last))  # the ends of the slab hardly are
    assert lost[(truth.labels == 0) & excited].max() < 0.151
    row = truth.rows[0]
    assert row["apparent_volume_mm3"] == sizes[1]
    assert row["true_diameter_mm"] < row["apparent_diameter_mm"] < 10
    at = magnet.geometry.grid.to_index(np.array([row["x_mm"], row["y_mm"], row["z_mm"]]))
    centre = np.argwhere(truth.labels == 1).mean(0)
    assert np.abs(at - centre).max() < 0.6


def test_sagittal_storage_keeps_every_place():
    place = np.array([5.0, -30.0, 20.0])
    straight = geometry_of(SMALL, place)
    turned = geometry_of(replace(SMALL, sagittal=True), place)
    index = np.moveaxis(np.indices(SMALL.shape), 0, -1).astype(float)
    world = straight.grid.to_mm(index)
    stored = np.stack([turned.stored(world[..., c]) for c in range(3)], -1)
    there = np.moveaxis(np.indices(turned.grid.shape), 0, -1).astype(float)
    np.testing.assert_allclose(turned.grid.to_mm(there), stored, atol=1e-9)
    np.testing.assert_allclose(straight.grid.to_mm((np.array(SMALL.shape) - 1) / 2), place)


@pytest.mark.parametrize("name", ["3t_megre_siemens", "3t_megre_ge_sagittal", "7t_megre_philips"])
def test_stored_phase_is_the_phase(name):
    angle = np.linspace(-3.1, 3.1, 60).reshape(3, 4, 5)
    stored, (slope, intercept), units = stored_phase(np.exp(1j * angle), PROTOCOLS[name])
    scale = {"Siemens": np.pi / 4096, "GE": 1.0, "Philips": 1e-3}[PROTOCOLS[name].manufacturer]
    np.testing.assert_allclose((stored * slope + intercept) * scale, angle, atol=1e-3)
    assert units == ("rad" if name == "3t_megre_ge_sagittal" else "arbitrary")


def test_filtered_phase_keeps_what_is_small_and_loses_what_is_broad():
    x, y = np.meshgrid(np.linspace(-1, 1, 128), np.linspace(-1, 1, 128), indexing="ij")
    small = 0.8 * np.exp(-(x**2 + y**2) / 0.0003)
    image = np.exp(1j * (2 * x + y + small))[..., None]
    stored, (slope, intercept), _ = stored_phase(image, PROTOCOLS["3t_swi_filtered"])
    phase = (stored[..., 0] * slope + intercept) * np.pi / 4096
    inner = (np.abs(x) < 0.8) & (np.abs(y) < 0.8)
    assert phase.max() > 0.4
    assert np.abs(phase[inner & (small < 1e-4)]).max() < 0.15


def test_cropped_k_space_keeps_an_even_object_and_forgets_what_is_fine():
    even = np.full((12, 40, 5), 2 + 1j, np.complex64)
    np.testing.assert_allclose(crop_k(even, 1, 20), 2 + 1j, rtol=1e-5)
    line = np.exp(2j * np.pi * np.arange(40) * 15 / 40).astype(np.complex64)
    assert np.abs(crop_k(even * line[:, None], 1, 20)).max() < 1e-5
    slow = np.exp(2j * np.pi * np.arange(40) * 3 / 40).astype(np.complex64)
    np.testing.assert_allclose(np.abs(crop_k(even * slow[:, None], 1, 20)), 5**0.5, rtol=1e-5)


@pytest.mark.parametrize("refine", [(2, 2, 3), (4, 1, 2)])
def test_the_part_of_veins_is_their_volume(refine):
    geometry = geometry_of(replace(SMALL, refine=refine), np.zeros(3))
    volumes = tuple(np.zeros(geometry.fine_shape, np.float32) for _ in range(3))
    line = np.array([[5.0, 5.0, 55.0], [13.0, 9.0, 60.0]])
    matter = np.ones(geometry.fine_shape, bool)
    radii = np.array([0.9, 0.9])
    box, part = _fill_tube(volumes, matter, geometry.fine_mm, line, radii, (0.4, 0.0, 30.0))
    length = np.linalg.norm(line[1] - line[0]) + 4 / 3 * 0.9  # with round ends
    expected = np.pi * 0.9**2 * length
    assert part.sum() * geometry.fine_mm.prod() == pytest.approx(expected, rel=0.08)
    assert volumes[0].sum() == pytest.approx(0.4 * part.sum(), rel=1e-4)
    vein = np.zeros(geometry.fine_shape, np.uint8)
    vein[box] = np.rint(VEIN_FULL * part)
    coarse = vein_part(vein, geometry)
    assert coarse.shape == SMALL.shape
    assert coarse.sum() * geometry.voxel_mm.prod() == pytest.approx(expected, rel=0.1)


def test_labels_of_the_template_are_where_the_projects_regions_say():
    template = load_arrays("template")
    sites = np.array(["outside", *(region.site for region in REGIONS)])
    expected = {
        "thalamus": "thalamus", "caudate": "basal_ganglia", "putamen": "basal_ganglia",
        "pallidum": "basal_ganglia", "accumbens": "basal_ganglia", "brainstem": "brainstem",
        "cerebellum": "cerebellum", "vermis": "cerebellum", "lateral_ventricle": "n/a",
        "third_ventricle": "n/a", "fourth_ventricle": "n/a", "inferior_lateral_ventricle": "n/a",
        "hippocampus": "temporal", "amygdala": "temporal", "ventral_diencephalon": "brainstem",
    }  # fmt: skip
    for name, site in expected.items():
        for label in CEREBRA[name]:
            found = sites[template["regions"][template["cerebra"] == label]]
            names, counts = np.unique(found, return_counts=True)
            assert names[np.argmax(counts)] == site, f"{name} {label}: {names[np.argmax(counts)]}"
    every = [label for labels in CEREBRA.values() for label in labels]
    assert len(every) == len(set(every))


def test_the_steady_state_is_that_of_ernst():
    angle = np.degrees(np.arccos(np.exp(-0.03 / 0.9)))
    signals = [spoiled_signal(1.0, 0.9, 0.03, angle + off) for off in (-3, 0, 3)]
    assert signals[1] == max(signals)
    best = np.sqrt((1 - np.exp(-0.03 / 0.9)) / (1 + np.exp(-0.03 / 0.9)))
    assert signals[1] == pytest.approx(best)


def test_names_are_told_apart_and_a_scan_is_there_when_its_last_file_is(tmp_path):
    names = {scan_name(0, protocol).prefix for protocol in PROTOCOLS}
    assert len(names) == len(PROTOCOLS)
    assert all(part.isalnum() for name in names for part in name.split("_acq-")[1:])
    for key, protocol in PROTOCOLS.items():
        assert not is_written(tmp_path, scan_name(0, key), protocol)
    with pytest.raises(ParameterError, match=r"manufacturer: 'Hitachi' is unknown.*Siemens"):
        replace(SMALL, manufacturer="Hitachi")
