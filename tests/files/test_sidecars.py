import pytest

from petechia.core.units import GAMMA_HZ_PER_T
from petechia.errors import FileError, MetadataError
from petechia.files.sidecars import (
    DIFFERENCE,
    IMAGINARY,
    MAGNITUDE,
    PHASE,
    REAL,
    applies,
    facts_of,
    is_gradient_echo,
    is_projection,
    read_json,
    role_in,
)


def test_facts_are_taken_with_their_units():
    facts = facts_of(
        {
            "EchoTime": 0.02,
            "MagneticFieldStrength": "3",
            "Manufacturer": "Siemens",
            "ManufacturersModelName": "Prisma",
            "MRAcquisitionType": "3D",
            "SliceThickness": 2,
            "SpacingBetweenSlices": 2.2,
            "RepetitionTime": 0.03,
            "FlipAngle": 15,
            "PixelBandwidth": 120,
            "ImageType": ["ORIGINAL", "PRIMARY", "P"],
            "Units": "rad",
            "PatientName": "Doe",
        },
        "a.json",
    )
    assert (facts.te_s, facts.b0_t, facts.units) == ((0.02,), 3.0, "rad")
    header = facts.header
    assert (header.manufacturer, header.model, header.acquisition_type) == (
        "Siemens",
        "Prisma",
        "3D",
    )
    assert (header.slice_thickness_mm, header.slice_spacing_mm, header.tr_s) == (2.0, 2.2, 0.03)
    assert (header.flip_deg, header.pixel_bandwidth_hz) == (15.0, 120.0)
    assert "Doe" not in repr(facts)


def test_the_field_follows_from_the_frequency():
    facts = facts_of({"ImagingFrequency": 3 * GAMMA_HZ_PER_T / 1e6}, "a.json")
    assert facts.b0_t == pytest.approx(3.0)
    assert facts_of({}, "a.json").b0_t is None


@pytest.mark.parametrize(
    ("stated_t", "facts", "fits"),
    [
        (3, {"ImagingFrequency": 63.8}, False),
        (1.5, {"ImagingFrequency": 123.2}, False),
        (3, {"ImagingFrequency": 123.2}, True),  # 2.89 T is called 3 T
        (3, {"ImagingFrequency": 127.74e6}, True),  # Hz
        (3, {"ImagingFrequency": 63.8e6}, False),
        (3, {"ImagingFrequency": 33.8, "ImagedNucleus": "23Na"}, True),
        (3, {"ImagingFrequency": 0}, True),
        (0.55, {"ImagingFrequency": 23.6}, True),
        (7, {"ImagingFrequency": "297.2"}, True),
    ],
)
def test_a_field_and_a_frequency_must_be_of_one_scanner(stated_t, facts, fits):
    sidecar = {"MagneticFieldStrength": stated_t, **facts}
    if fits:
        assert facts_of(sidecar, "a.json").b0_t == stated_t
        return
    with pytest.raises(MetadataError, match=r"a\.json: MagneticFieldStrength is .* T, but its Im"):
        facts_of(sidecar, "a.json")


@pytest.mark.parametrize(
    ("sidecar", "message"),
    [
        ({"EchoTime": 20}, r"a\.json: EchoTime is 20\. Echo times are in seconds"),
        ({"EchoTime": 0}, "EchoTime is 0"),
        ({"EchoTime": "soon"}, "EchoTime is 'soon'"),
        ({"EchoTime": [0.01, None]}, "EchoTime is None"),
        ({"EchoTime1": 0.005, "EchoTime2": 0.005}, "both 0.005 s"),
        ({"EchoTime1": 4.6, "EchoTime2": 7.1}, "EchoTime1 is 4.6"),
        ({"MagneticFieldStrength": 30000}, "MagneticFieldStrength is 30000.*tesla"),
        ({"MagneticFieldStrength": "high"}, "MagneticFieldStrength is 'high'"),
    ],
)
def test_impossible_facts_are_named(sidecar, message):
    with pytest.raises(MetadataError, match=message):
        facts_of(sidecar, "a.json")


@pytest.mark.parametrize(
    ("image_type", "role"),
    [
        (["ORIGINAL", "PRIMARY", "M", "ND", "NORM"], MAGNITUDE),
        (["ORIGINAL", "PRIMARY", "P", "ND", "PHASE"], PHASE),
        (["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"], PHASE),
        (["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"], MAGNITUDE),
        (["DERIVED", "PRIMARY", "PHASE DIFFERENCE"], DIFFERENCE),
        ("ORIGINAL\\PRIMARY\\R\\REAL", REAL),
        (["ORIGINAL", "PRIMARY", "I", "IMAGINARY"], IMAGINARY),
        (["ORIGINAL", "PRIMARY", "OTHER"], "as named"),
        (None, "as named"),
    ],
)
def test_image_type_states_the_role(image_type, role):
    assert role_in({"ImageType": image_type}, "as named") == role


def test_a_phase_over_two_echo_times_is_a_difference():
    times = {"EchoTime1": 0.005, "EchoTime2": 0.0075}
    assert role_in({"ImageType": ["P"], **times}, PHASE) == DIFFERENCE
    assert role_in(times, PHASE) == DIFFERENCE
    assert role_in(times, MAGNITUDE) == MAGNITUDE
    assert facts_of(times, "").delta_te_s == pytest.approx(0.0025)


@pytest.mark.parametrize(
    ("sidecar", "expected"),
    [
        ({"ScanningSequence": "GR"}, True),
        ({"ScanningSequence": ["GR", "IR"]}, False),
        ({"ScanningSequence": "GR_IR"}, False),
        ({"ScanningSequence": "GR\\IR"}, False),
        ({"ScanningSequence": "EP", "PulseSequenceType": "GR"}, False),
        ({"ScanningSequence": "SE"}, False),
        ({"PulseSequenceType": "GR"}, True),
        ({"PulseSequenceType": "Spoiled Gradient Echo"}, True),
        ({"PulseSequenceType": "MPRAGE"}, False),
        ({"SequenceName": "*swi3d1r", "InversionTime": 0.9}, False),
        ({"SequenceName": "*swi3d1r"}, True),
        ({}, None),
    ],
)
def test_gradient_echoes_are_told_from_the_rest(sidecar, expected):
    assert is_gradient_echo(sidecar) is expected


def test_projections_are_known():
    assert is_projection({"ImageType": ["DERIVED", "PRIMARY", "MNIP", "ND"]})
    assert not is_projection({"ImageType": ["ORIGINAL", "PRIMARY", "M", "SWI"]})


def test_inheritance_needs_suffix_and_entities():
    image = {"sub": "01", "echo": "1", "part": "mag"}
    assert applies({}, "MEGRE", image, "MEGRE")
    assert applies({"part": "mag"}, "MEGRE", image, "MEGRE")
    assert not applies({"part": "phase"}, "MEGRE", image, "MEGRE")
    assert not applies({"acq": "x"}, "MEGRE", image, "MEGRE")
    assert not applies({}, "T2starw", image, "MEGRE")


def test_a_broken_sidecar_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"EchoTime": 0.02')
    with pytest.raises(FileError, match=r"a\.json: not valid JSON"):
        read_json(path)
    path.write_text("[1]")
    with pytest.raises(FileError, match="holds a list"):
        read_json(path)
    with pytest.raises(FileError, match="cannot be read"):
        read_json(tmp_path / "b.json")
    path.write_bytes(b"\xef\xbb\xbf{}")  # with a byte order mark, as some editors leave
    assert read_json(path) == {}
