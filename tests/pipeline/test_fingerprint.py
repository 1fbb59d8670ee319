"""What makes a finished scan another run."""

from functools import partial

from petechia.files.scan import Beside, ScanName, ScanRef
from petechia.pipeline import run, summary
from petechia.pipeline.reading import told_beside
from petechia.pipeline.settings import Settings


def test_images_settings_and_detector_each_make_another_run(monkeypatch):
    told = summary.fingerprint(["a", "b"], Settings())
    assert summary.fingerprint(["b", "a"], Settings()) == told
    assert summary.fingerprint(["a", "c"], Settings()) != told
    assert summary.fingerprint(["a", "b"], Settings(slab_mm=5.0)) != told
    assert summary.fingerprint(["a", "b"], Settings(), ["mask"]) != told
    assert summary.fingerprint(["a", "b"], Settings(), told=["te 0.02"]) != told
    monkeypatch.setattr(summary, "detector_sha256", lambda: {"detector": "0" * 64})
    assert summary.fingerprint(["a", "b"], Settings()) != told


def test_a_field_in_other_units_and_images_in_each_others_place_make_another_run(tmp_path):
    for name in ("one", "other"):
        (tmp_path / f"{name}.nii.gz").write_bytes(name.encode())
    one, other = (tmp_path / f"{name}.nii.gz" for name in ("one", "other"))

    def given(mask, field, **beside):
        ref = ScanRef(
            name=ScanName((("sub", "01"),)),
            kind="NIfTI",
            load=lambda: None,
            beside=Beside(**beside),
        )
        return run._given_hashes(run.Options(mask=mask, field=field), ref)

    assert given(one, other) != given(other, one)
    assert given(None, one) != given(one, None)
    assert given(None, None, t1w=one) != given(None, None, t2w=one)
    before = given(None, one)
    (tmp_path / "one.json").write_text('{"Units": "Hz"}')
    assert given(None, one) != before


def test_words_about_dicom_count_and_its_place_does_not():
    def told(place, scale, notes=()):
        name = ScanName((("sub", "01"),))
        load = partial(print, place, object(), name, scale, (("f", "a fault"),), notes=notes)
        return told_beside(ScanRef(name=name, kind="DICOM", load=load))

    assert told("/a", None) == told("/b", None, ("a file left aside",))
    assert told("/a", None) != told("/a", 0.5)
