"""A row of the table and the finding it is of."""

from dataclasses import replace

import pytest

from petechia.lesions.findings import COLUMNS, DIGITS, EXTRA_COLUMNS, Finding, from_row

FINDING = Finding(
    index=3, name="calcification 1", class_="calcification", sign="diamagnetic", probability=0.02,
    counted=False, mars="n/a", x_mm=1.5, y_mm=-2.25, z_mm=30.0, volume_mm3=27.0, diameter_mm=3.7,
    moment_ppm_mm3=-2.5, moment_se_ppm_mm3=0.25, chi_mean_ppm=-0.25, side="left", site="frontal",
    compartment="lobar", parenchyma_fraction=0.9, sphericity=0.8, margin_sharpness=0.5,
    homogeneity=0.5, evidence="negative moment", criteria={"no edema": "met"},
    source_mm=(1.25, -2.5, 30.0), ct_hu=210.0, ct_calcified=True,
)  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {}, {"ct_hu": None, "ct_calcified": None}, {"ct_hu": 40.0, "ct_calcified": False},
        {"source_mm": None, "criteria": {}},
    ],
)  # fmt: skip
def test_a_row_is_read_as_the_finding_that_wrote_it(change):
    finding = replace(FINDING, **change)
    assert from_row(finding.row()) == finding


def test_a_table_without_the_columns_of_a_ct_is_read():
    row = {k: v for k, v in FINDING.row().items() if not k.startswith("ct_")}
    assert from_row(row).ct_calcified is None


def test_every_column_is_written_and_read():
    """A column that is added is of a finding that has everything, and comes back from the table."""
    bleed = replace(FINDING, class_="microbleed", sign="paramagnetic", moment_ppm_mm3=2.5)
    row = bleed.row()
    assert tuple(row) == (*COLUMNS, *EXTRA_COLUMNS)
    assert set(DIGITS) <= set(row)
    for column in EXTRA_COLUMNS:
        assert row[column] not in ("", "n/a", "None"), column
    assert from_row(row) == bleed
    assert len(set(row)) == len(COLUMNS) + len(EXTRA_COLUMNS)
