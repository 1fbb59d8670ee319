"""Documentation that can drift is read by these tests."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from petechia.apps.cli.main import COMMANDS
from petechia.core.echoes import READING_BLOOM_TS
from petechia.files.contract import contract
from petechia.lesions.criteria.clinical import FIELDS
from petechia.lesions.findings import EXTRA_COLUMNS
from petechia.pipeline.fitness import acquisition, images
from petechia.pipeline.settings import PRESETS, Settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_generated_pages_are_up_to_date():
    done = subprocess.run(
        [sys.executable, "scripts/build_reference.py", "--check"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_every_setting_and_preset_is_documented():
    text = page("reference/settings.md")
    for name in Settings.__dataclass_fields__:
        assert name in text, f"setting {name} is not on the settings page"
    for name in PRESETS:
        assert f"| {name} |" in text


def test_the_settings_on_the_page_are_the_defaults():
    (block,) = re.findall(r"```toml\n(.*?)```", page("reference/settings.md"), flags=re.DOTALL)
    told = {k: v for k, v in tomllib.loads(block).items() if k != "method_settings"}
    defaults = Settings()
    assert told == {name: getattr(defaults, name) for name in told}
    assert told.keys() >= {"classification", "operating_point", "inversion"}


def test_every_output_file_and_column_is_documented():
    text = page("reference/output.md")
    for file in contract().files.values():
        name = file.name.removeprefix("OUTPUT/").replace(".nii.gz", "")
        assert name in text or name.removeprefix("<p>") in text, f"{name} is not documented"
    for column in (*contract().finding_columns, *EXTRA_COLUMNS):
        assert f"`{column}`" in text, f"column {column} is not documented"


def test_every_command_is_shown_in_use():
    text = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    for command in COMMANDS:
        assert f"petechia {command}" in text, f"petechia {command} is nowhere shown"


def test_fitness_thresholds_on_the_page_are_those_of_the_code():
    text = page("concepts/fitness.md")
    for value in (
        acquisition.BLOOM_LIMITED_TS, acquisition.BLOOM_REFUSED_TS, acquisition.IN_PLANE_LIMITED_MM,
        acquisition.IN_PLANE_REFUSED_MM, acquisition.SLICE_LIMITED_MM, acquisition.SLICE_REFUSED_MM,
        images.SNR_LIMITED, images.SNR_REFUSED, READING_BLOOM_TS,
        100 * images.GHOST_LIMITED, 100 * images.GHOST_REFUSED, images.BRAIN_ML_LIMITED,
    ):  # fmt: skip
        assert re.search(rf"\b{value:g}\b", text), f"{value:g} is not on the fitness page"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), f"{target} does not exist"


def test_the_research_use_sentence_stands_in_front():
    assert "Research use only" in (ROOT / "README.md").read_text(encoding="utf-8")[:600]


def test_every_clinical_fact_is_documented():
    text = page("concepts/criteria.md")
    for name in FIELDS:
        assert f"| `{name}` |" in text, f"clinical fact {name} is not on the criteria page"


def test_every_proof_on_the_vendors_page_is_a_test():
    proofs = set(re.findall(r"\btest_[a-z0-9_]+\b(?!\.py)", page("reference/vendors.md")))
    assert len(proofs) > 20
    there = "\n".join(p.read_text("utf-8") for p in (ROOT / "tests" / "files").rglob("test_*.py"))
    assert [name for name in sorted(proofs) if f"def {name}(" not in there] == []


def test_private_elements_that_stay_are_on_the_page():
    from petechia.files.dicom.deidentify.rules import SAFE

    text = page("how-to/hospital.md")
    for element in SAFE:
        assert f"({element.group:04X},xx{element.element:02X})" in text


def test_codes_of_the_objects_are_on_the_page():
    from petechia.files.dicom.results import codes

    text = page("reference/output.md")
    for code in (*codes.CLASSES.values(), codes.VOLUME, codes.DIAMETER, codes.SUSCEPTIBILITY,
                 codes.MOMENT, codes.PROBABILITY, codes.COUNTED, codes.SIGN, codes.R2STAR):  # fmt: skip
        assert code.value in text, code
