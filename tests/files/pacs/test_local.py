"""Files before they are sent, the list of what was, and frames around them."""

import errno
import io

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petechia.errors import FileError, InUseError, OutputError
from petechia.files.pacs.ledger import Ledger
from petechia.files.pacs.local import dicom_files, same_content
from petechia.files.pacs.multipart import boundary_of, single_part, wrapped
from petechia.files.pacs.patience import Passing, Refused
from petechia.files.pacs.pulling import pull
from petechia.files.pacs.pushing import push
from petechia.files.pacs.records import Instance, Query, Series, Study


class Nobody:
    """A server that knows nothing and takes everything."""

    where = "nobody"

    def __init__(self) -> None:
        self.sent: list[str] = []

    def instances(self, study, series):
        return []

    def send(self, file) -> str:
        self.sent.append(file.name)
        return ""


def change(path, **values) -> None:
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


def test_only_whole_dicom_is_found_and_the_rest_is_named(study):
    one = study(1)
    folder, files = one.folder, one.files
    (folder / "notes.txt").write_text("x" * 200)
    (folder / "empty").write_bytes(b"")
    (folder / ".hidden.dcm").write_bytes(files[0].read_bytes())
    files[0].write_bytes(files[0].read_bytes()[:-1])
    files[1].write_bytes(files[1].read_bytes()[:400])
    files[2].write_bytes(files[2].read_bytes()[132:])
    change(files[3], SOPInstanceUID="1.2.3")  # but not in the file header
    dataset = pydicom.dcmread(files[4])
    del dataset.SeriesInstanceUID
    dataset.save_as(files[4])
    with pydicom.config.disable_value_validation():
        change(files[5], StudyInstanceUID="1.2/../../x")
    found, broken, n_other = dicom_files(folder)
    assert [file.name for file in found] == [p.relative_to(folder).as_posix() for p in files[6:]]
    assert n_other == 2
    reasons = [broken[p.relative_to(folder).as_posix()] for p in files[:6]]
    for reason, words in zip(
        reasons,
        ["is cut off", "", "no DICOM file header", "different objects", "lacks SeriesInstanceUID",
         "something else than a UID as StudyInstanceUID"],
        strict=True,
    ):  # fmt: skip
        assert words in reason
    pushed = push(Nobody(), [folder])
    assert (pushed.n_sent, len(pushed.broken), pushed.complete) == (2, 6, False)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"])  # fmt: skip
def test_a_cut_is_seen_in_every_form(study, syntax):
    file = study(2).files[0]
    dataset = pydicom.dcmread(file)
    if syntax.endswith(".5"):
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(file)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(
            file, dataset, implicit_vr=syntax.endswith(".1.2"), little_endian=not syntax.endswith("2.2"),
            enforce_file_format=True,
        )  # fmt: skip
    assert len(dicom_files(file)[0]) == 1
    file.write_bytes(file.read_bytes()[:-9])
    assert list(dicom_files(file)[1].values()) == ["is cut off within its pixels"]


def test_one_uid_with_two_contents_is_not_sent_at_all(study, tmp_path):
    one = study(3)
    twin = one.folder / "copy.dcm"
    twin.write_bytes(one.files[0].read_bytes())
    server = Nobody()
    pushed = push(server, [one.folder])
    assert (pushed.n_sent, pushed.n_copies, len(server.sent)) == (8, 1, 8)
    change(twin, PixelData=bytes(420))
    (one.folder / ".petechia-push.jsonl").unlink()
    server = Nobody()
    pushed = push(server, [one.folder])
    first = one.files[0].relative_to(one.folder).as_posix()
    assert set(pushed.unlike) == {"copy.dcm", first}
    assert not {"copy.dcm", first} & set(server.sent)
    assert (pushed.n_sent, pushed.complete) == (7, False)


def test_a_folder_that_cannot_be_written_is_sent_all_the_same(study, monkeypatch):
    one = study(4)

    def refuse(path):
        raise OutputError("cannot be written", where=str(path), mend="x")

    monkeypatch.setattr("petechia.files.pacs.pushing.Ledger", refuse)
    pushed = push(Nobody(), [one.folder])
    assert pushed.n_sent == 8
    assert "no list of what was sent" in pushed.notes[0]


def test_a_full_disk_ends_a_pull_with_what_was_fetched_kept(study, tmp_path):
    one = study(6)
    data = {str(pydicom.dcmread(f).SOPInstanceUID): f.read_bytes() for f in one.files}

    class Full(Nobody):
        def studies(self, query):
            return [Study(one.study, "", "", "", None)]

        def series(self, study):
            return [Series("1.2", 1, "MR", "", None)]

        def instances(self, study, series):
            return [Instance(sop, study, series, n, "") for n, sop in enumerate(sorted(data))]

        def fetch(self, instance, stream):
            if instance.number == 3:
                raise OSError(errno.ENOSPC, "No space left on device")
            stream.write(data[instance.uid])

    with pytest.raises(OutputError, match=r"cannot be written .*Make room there"):
        pull(Full(), Query(study=one.study), tmp_path / "x")
    assert sorted(p.name for p in (tmp_path / "x" / "series-01").iterdir()) == [
        "0001.dcm", "0002.dcm", "0003.dcm",
    ]  # fmt: skip


def test_a_place_without_dicom_is_told(tmp_path, study):
    with pytest.raises(FileError, match="no such file or folder"):
        push(Nobody(), [tmp_path / "none"])
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(FileError, match="no DICOM file among 1 files"):
        push(Nobody(), [tmp_path])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt"]


def test_content_is_compared_without_file_headers_and_across_forms(study):
    one, other = study(5).files[:2]
    with one.open("rb") as a, other.open("rb") as b:
        assert same_content(a, a)
        assert not same_content(a, b)
    dataset = pydicom.dcmread(one)
    recoded = io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    pydicom.dcmwrite(
        recoded, dataset, implicit_vr=True, little_endian=True, enforce_file_format=True
    )
    with one.open("rb") as a:
        assert same_content(a, recoded)


def test_a_ledger_outlives_a_line_that_a_kill_cut_off(tmp_path):
    path = tmp_path / "x" / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.add({"a": 1}, {"a": 2})
        with pytest.raises(InUseError, match="another petechia"):
            Ledger(path)
    path.write_bytes(path.read_bytes()[:-3])
    with Ledger(path) as ledger:
        assert ledger.rows == [{"a": 1}]
        ledger.add({"a": 3})
    with path.open("ab") as stream:
        stream.write(b"\xff\x00nonsense\n[1]\n")
    with Ledger(path) as ledger:
        assert ledger.rows == [{"a": 1}, {"a": 3}]


def dribble(data: bytes, size: int):
    stream = io.BytesIO(data)
    return lambda n: stream.read(min(n, size))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 40), st.binary(max_size=20))
def test_a_frame_gives_back_what_was_put_in(content, size, before):
    chunks, n_bytes = wrapped(io.BytesIO(content), len(content), "0a1b")
    data = b"".join(chunks)
    assert len(data) == n_bytes
    for message in (data, before.replace(b"--0a1b", b"") + b"\r\n" + data):
        out = io.BytesIO()
        assert single_part(dribble(message, size), b"0a1b", out) == len(content)
        assert out.getvalue() == content


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=200), st.integers(1, 40), st.data())
def test_a_frame_cut_anywhere_is_never_taken_for_whole(content, size, data):
    chunks, n_bytes = wrapped(io.BytesIO(content), len(content), "0a1b")
    whole = b"".join(chunks)
    cut = data.draw(st.integers(0, n_bytes - 5))  # before the last two dashes
    with pytest.raises(Passing):
        single_part(dribble(whole[:cut], size), b"0a1b", io.BytesIO())


def test_a_part_that_is_too_large_is_refused():
    chunks, _ = wrapped(io.BytesIO(b"x" * 5000), 5000, "b")
    with pytest.raises(Refused, match="larger than 1000"):
        single_part(dribble(b"".join(chunks), 100), b"b", io.BytesIO(), max_bytes=1000)
    with pytest.raises(Refused, match="not multipart"):
        single_part(lambda n: b"y" * n, b"b", io.BytesIO())


def test_a_boundary_is_read_from_its_header():
    assert boundary_of('multipart/related; type="application/dicom"; boundary="a b=c"') == b"a b=c"
    assert boundary_of("multipart/related; boundary=abc; x=y") == b"abc"
    assert boundary_of("multipart/related") == b""
