"""What makes a finished scan another run."""

from petechia.pipeline import summary
from petechia.pipeline.settings import Settings


def test_images_settings_and_detector_each_make_another_run(monkeypatch):
    told = summary.fingerprint(["a", "b"], Settings())
    assert summary.fingerprint(["b", "a"], Settings()) == told
    assert summary.fingerprint(["a", "c"], Settings()) != told
    assert summary.fingerprint(["a", "b"], Settings(slab_mm=5.0)) != told
    assert summary.fingerprint(["a", "b"], Settings(), ["mask"]) != told
    monkeypatch.setattr(summary, "detector_sha256", lambda: {"detector": "0" * 64})
    assert summary.fingerprint(["a", "b"], Settings()) != told
