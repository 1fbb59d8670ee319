"""A DIMSE server that is choosy, busy, wrong or hostile."""

import io

import pydicom
import pytest

from petechia.errors import TransferError
from petechia.files.pacs import Query, pull, push
from petechia.files.pacs.pulling import list_studies

pynetdicom = pytest.importorskip("pynetdicom", reason="the extra `pacs` is not installed")
from pydicom.dataset import Dataset  # noqa: E402
from pynetdicom import evt  # noqa: E402

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
VERIFICATION, MR = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT = "1.2.840.10008.1.2"


class Fake:
    """Answers with what its lists hold; keeps what it is sent."""

    def __init__(self, contexts, accept=None) -> None:
        self.kept: dict[str, Dataset] = {}
        self.matches: dict[str, list[Dataset]] = {}
        self.statuses: list[int] = []
        self.accept = accept
        self.gives = lambda wanted: wanted
        self.moves_to: tuple[str, int] | None = None
        ae = pynetdicom.AE(ae_title="FAKE")
        ae.requested_contexts = [pynetdicom.build_context(MR)]
        for kind, syntaxes in contexts.items():
            ae.add_supported_context(kind, syntaxes, scu_role=True, scp_role=True)
        handlers = [
            (evt.EVT_C_FIND, self.find),
            (evt.EVT_C_GET, self.get),
            (evt.EVT_C_MOVE, self.move),
            (evt.EVT_C_STORE, self.store),
            (evt.EVT_USER_ID, self.who),
        ]
        self.server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)

    @property
    def where(self) -> str:
        return f"dimse://FAKE@127.0.0.1:{self.server.server_address[1]}"

    def status(self) -> int:
        return self.statuses.pop(0) if self.statuses else 0

    def find(self, event):
        status = self.status()
        if status:
            yield status, None
            return
        for match in self.matches.get(event.identifier.QueryRetrieveLevel, []):
            yield 0xFF00, match

    def get(self, event):
        status = self.status()
        yield 1
        if status:
            yield status, None
            return
        yield 0xFF00, self.kept[self.gives(str(event.identifier.SOPInstanceUID))]

    def move(self, event):
        yield self.moves_to
        yield 1
        yield 0xFF00, self.kept[str(event.identifier.SOPInstanceUID)]

    def store(self, event) -> int:
        status = self.status()
        if status == 0:
            dataset = event.dataset
            dataset.file_meta = event.file_meta
            self.kept[str(dataset.SOPInstanceUID)] = dataset
        return status

    def who(self, event):
        return self.accept == (event.primary_field, event.secondary_field), None

    def list(self, one) -> None:
        """Answer queries with a study of our own."""
        datasets = [pydicom.dcmread(file) for file in one.files]
        self.kept = {str(d.SOPInstanceUID): d for d in datasets}
        self.matches = {
            "STUDY": [answer(StudyInstanceUID=one.study)],
            "SERIES": [answer(SeriesInstanceUID=datasets[0].SeriesInstanceUID)],
            "IMAGE": [answer(SOPInstanceUID=sop, SOPClassUID=MR) for sop in sorted(self.kept)],
        }


def answer(**values) -> Dataset:
    found = Dataset()
    with pydicom.config.disable_value_validation():
        for keyword, value in values.items():
            setattr(found, keyword, value)
    return found


USUAL = {VERIFICATION: None, FIND: None, GET: None, MR: ["1.2.840.10008.1.2.1", IMPLICIT]}


@pytest.fixture
def fake():
    made = []

    def make(contexts=USUAL, **words) -> Fake:
        made.append(Fake(contexts, **words))
        return made[-1]

    yield make
    for one in made:
        one.server.shutdown()


@pytest.fixture
def nameless(client_of):
    """Maker of clients without a user."""
    return lambda server, **words: client_of(
        server.where, **{"user": None, "password": None, **words}
    )


def test_what_is_no_uid_is_refused_before_it_is_used(fake, nameless, study, tmp_path, quick):
    one, server = study(1), fake()
    for level, keyword in (("SERIES", "SeriesInstanceUID"), ("IMAGE", "SOPInstanceUID")):
        for uid in ("../../x", "", "1.2/3"):
            server.list(one)
            server.matches[level] = [answer(**{keyword: uid})]
            with pytest.raises(TransferError, match="something else than a UID"):
                pull(nameless(server), Query(study=one.study), tmp_path / "x", patience=quick)
    assert not (tmp_path / "x").exists()


def test_an_object_other_than_the_one_asked_for_is_not_kept(fake, nameless, study, tmp_path, quick):
    one, server = study(2), fake()
    server.list(one)
    first, *_, last = sorted(server.kept)
    server.gives = lambda wanted: last if wanted == first else wanted
    with pytest.raises(TransferError, match=r"1 of 8 objects could not be had: the server co"):
        pull(nameless(server), Query(study=one.study), tmp_path / "x", patience=quick)
    server.kept[first].StudyInstanceUID = "1.2.3"  # or one that names itself differently
    server.gives = lambda wanted: wanted
    with pytest.raises(TransferError, match=r"1 of 8 objects.*another object"):
        pull(nameless(server), Query(study=one.study), tmp_path / "x", patience=quick)
    assert len(list((tmp_path / "x").rglob("*.dcm"))) == 7


def test_a_busy_server_is_asked_again_and_one_that_cannot_is_not(
    fake, nameless, study, tmp_path, quick
):
    one, server = study(3), fake()
    server.list(one)
    server.statuses = [0xA700, 0, 0, 0, 0xA701]
    assert (
        pull(nameless(server), Query(study=one.study), tmp_path / "x", patience=quick).n_fetched
        == 8
    )
    for status, reason in ((0xC000, "status 0xc000"), (0x0122, "no queries"), (0xA700, "3 times")):
        server.statuses = [status] * 3
        with pytest.raises(TransferError, match=reason):
            list_studies(nameless(server), Query(study=one.study), quick)
        server.statuses = []


def test_a_server_that_does_not_get_is_told_how_to_move(fake, nameless, study, tmp_path, quick):
    one = study(4)
    server = fake({k: v for k, v in USUAL.items() if k != GET})
    server.list(one)
    with pytest.raises(TransferError, match=r"by C-GET.*--listen"):
        pull(nameless(server), Query(study=one.study), tmp_path / "x", patience=quick)
    listening = nameless(server, listen=("127.0.0.1", 1 << 15))
    with pytest.raises(TransferError, match="neither C-GET nor C-MOVE"):
        pull(listening, Query(study=one.study), tmp_path / "x", patience=quick)


def test_a_server_that_declines_a_whole_offer_is_asked_in_the_next_way(
    fake, nameless, study, tmp_path, quick, contents, free_port
):
    one = study(10)
    server = fake({FIND: None, MOVE: None})  # not even an echo
    server.list(one)
    server.moves_to = ("127.0.0.1", free_port)
    with pytest.raises(TransferError, match=r"by C-GET.*--listen"):
        pull(nameless(server), Query(study=one.study), tmp_path / "x", patience=quick)
    listening = nameless(server, listen=server.moves_to)
    assert pull(listening, Query(study=one.study), tmp_path / "x", patience=quick).n_fetched == 8
    assert contents(tmp_path / "x") == contents(one.folder)
    server = fake({FIND: None})
    server.list(one)
    with pytest.raises(TransferError, match="neither C-GET nor C-MOVE"):
        pull(
            nameless(server, listen=("127.0.0.1", 0)), Query(study=one.study), tmp_path / "y",
            patience=quick,
        )  # fmt: skip
    pushed = push(nameless(fake({"1.2.840.10008.5.1.4.1.1.2": None})), [one.folder], patience=quick)
    assert set(pushed.refused.values()) == {"the server does not take this kind (MR Image Storage)"}


def test_each_refusal_is_told_for_its_file_and_the_others_are_sent(fake, nameless, study, quick):
    one, server = study(5), fake()
    server.statuses = [0, 0, 0, 0xA900, 0xA700, 0, 0xB000]  # the first two are queries
    pushed = push(nameless(server), [one.folder], patience=quick)
    assert list(pushed.refused.values()) == ["the server will not store it (status 0xa900)"]
    assert (pushed.n_sent, len(server.kept)) == (7, 6)  # the doubtful one was taken


def test_a_server_that_knows_implicit_only_gets_it(fake, nameless, study, contents, quick):
    one = study(6)
    server = fake({**USUAL, MR: [IMPLICIT]})
    assert push(nameless(server), [one.folder], patience=quick).n_sent == 8
    sent = contents(one.folder)
    assert {sop: bytes(d.PixelData) for sop, d in server.kept.items()} == sent
    assert {d.file_meta.TransferSyntaxUID for d in server.kept.values()} == {IMPLICIT}


def test_a_kind_that_the_server_does_not_take_is_named(fake, nameless, study, quick):
    one = study(7)
    server = fake({VERIFICATION: None, FIND: None})
    pushed = push(nameless(server), [one.folder], patience=quick)
    assert set(pushed.refused.values()) == {"the server does not take this kind (MR Image Storage)"}
    only = fake({MR: None})  # no queries, not even an echo
    pushed = push(nameless(only), [one.folder], patience=quick)
    assert "cannot be asked" in pushed.notes[0]
    assert pushed.n_sent == 8


def test_a_user_is_told_to_the_server(fake, client_of, study, quick):
    one, server = study(8), fake(accept=(b"reader", b"s3cret-word"))
    assert push(client_of(server.where), [one.folder], patience=quick).n_sent == 8
    with pytest.raises(TransferError, match="PETECHIA_PACS_USER") as told:
        push(client_of(server.where, password="hunter2"), [one.folder], patience=quick)
    assert "hunter2" not in str(told.value)


def test_a_server_that_says_nothing_more_is_given_up(fake, nameless, study, tmp_path, quick):
    one, server = study(9), fake()
    server.list(one)
    client = nameless(server, timeout_s=0.3)
    instance = client.instances(one.study, str(server.matches["SERIES"][0].SeriesInstanceUID))[0]

    def hang(wanted):
        import time

        time.sleep(1.0)
        return wanted

    server.gives = hang
    from petechia.files.pacs.patience import Passing

    with pytest.raises(Passing, match="silent"):
        client.fetch(instance, io.BytesIO())
