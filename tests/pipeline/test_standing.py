"""Results of one scan are not written over with those of another."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from petechia.files.output import OutputTree
from petechia.files.scan import ScanName, Source
from petechia.pipeline.review.events import Event
from petechia.pipeline.review.log import ReviewLog, log_path
from petechia.pipeline.standing import (
    MOST_MARKS,
    OtherScanError,
    image_sha256,
    marks_of,
    require_same_scan,
)

NAME = ScanName((("sub", "01"),))


def scan(kind="DICOM", value=1.0, sha256="a"):
    return SimpleNamespace(
        kind=kind,
        sources=[Source(path="one", sha256=sha256 * 64), Source(path="two", sha256="f" * 64)],
        echoes=SimpleNamespace(magnitude=np.full((2, 3, 4, 5), value, dtype=np.float32)),
    )


@pytest.fixture
def tree(tmp_path):
    """An output with the summary of `scan(value=0.0)`, of other files."""
    made = OutputTree(tmp_path)
    told = {"input_sha256": {"one": "b" * 64}, "image_sha256": image_sha256(scan(value=0.0))}
    made.write_json("summary", NAME, told)
    return made


def ask(tree, found):
    require_same_scan(found, image_sha256(found), tree, NAME)


def decide(tree):
    with ReviewLog(log_path(tree.root)) as log:
        log.append(
            Event(
                uuid="0" * 8 + "-0000-4000-8000-" + "0" * 12, reader="ann", round=1,
                scan=NAME.prefix, fingerprint="x", finding="", kind="finish",
            )
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["DICOM", "NIfTI"])
def test_another_scan_without_a_name_of_its_own_is_refused(tree, kind):
    with pytest.raises(OtherScanError, match=r"summary.json: results of another .*--subject"):
        ask(tree, scan(kind))


def test_one_file_or_the_image_in_common_is_the_same_scan(tree):
    ask(tree, scan(sha256="b"))  # an echo was added
    ask(tree, scan(value=0.0))  # all files were exported anew


def test_a_named_person_converted_anew_goes_on_until_somebody_has_decided(tree, caplog):
    ask(tree, scan("BIDS"))
    assert "made of none of these files" in caplog.text
    decide(tree)
    ask(tree, scan("BIDS", value=0.0))
    with pytest.raises(OtherScanError, match="reviewed results of another scan"):
        ask(tree, scan("BIDS"))


def test_results_of_before_that_tell_no_image_are_kept_once_decided_on(tree):
    told = json.loads(tree.path("summary", NAME).read_text())
    del told["image_sha256"]
    tree.write_json("summary", NAME, told)
    ask(tree, scan())
    tree.write_json("summary", NAME, told | {"review": {}})
    with pytest.raises(OtherScanError):
        ask(tree, scan())


def test_a_log_that_cannot_be_read_may_hold_decisions(tree):
    log_path(tree.root).parent.mkdir()
    log_path(tree.root).write_text("no log of ours, and much longer than its head would be" * 99)
    with pytest.raises(OtherScanError, match="reviewed"):
        ask(tree, scan("BIDS"))


def test_marks_are_few_and_shared_by_inputs_that_share_most_files():
    files = {str(n): f"{n * 7919 % 4096:04x}" * 16 for n in range(400)}
    more = files | {f"new {n}": f"{n * 7919 % 4093:04x}" * 16 for n in range(500, 600)}
    few = marks_of({"input_sha256": files})
    assert len(few) == MOST_MARKS
    assert set(few) & set(marks_of({"input_sha256": more, "image_sha256": "e" * 64}))
    assert marks_of({"input_sha256": None}) == ()
