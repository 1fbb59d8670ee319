"""Clinical criteria: what a microbleed is, forms, counts, and published scales of patients.

`definition` judges one finding, `counts` and `forms` sum findings, `boston`, `aria` and `svd`
are scales of the patient. These take what is known as sets of possible values (`logic`), so
that an answer is claimed exactly when nothing unknown could change it.
"""

from petechia.lesions.criteria.counts import (
    count_bin,
    count_bins,
    count_interval,
    extent,
    patient_category,
)
from petechia.lesions.criteria.definition import (
    COMPARTMENTS,
    LARGEST_MM,
    SITES,
    CriteriaParams,
    lesion_criteria,
    mars_grade,
)
from petechia.lesions.criteria.summary import summarise

__all__ = [
    "COMPARTMENTS",
    "LARGEST_MM",
    "SITES",
    "CriteriaParams",
    "count_bin",
    "count_bins",
    "count_interval",
    "extent",
    "lesion_criteria",
    "mars_grade",
    "patient_category",
    "summarise",
]
