"""To a real Orthanc and back, by both ways; broken off, taken up, refused."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pydicom
import pytest

from petechia.errors import FileError, InUseError, ParameterError, TransferError
from petechia.files.dicom import find_dicom_scans
from petechia.files.pacs import Query, pull, push

pytestmark = pytest.mark.xdist_group("orthanc")
ROOT = Path(__file__).parents[3]
ENTRY = "from petechia.apps.cli.main import entry; entry()"
FETCH = rb"GET [^ ?]*/instances/[0-9.]+ HTTP"
STORE = rb"POST [^ ]*/studies HTTP"


@pytest.fixture(params=["web", "dimse"])
def way(request, orthanc) -> str:
    """Address of the server, each way."""
    return getattr(orthanc, request.param)


class Watched:
    """A client that counts, and can fail or stop in the middle."""

    def __init__(self, client, *, fail_after=None, fault=None) -> None:
        self.client, self.where = client, client.where
        self.n_fetched = self.n_sent = 0
        self.fail_after, self.fault = fail_after, fault

    def __getattr__(self, name):
        return getattr(self.client, name)

    def _count(self) -> None:
        if self.fail_after is not None and self.n_fetched + self.n_sent >= self.fail_after:
            raise self.fault

    def fetch(self, instance, stream) -> None:
        self._count()
        self.client.fetch(instance, stream)
        self.n_fetched += 1

    def send(self, file) -> str:
        self._count()
        self.n_sent += 1
        return self.client.send(file)


def names_in(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_files_go_there_and_come_back_the_same(way, client_of, study, tmp_path, contents, quick):
    one, back = study(1 if way.startswith("http") else 2), tmp_path / "back"
    pushed = push(client_of(way), [one.folder], patience=quick)
    assert pushed.complete
    assert (pushed.n_files, pushed.n_sent, pushed.n_there) == (8, 8, 0)
    pulled = pull(client_of(way), Query(study=one.study), back, patience=quick)
    assert (pulled.n_instances, pulled.n_fetched, pulled.n_before) == (8, 8, 0)
    assert contents(back) == contents(one.folder)
    names = [f"series-0{s}/000{n}.dcm" for s in (1, 2) for n in (1, 2, 3, 4)]
    assert names_in(back) == [".petechia-pull.jsonl", *names]
    assert len(find_dicom_scans(back)) == 1  # what was pulled can be run


def test_what_is_there_is_neither_sent_nor_fetched_again(way, client_of, study, tmp_path, quick):
    one = study(3 if way.startswith("http") else 4)
    push(client_of(way), [one.folder], patience=quick)
    again = Watched(client_of(way))
    pushed = push(again, [one.folder], patience=quick)
    assert (pushed.n_sent, pushed.n_there, again.n_sent, again.n_fetched) == (0, 8, 0, 0)
    (one.folder / ".petechia-push.jsonl").unlink()  # then what is there is compared
    pushed = push(again, [one.folder], patience=quick)
    assert (pushed.n_sent, pushed.n_there, again.n_sent, again.n_fetched) == (0, 8, 0, 8)
    query, back = Query(study=one.study), tmp_path / "back"
    pull(client_of(way), query, back, patience=quick)
    again = Watched(client_of(way))
    pulled = pull(again, query, back, patience=quick)
    assert (pulled.n_fetched, pulled.n_before, again.n_fetched) == (0, 8, 0)
    (back / "series-02" / "0003.dcm").write_bytes(b"cut")  # a file that is not whole is
    pulled = pull(again, query, back, patience=quick)
    assert (pulled.n_fetched, pulled.n_before) == (1, 7)
    assert (back / "series-02" / "0003.dcm").stat().st_size > 1000


def test_a_stopped_pull_and_push_go_on_with_what_is_missing(
    way, client_of, study, tmp_path, contents, quick
):
    one = study(5 if way.startswith("http") else 6)
    stopped = Watched(client_of(way), fail_after=3, fault=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        push(stopped, [one.folder], patience=quick)
    rest = Watched(client_of(way))
    pushed = push(rest, [one.folder], patience=quick)
    assert (pushed.n_sent, pushed.n_there, rest.n_sent) == (5, 3, 5)
    back, query = tmp_path / "back", Query(accession=f"ACC{one.folder.name.removeprefix('study')}")
    stopped = Watched(client_of(way), fail_after=3, fault=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        pull(stopped, query, back, patience=quick)
    assert len(names_in(back)) == 4  # three and the ledger, no half file
    rest = Watched(client_of(way))
    pulled = pull(rest, query, back, patience=quick)
    assert (pulled.n_fetched, pulled.n_before, rest.n_fetched) == (5, 3, 5)
    assert contents(back) == contents(one.folder)


def test_a_server_that_breaks_off_in_the_middle_loses_nothing(
    orthanc, way, client_of, study, tmp_path, proxy, contents, quick
):
    one, back = study(7 if way.startswith("http") else 8), tmp_path / "back"
    is_web = way.startswith("http")
    between = proxy(orthanc.web_port if is_web else orthanc.dimse_port)
    there = way.replace(str(between.behind), str(between.port))

    def tell(done, total):
        if done == 3:
            between.left = 700  # breaks within the next object

    with pytest.raises(TransferError, match=r"tried 3 times.*3 files were sent.*goes on"):
        push(client_of(there), [one.folder], patience=quick, tell=tell)
    stored = orthanc.stored(one.study)
    assert 3 <= len(stored) < 5
    between.left = None
    between.asked.clear()
    pushed = push(client_of(there), [one.folder], patience=quick)
    assert pushed.n_sent == 8 - len(stored)
    assert orthanc.stored(one.study) == one.sops
    if is_web:
        assert between.requests(STORE) == 8 - len(stored)
    with pytest.raises(TransferError, match=r"tried 3 times.*goes on"):
        pull(client_of(there), Query(study=one.study), back, patience=quick, tell=tell)
    assert len(names_in(back)) == 4  # three and the ledger
    between.left = None
    between.asked.clear()
    pulled = pull(client_of(there), Query(study=one.study), back, patience=quick)
    assert (pulled.n_fetched, pulled.n_before) == (5, 3)
    assert contents(back) == contents(one.folder)
    if is_web:
        assert between.requests(FETCH) == 5


@pytest.mark.parametrize("action", ["pull", "push"])
def test_a_killed_process_is_taken_up_where_it_was(
    orthanc, client_of, study, tmp_path, proxy, environment, quick, action
):
    one, back = study(9 if action == "pull" else 10), tmp_path / "back"
    if action == "pull":
        push(client_of(orthanc.web), [one.folder], patience=quick)
    between = proxy(orthanc.web_port)
    between.delay_s = 0.03  # of each packet, so that the kill comes in the middle
    there = orthanc.web.replace(str(orthanc.web_port), str(between.port))
    words = ["pull", there, back, "--study", one.study] if action == "pull" else ["push", there]
    words += [] if action == "pull" else [one.folder]
    pattern = FETCH if action == "pull" else STORE
    victim = subprocess.Popen(
        [sys.executable, "-c", ENTRY, "pacs", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    while between.requests(pattern) < 4:
        assert victim.poll() is None
        time.sleep(0.005)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    between.delay_s = 0.0
    time.sleep(0.2)  # what was under way has arrived
    between.asked.clear()
    if action == "pull":
        n_before = len(list(back.rglob("*.dcm")))
        pulled = pull(client_of(there), Query(study=one.study), back, patience=quick)
        assert 0 < n_before < 8
        assert n_before - 1 <= pulled.n_before <= n_before  # the last may lack its line
        assert between.requests(FETCH) == 8 - pulled.n_before
        assert not list(back.rglob("*.part"))
    else:
        n_before = len(orthanc.stored(one.study))
        push(client_of(there), [one.folder], patience=quick)
        assert 0 < n_before < 8
        assert 0 < between.requests(STORE) <= 8 - n_before
        assert orthanc.stored(one.study) == one.sops


def test_unlike_content_under_a_known_uid_is_reported_and_not_sent(
    orthanc, client_of, study, quick
):
    one = study(11)
    push(client_of(orthanc.web), [one.folder], patience=quick)
    changed = pydicom.dcmread(one.files[2])
    changed.PixelData = bytes(len(changed.PixelData))
    changed.save_as(one.files[2])
    for with_ledger in (True, False):
        if not with_ledger:
            (one.folder / ".petechia-push.jsonl").unlink()
        watched = Watched(client_of(orthanc.web))
        pushed = push(watched, [one.folder], patience=quick)
        assert list(pushed.unlike) == [one.files[2].relative_to(one.folder).as_posix()]
        assert (pushed.n_sent, pushed.n_there, watched.n_sent) == (0, 7, 0)
        assert not pushed.complete


def test_another_file_header_or_hour_of_writing_is_not_unlike_content(
    orthanc, client_of, study, quick
):
    one = study(13)
    push(client_of(orthanc.web), [one.folder], patience=quick)
    for file in one.files:
        dataset = pydicom.dcmread(file)
        dataset.file_meta.ImplementationVersionName = "ANOTHER"
        dataset.ContentDate, dataset.ContentTime = "20301224", "101112"
        dataset.save_as(file)
    assert push(client_of(orthanc.web), [one.folder], patience=quick).n_there == 8


def test_an_interrupt_within_a_dimse_request_ends_at_once(orthanc, client_of, study, quick):
    one = study(29)
    client = client_of(orthanc.dimse)
    push(client, [one.folder], patience=quick)
    (series, _) = client.series(one.study)
    instance, other = client.instances(one.study, series.uid)[:2]

    class Broken(io.BytesIO):
        def write(self, data):
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        client.fetch(instance, Broken())
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), client._line.request():
        raise KeyboardInterrupt
    client.close()
    assert time.monotonic() - started < 5
    stream = io.BytesIO()  # and the client can be used again
    client.fetch(other, stream)
    assert pydicom.dcmread(io.BytesIO(stream.getvalue())).SOPInstanceUID == other.uid


def test_what_was_removed_there_is_sent_again_only_when_asked(orthanc, client_of, study, quick):
    one = study(15)
    push(client_of(orthanc.web), [one.folder], patience=quick)
    (found,) = orthanc.ask(
        "/tools/find",
        b'{"Level": "Study", "Query": {"StudyInstanceUID": "%s"}}' % one.study.encode(),
    )
    orthanc.ask(f"/studies/{found}", method="DELETE")
    pushed = push(client_of(orthanc.web), [one.folder], patience=quick)
    assert (pushed.n_sent, pushed.n_unseen) == (0, 8)
    pushed = push(client_of(orthanc.web), [one.folder], patience=quick, again=True)
    assert (pushed.n_sent, pushed.n_unseen) == (8, 0)


def test_what_was_removed_there_is_not_left_to_be_analysed(
    orthanc, way, client_of, study, tmp_path, quick
):
    one, back = study(31 if way.startswith("http") else 32), tmp_path / "back"
    client, query = client_of(way), Query(study=one.study)
    push(client, [one.folder], patience=quick)
    pull(client, query, back, patience=quick)
    for file in (back / "series-01" / "0002.dcm", back / "series-01" / "0003.dcm"):
        sop = pydicom.dcmread(file).SOPInstanceUID
        (found,) = orthanc.ask(
            "/tools/find",
            b'{"Level": "Instance", "Query": {"SOPInstanceUID": "%s"}}' % sop.encode(),
        )
        orthanc.ask(f"/instances/{found}", method="DELETE")
    first = pydicom.dcmread(file).SeriesInstanceUID
    (second,) = {one.uid for one in client.series(one.study)} - {first}
    for series in ([], [first]):
        with pytest.raises(FileError, match=r"2 objects .*: series-01/0002.dcm, series-01/0003"):
            pull(client, query, back, series=series, patience=quick)
    assert pull(client, query, back, series=[second], patience=quick).n_before == 4
    for name in ("0002.dcm", "0003.dcm"):
        (back / "series-01" / name).unlink()
    assert pull(client, query, back, patience=quick).n_before == 6


def test_a_file_that_is_damaged_is_fetched_again(
    way, client_of, study, tmp_path, contents, quick, monkeypatch
):
    one, back = study(33 if way.startswith("http") else 34), tmp_path / "back"
    client, query, synced = client_of(way), Query(study=one.study), []
    push(client, [one.folder], patience=quick)
    monkeypatch.setattr("os.fsync", lambda number: synced.append(os.fstat(number).st_ino))
    pull(client, query, back, patience=quick)
    files = sorted(back.rglob("*.dcm"))
    assert {file.stat().st_ino for file in files} <= set(synced)  # a power cut leaves them whole
    data = files[5].read_bytes()
    files[5].write_bytes(data[:-9] + bytes(9))  # of the same size
    pulled = pull(client, query, back, patience=quick)
    assert (pulled.n_fetched, pulled.n_before) == (1, 7)
    assert contents(back) == contents(one.folder)


def test_an_unknown_study_is_an_answer_with_a_reason(way, client_of, tmp_path, quick):
    with pytest.raises(TransferError, match="no study there has this study UID"):
        pull(client_of(way), Query(study="1.2.3.4"), tmp_path / "x", patience=quick)
    with pytest.raises(TransferError, match="has this patient ID and date") as told:
        pull(
            client_of(way), Query(patient_id="NOBODY-7", date="20200101"), tmp_path / "x",
            patience=quick,
        )  # fmt: skip
    assert "NOBODY" not in str(told.value)
    assert not (tmp_path / "x").exists()


def test_only_the_series_that_were_named_are_fetched(way, client_of, study, tmp_path, quick):
    one = study(17 if way.startswith("http") else 18)
    client = client_of(way)
    push(client, [one.folder], patience=quick)
    wanted = client.series(one.study)[1].uid
    query = Query(patient_id=f"SECRET{one.folder.name.removeprefix('study')}", date="20000101")
    pulled = pull(client, query, tmp_path / "x", series=[wanted], patience=quick)
    assert pulled.n_instances == 4
    assert len(list((tmp_path / "x").rglob("*.dcm"))) == 4
    assert pull(client, query, tmp_path / "x", patience=quick).n_fetched == 4  # and the rest
    with pytest.raises(ParameterError, match="1 of 1 are not in the study"):
        pull(client, query, tmp_path / "x", series=["1.2.3"], patience=quick)


def test_two_studies_need_a_choice_and_a_folder_each(orthanc, client_of, study, tmp_path, quick):
    one, other = study(19), study(20)
    client = client_of(orthanc.web)
    pushed = push(client, [one.folder, other.folder], patience=quick)
    assert (pushed.n_files, pushed.n_studies, pushed.n_sent) == (16, 2, 16)
    with pytest.raises(ParameterError, match="studies match"):
        pull(client, Query(date="20000101"), tmp_path / "x", patience=quick)
    pull(client, Query(study=one.study), tmp_path / "x", patience=quick)
    with pytest.raises(FileError, match="holds another study"):
        pull(client, Query(study=other.study), tmp_path / "x", patience=quick)
    with pytest.raises(FileError, match="holds other files"):
        pull(client, Query(study=other.study), other.folder, patience=quick)


def test_two_at_once_in_one_folder_do_not_meet(orthanc, client_of, study, tmp_path, quick):
    one, back = study(21), tmp_path / "back"
    client, second, met = client_of(orthanc.web), client_of(orthanc.web), []

    def meanwhile(act):
        def tell(done, total):
            if done == 2:
                with pytest.raises(InUseError, match="another petechia"):
                    act()
                met.append(done)

        return tell

    def push_too():
        push(second, [one.folder], patience=quick)

    def pull_too():
        pull(second, Query(study=one.study), back, patience=quick)

    assert push(client, [one.folder], patience=quick, tell=meanwhile(push_too)).n_sent == 8
    pulled = pull(client, Query(study=one.study), back, patience=quick, tell=meanwhile(pull_too))
    assert (pulled.n_fetched, met) == (8, [2, 2])


def test_two_pulls_at_once_into_two_folders(orthanc, client_of, study, tmp_path, contents, quick):
    one = study(22)
    push(client_of(orthanc.web), [one.folder], patience=quick)
    other, done = client_of(orthanc.web), []

    def tell(n, total):
        if n == 4:
            done.append(pull(other, Query(study=one.study), tmp_path / "b", patience=quick))

    pull(client_of(orthanc.web), Query(study=one.study), tmp_path / "a", patience=quick, tell=tell)
    assert done[0].n_fetched == 8
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(one.folder)


def test_c_move_brings_what_c_get_does_not(
    orthanc, client_of, study, tmp_path, contents, quick, monkeypatch
):
    one = study(24)
    push(client_of(orthanc.dimse), [one.folder], patience=quick)
    monkeypatch.setattr("petechia.files.pacs.dimse.GET", "1.2.840.10008.5.1.4.1.2.9.9")
    with pytest.raises(TransferError, match=r"does not give objects by C-GET.*--listen"):
        pull(client_of(orthanc.dimse), Query(study=one.study), tmp_path / "x", patience=quick)
    listening = client_of(orthanc.dimse, listen=("127.0.0.1", orthanc.move_port))
    pull(listening, Query(study=one.study), tmp_path / "x", patience=quick)
    assert contents(tmp_path / "x") == contents(one.folder)
    listening.close()
    elsewhere = client_of(orthanc.dimse, listen=("127.0.0.1", 0))  # not where it sends to
    with pytest.raises(TransferError, match=r"could not send to us.*firewalls"):
        pull(elsewhere, Query(study=one.study), tmp_path / "y", patience=quick)


def test_c_get_that_is_broken_off_as_not_allowed_gives_way_to_c_move(
    orthanc, client_of, study, tmp_path, contents, quick
):
    one = study(30)
    push(client_of(orthanc.dimse), [one.folder], patience=quick)
    query, words = Query(study=one.study), {"calling_aet": "MOVEONLY"}
    with pytest.raises(TransferError, match=r"do not allow it .*ask for that right.*--listen"):
        pull(client_of(orthanc.dimse, **words), query, tmp_path / "x", patience=quick)
    listening = client_of(orthanc.dimse, listen=("127.0.0.1", orthanc.move_port), **words)
    assert pull(listening, query, tmp_path / "x", patience=quick).n_fetched == 8
    assert contents(tmp_path / "x") == contents(one.folder)


def test_wrong_titles_and_passwords_are_told_without_them(orthanc, client_of, quick, tmp_path):
    query = Query(study="1.2.3")
    for words in ({"password": "wr0ng-word"}, {"user": None, "password": None}):
        with pytest.raises(TransferError, match=r"credentials.*PETECHIA_PACS_USER") as told:
            pull(client_of(orthanc.web, **words), query, tmp_path / "x", patience=quick)
        assert "wr0ng" not in str(told.value)
    stranger = orthanc.dimse.replace("ORTHANC", "NOBODY")
    with pytest.raises(TransferError, match="does not know the title 'NOBODY'"):
        pull(client_of(stranger), query, tmp_path / "x", patience=quick)
    with pytest.raises(TransferError, match="to a title they do not know"):
        pull(
            client_of(orthanc.dimse, calling_aet="STRANGER"), query, tmp_path / "x", patience=quick
        )


def test_tls_asks_for_a_certificate_that_is_trusted(
    orthanc, client_of, study, tmp_path, proxy, certificates, contents, quick
):
    one = study(25)
    for n, port in enumerate((orthanc.web_port, orthanc.dimse_port)):
        safe = proxy(port, certificates.new_context())
        there = (
            f"https://127.0.0.1:{safe.port}/dicom-web" if n == 0
            else f"dimse+tls://ORTHANC@127.0.0.1:{safe.port}"
        )  # fmt: skip
        named = there.replace("127.0.0.1", "localhost")  # which the certificate is not for
        for where, trusted in (
            (there, None),
            (there, certificates.other),
            (named, certificates.server),
        ):
            with pytest.raises(TransferError, match=r"certificate is not trusted.*--ca-file"):
                push(client_of(where, ca_file=trusted), [one.folder], patience=quick)
        client = client_of(there, ca_file=certificates.server)
        assert push(client, [one.folder], patience=quick).complete
        pull(client, Query(study=one.study), tmp_path / f"back{n}", patience=quick)
        assert contents(tmp_path / f"back{n}") == contents(one.folder)
    plain = f"https://127.0.0.1:{orthanc.web_port}/dicom-web"
    with pytest.raises(TransferError, match="TLS failed"):
        push(client_of(plain), [one.folder], patience=quick)


def test_a_server_may_ask_for_our_certificate(
    orthanc, client_of, study, proxy, certificates, quick
):
    one = study(26)
    context = certificates.new_context()
    context.load_verify_locations(certificates.ours)
    context.verify_mode = 2  # required
    for n, port in enumerate((orthanc.web_port, orthanc.dimse_port)):
        safe = proxy(port, context)
        there = (
            f"https://127.0.0.1:{safe.port}/dicom-web" if n == 0
            else f"dimse+tls://ORTHANC@127.0.0.1:{safe.port}"
        )  # fmt: skip
        with pytest.raises(TransferError):
            push(client_of(there, ca_file=certificates.server), [one.folder], patience=quick)
        client = client_of(
            there, ca_file=certificates.server, client_cert=certificates.ours,
            client_key=certificates.ours_key,
        )  # fmt: skip
        assert push(client, [one.folder], patience=quick).complete


def test_compressed_files_stay_as_they_are(way, client_of, study, tmp_path, quick):
    one = study(27 if way.startswith("http") else 28)
    for file in one.files:
        dataset = pydicom.dcmread(file)
        dataset.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
        dataset.save_as(file)
    assert push(client_of(way), [one.folder], patience=quick).n_sent == 8
    pull(client_of(way), Query(study=one.study), tmp_path / "back", patience=quick)
    for file in (tmp_path / "back").rglob("*.dcm"):
        assert pydicom.dcmread(file).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"
