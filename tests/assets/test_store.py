"""What is vendored is whole, licensed, small, and in the space it claims."""

import numpy as np
import pytest

from petechia.assets import store
from petechia.errors import FileError, ParameterError


@pytest.fixture(scope="module")
def template():
    return store.load_arrays("template")


def test_arrays_share_one_grid_and_have_the_stated_types(template):
    shapes = {template[name].shape for name in template if name != "affine"}
    assert shapes == {(97, 115, 97)}
    assert template["affine"].shape == (4, 4)
    for name in ("gm", "wm", "csf"):
        assert template[name].dtype == np.float32
        assert 0 <= template[name].min() < 0.01
        assert 0.9 < template[name].max() <= 1


def test_tissue_priors_sum_to_one_in_the_brain(template):
    inside = template["brain_mask"] > 0
    total = template["gm"] + template["wm"] + template["csf"]
    np.testing.assert_allclose(total[inside], 1, atol=2 / 255)
    assert not total[~inside].any()


def test_the_template_is_mirror_symmetric_about_x_zero(template):
    x_mid = -template["affine"][0, 3] / template["affine"][0, 0]
    assert x_mid == 48
    for name in ("t1", "t2", "brain_mask"):
        volume = template[name].astype(float)
        assert np.abs(volume - volume[::-1]).mean() < 1.0


def test_left_is_left(template):
    """CerebrA's left thalamus (91) lies at negative x in RAS, its right (40) at positive."""
    for label, sign in ((91, -1), (40, 1)):
        index = np.argwhere(template["cerebra"] == label).mean(axis=0)
        x_mm = (template["affine"] @ [*index, 1])[0]
        assert sign * x_mm > 5


def test_calls_hand_out_fresh_arrays(template):
    again = store.load_arrays("template")
    again["t1"][:] = 0
    assert store.load_arrays("template")["t1"].any()


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ParameterError, match=r"'atlas'.*template"):
        store.load_arrays("atlas")


def test_a_damaged_file_is_refused():
    with pytest.raises(FileError, match=r"SHA-256 is [0-9a-f]{64}, not 00"):
        store.checked_bytes("template.npz", "00")
    with pytest.raises(FileError, match="cannot be read"):
        store.checked_bytes("gone.npz", "00")


def test_every_file_is_licensed_and_all_are_small():
    texts = store.licences()
    total = 0
    for name, entry in store.manifest().items():
        content = store.load_bytes(name)
        total += len(content)
        assert len(content) == entry["bytes"]
        for licence in entry["licence"].split(", "):
            assert len(texts[licence.removeprefix("LICENSES/")]) > 200
    assert total < 6_000_000
