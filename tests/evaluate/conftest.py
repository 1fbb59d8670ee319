"""Cases on a line, so that every number can be counted by hand."""

import numpy as np
import pytest

from petechia.evaluate.resampling import Resampling
from petechia.evaluate.spots import Case, findings_at, lesions_at


def lesions(*x, **columns):
    return lesions_at([[v, 0.0, 0.0] for v in x], **columns)


def findings(*x, **columns):
    return findings_at([[v, 0.0, 0.0] for v in x], **columns)


def case(truth, predicted, name="sub-01", **more):
    return Case(name=name, subject=name[:6], truth=truth, predicted=predicted, **more)


@pytest.fixture
def line():
    """Makers of lesions, findings and cases on the x axis [mm]."""
    return lesions, findings, case


@pytest.fixture
def resample():
    def make(n, seed=0, n_resamples=200):
        return Resampling.of(np.arange(n), np.random.default_rng(seed), n_resamples)

    return make


@pytest.fixture
def first(line):
    """Three visible microbleeds, one invisible; a hit, one on the invisible, one false, one low."""
    truth = lesions(
        0, 50, 100, 150, moment=[2.0, 0.5, 20.0, 0.1], visible=[1, 1, 1, 0],
        diameter_mm=[4.0, 2.5, 9.0, 1.0], site=["frontal", "thalamus", "frontal", "insula"],
        compartment=["lobar", "deep", "lobar", "lobar"],
    )  # fmt: skip
    found = findings(
        1, 150, 70, 100, probability=[0.9, 0.8, 0.6, 0.2], counted=[1, 1, 1, 0],
        compartment=["lobar", "lobar", "deep", "lobar"],
    )  # fmt: skip
    return case(truth, found)


@pytest.fixture
def clean(line):
    """A scan without microbleeds and one false finding."""
    return case(lesions(), findings(0, probability=[0.9]), name="sub-02")
