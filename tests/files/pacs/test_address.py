"""Addresses and credentials as people write them, and as they should not."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petechia.errors import FileError, ParameterError
from petechia.files.pacs import Access, Query, credentials, parse_address
from petechia.files.pacs.access import parse_listen, require_private_listening


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("https://pacs.example/dicom-web/", "https://pacs.example:443/dicom-web"),
        ("HTTPS://pacs.example:8443", "https://pacs.example:8443"),
        ("http://127.0.0.1:8042/dicom-web", "http://127.0.0.1:8042/dicom-web"),
        ("http://localhost/a/b", "http://localhost:80/a/b"),
        ("http://[::1]:8042/dicom-web", "http://[::1]:8042/dicom-web"),
        ("dimse://ARCHIVE@localhost:4242", "dimse://ARCHIVE@localhost:4242"),
        ("dimse+tls://MY%20PACS@pacs.example", "dimse+tls://MY PACS@pacs.example:2762"),
    ],
)
def test_an_address_is_read_with_its_default_port(where, text):
    assert str(parse_address(where)) == text


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("pacs.example", "begins with none of"),
        ("ftp://pacs.example", "begins with none of"),
        ("https://", "names no host"),
        ("https://a b/x", "names no host"),
        ("https://pacs.example:99999", "cannot be understood"),
        ("https://pacs.example:0", "port 0"),
        ("https://pacs.example/x?y=1", r"holds a '\?' or '#'"),
        ("https://pacs.example/x#y", r"holds a '\?' or '#'"),
        ("https://pacs.example/a/../b", "has a path"),
        ("https://pacs.example/a/%2e%2e/b", "has a path"),
        ("dimse://pacs.example:104", "names no application entity title"),
        ("dimse://AET@pacs.example/x", "which DIMSE does not know"),
        ("dimse://A%5CB@localhost", "is no application entity title"),
        ("dimse://ABCDEFGHIJKLMNOPQ@localhost", "1 to 16 plain characters"),
    ],
)
def test_what_is_no_address_is_told_with_an_example(where, reason):
    with pytest.raises(ParameterError, match=reason):
        parse_address(where, insecure=True)


@pytest.mark.parametrize("where", ["http://pacs.example/x", "dimse://AET@192.0.2.7:104"])
def test_a_readable_way_over_a_network_needs_a_word(where):
    with pytest.raises(ParameterError, match=r"readable over the network.*--insecure"):
        parse_address(where)
    assert not parse_address(where, insecure=True).encrypted


@pytest.mark.parametrize("where", ["https://me:hunter2@h/x", "http://hunter2@h", "dimse://A:hunter2@h"])  # fmt: skip
def test_a_password_in_an_address_is_refused_and_not_repeated(where):
    with pytest.raises(ParameterError, match="PETECHIA_PACS_PASSWORD") as told:
        parse_address(where, insecure=True)
    assert "hunter2" not in str(told.value)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60) | st.builds("{}://{}@{}:{}{}".format, st.sampled_from(["https", "http", "dimse", "dimse+tls"]), st.text(max_size=9), st.text(max_size=9), st.integers(-5, 70000), st.text(max_size=9)))  # fmt: skip
def test_any_words_are_an_address_or_a_parameter_error(where):
    try:
        address = parse_address(where)
    except ParameterError:
        return
    assert address.encrypted or address.loopback
    assert 0 < address.port < 65536
    assert str(address).isprintable()
    assert not set(address.host + address.path) & set("\r\n @?#\\ ")
    assert parse_address(str(address)) == address or " " in address.aet or "%" in address.aet


def test_credentials_come_from_the_environment_and_stay_out_of_text():
    words = credentials({"PETECHIA_PACS_USER": "u", "PETECHIA_PACS_PASSWORD": "hunter2"})
    assert (words["user"], words["password"]) == ("u", "hunter2")
    assert "hunter2" not in repr(Access(**words))
    assert set(credentials({}).values()) == {None}


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"PETECHIA_PACS_USER": "u"}, "PETECHIA_PACS_PASSWORD: is not set"),
        ({"PETECHIA_PACS_PASSWORD": "hunter2"}, "PETECHIA_PACS_USER: is not set"),
        ({"PETECHIA_PACS_TOKEN": "hunter2\r\nX: y"}, "cannot be sent"),
        ({"PETECHIA_PACS_TOKEN": "hunter2é"}, "cannot be sent"),
        ({"PETECHIA_PACS_USER": "a:b", "PETECHIA_PACS_PASSWORD": "hunter2"}, "holds a ':'"),
        (
            {"PETECHIA_PACS_USER": "a", "PETECHIA_PACS_PASSWORD": "b", "PETECHIA_PACS_TOKEN": "hunter2"},
            "one kind",
        ),
    ],
)  # fmt: skip
def test_credentials_that_do_not_fit_are_told_without_them(environment, reason):
    with pytest.raises(ParameterError, match=reason) as told:
        credentials(environment)
    assert "hunter2" not in str(told.value)


def test_certificates_that_cannot_be_used_are_told(tmp_path, certificates):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nothing")
    for words, reason in (
        ({"ca_file": tmp_path / "none.pem"}, "no such file"),
        ({"ca_file": wrong}, "holds no certificate"),
        ({"client_cert": wrong}, "fit each other"),
        ({"client_cert": certificates.ours, "client_key": certificates.server_key}, "fit each other"),
    ):  # fmt: skip
        with pytest.raises(FileError, match=reason):
            Access(**words).tls()


def test_a_locked_key_needs_its_password(tmp_path, certificates):
    import subprocess

    locked = Path(tmp_path) / "locked.key"
    subprocess.run(
        ["openssl", "pkey", "-in", str(certificates.ours_key), "-aes256", "-passout", "pass:hunter2",
         "-out", str(locked)], check=True, capture_output=True,
    )  # fmt: skip
    words = {"client_cert": certificates.ours, "client_key": locked}
    assert Access(**words, key_password="hunter2").tls()
    with pytest.raises(FileError, match="PETECHIA_PACS_KEY_PASSWORD"):
        Access(**words).tls()


def test_a_port_to_listen_at():
    assert parse_listen("11112") == ("0.0.0.0", 11112)
    assert parse_listen("127.0.0.1:104") == ("127.0.0.1", 104)
    assert parse_listen("[::1]:104") == ("::1", 104)
    for word in ("", "x", "0", "70000", "1:", "-3"):
        with pytest.raises(ParameterError, match="HOST:PORT"):
            parse_listen(word)


def test_a_port_that_others_can_reach_is_for_readable_networks_only():
    plain, safe = parse_address("dimse://A@localhost"), parse_address("dimse+tls://A@host")
    for host in ("127.0.0.1", "::1", "localhost"):
        for address in (plain, safe):
            require_private_listening((host, 104), address)
    for host in ("0.0.0.0", "::", "192.0.2.1", "name"):
        with pytest.raises(ParameterError, match=r"readable over the network.*add --insecure"):
            require_private_listening((host, 104), plain)
        require_private_listening((host, 104), plain, insecure=True)
        with pytest.raises(ParameterError, match=r"not done over TLS.*the right to C-GET"):
            require_private_listening((host, 104), safe, insecure=True)


def test_a_key_without_its_certificate_is_no_key(certificates):
    with pytest.raises(ParameterError, match=r"--client-key .*ours\.key: was given without"):
        Access(client_key=certificates.ours_key).tls()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({}, "no study is named"),
        ({"study": "1.2/../3"}, "is no UID"),
        ({"study": "1." + "2" * 70}, "is no UID"),
        ({"accession": "A*"}, "would match others"),
        ({"patient_id": "7\\8"}, "would match others"),
        ({"patient_id": "7", "date": "2020-01-01"}, "YYYYMMDD"),
    ],
)
def test_a_query_names_one_thing_whole(words, reason):
    with pytest.raises(ParameterError, match=reason) as told:
        Query(**words)
    assert words.get("patient_id", "#") not in str(told.value)
