"""Who is who in a folder: files of one person whose number is missing, or written otherwise."""

from collections import defaultdict
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from petechia.files.dicom.deidentify.clean import person_of


@dataclass(slots=True)
class People:
    """The patient numbers of each study: a file without one is of the only number of its study."""

    _numbers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def learn(self, dataset: Dataset) -> None:
        """Take note of whom a file is of."""
        if _has_number(dataset):
            self._numbers[_study(dataset)].add(person_of(dataset))

    def whose(self, dataset: Dataset) -> str:
        """Return what stands for the person: the number, else the name, else the study."""
        if not _has_number(dataset):
            numbers = self._numbers.get(_study(dataset), set())
            if _study(dataset) and len(numbers) == 1:
                return next(iter(numbers))
        return person_of(dataset) or _study(dataset)


def _has_number(dataset: Dataset) -> bool:
    return bool(str(dataset.get("PatientID") or "").strip())


def _study(dataset: Dataset) -> str:
    return str(dataset.get("StudyInstanceUID") or "")
