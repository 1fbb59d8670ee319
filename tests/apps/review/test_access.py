"""Who gets in: tokens, cookies, proxies, other people's pages, and what never leaves."""

import logging
import re
import socket
import stat
from dataclasses import replace

import pytest

from petechia.apps.review.access import BODY_BYTES, POLICY, Gate
from petechia.apps.review.server import listening
from petechia.errors import OutputError

SCAN = "sub-02"
EVENTS = f"/api/scans/{SCAN}/events"
BODY = {
    "kind": "decide",
    "finding": "s1",
    "payload": {"verdict": "accept"},
    "fingerprint": "f" * 64,
}


# --- one's own machine


def test_the_link_becomes_a_cookie_and_leaves_the_address(standing, asked):
    app, access = standing
    ask = asked(app)
    answer = ask("GET", "/", params={"token": access.token("anna")})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert access.token("anna") not in cookie
    assert ask("GET", "/api/session").json()["reader"] == "anna"


def test_readers_have_links_of_their_own(standing, asked):
    app, access = standing
    assert access.token("anna") != access.token("ben")
    ask = asked(app)
    ask("GET", "/", params={"token": access.token("ben")})
    assert ask("GET", "/api/session").json()["reader"] == "ben"


@pytest.mark.parametrize("address", ["/", "/api/session", "/api/scans", "/docs", "/static/x.js"])
def test_nothing_without_a_session(standing, asked, address):
    app, _ = standing
    assert asked(app)("GET", address).status_code == 401


@pytest.mark.parametrize("token", ["", "0" * 64, "ü"])
def test_a_wrong_token_opens_nothing(standing, asked, token):
    app, _ = standing
    ask = asked(app)
    answer = ask("GET", "/", params={"token": token})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_tokens_of_one_start_are_worth_nothing_at_the_next(serve, asked):
    app, _ = serve()
    _, other = serve()
    ask = asked(app)
    assert ask("GET", "/", params={"token": other.token("anna")}).status_code == 401
    cookie = {"cookie": f"{other.cookie}={other.session('anna')}"}
    assert ask("GET", "/api/session", headers=cookie).status_code == 401


# --- other people's pages


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://127.0.0.1:8123"}, 403),  # no CSRF token
        ({"x-csrf": "mine"}, 403),  # neither origin nor referer
        ({"x-csrf": "mine", "origin": "https://evil.example"}, 403),
        ({"x-csrf": "mine", "origin": "null"}, 403),
        ({"x-csrf": "mine", "origin": "http://127.0.0.1:8123.evil.example"}, 403),
        ({"x-csrf": "mine", "origin": "http://[::1"}, 403),
        ({"x-csrf": "mine", "referer": "https://evil.example/http://127.0.0.1:8123/"}, 403),
        ({"x-csrf": "0" * 64, "origin": "http://127.0.0.1:8123"}, 403),
        ({"x-csrf": "mine", "origin": "http://127.0.0.1:8123"}, 200),
        ({"x-csrf": "mine", "referer": "http://127.0.0.1:8123/scan/sub-02"}, 200),
    ],
)
def test_a_decision_comes_from_our_own_page(visitor, make, headers, status):
    headers = {k: visitor.csrf if v == "mine" else v for k, v in headers.items()}
    answer = visitor.ask("POST", EVENTS, json=BODY | {"uuid": make.uuid()}, headers=headers)
    assert answer.status_code == status


def test_one_readers_csrf_is_not_anothers(readers):
    anna, ben = readers
    headers = {"x-csrf": ben.csrf, "origin": "http://127.0.0.1:8123"}
    assert anna.post(SCAN, "finish", headers=headers).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:9", "a@127.0.0.1:8123"])
def test_a_foreign_name_bound_to_this_address_is_refused(visitor, host):
    assert visitor.get("/api/session", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8123", "localhost:8123", "[::1]:8123"])
def test_our_own_names_are_ours(visitor, host):
    assert visitor.get("/api/session", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_change_nothing(visitor, method):
    headers = {"x-csrf": visitor.csrf, "origin": "http://127.0.0.1:8123"}
    assert visitor.ask(method, EVENTS, headers=headers).status_code == 405


# --- what is sent, and what is not


@pytest.mark.parametrize("address", ["/", "/api/session", "/api/nothing", "/docs", "/openapi.json"])
def test_every_answer_is_headed(visitor, address):
    headers = visitor.get(address).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert "access-control-allow-origin" not in headers


def test_the_policy_lets_nothing_in_from_elsewhere():
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in POLICY
    assert "http" not in POLICY


def test_answers_of_the_api_are_kept_nowhere(visitor):
    for address in ("/api/session", "/api/scans", f"/api/scans/{SCAN}", EVENTS):
        assert visitor.get(address).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "word",
    ["%2e%2e", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%00", "sub-02%00",
     "/etc/passwd", "C:\\", "sub-02\\..\\x", "." * 190],
)  # fmt: skip
def test_no_word_becomes_a_path(visitor, word):
    for address in (f"/api/scans/{word}", f"/api/scans/{SCAN}/volumes/{word}/0", f"/static/{word}"):
        answer = visitor.get(address)
        assert answer.status_code in (404, 422), address
        assert "root:" not in answer.text


def test_a_long_body_is_not_read(visitor):
    headers = {"x-csrf": visitor.csrf, "origin": "http://127.0.0.1:8123"}
    answer = visitor.ask("POST", EVENTS, content=b" " * (BODY_BYTES + 1), headers=headers)
    assert answer.status_code == 413

    async def endless():
        while True:
            yield b" " * 100_000

    answer = visitor.ask("POST", EVENTS, content=endless(), headers=headers)
    assert answer.status_code == 413


def test_the_log_of_the_server_names_nobody(readers, caplog):
    anna, _ = readers
    with caplog.at_level(logging.DEBUG, "petechia"):
        anna.get("/api/scans", params={"search": "secret"})
        anna.post(SCAN, "note", "", {"text": "Mrs Miller, born 1950"})
    text = caplog.text
    assert f"{SCAN}: note" in text
    for word in ("anna", "secret", "Miller", anna.csrf):
        assert word not in text


def test_a_fault_of_ours_tells_no_more_than_its_kind(anna, monkeypatch, caplog):
    def broken(*_args, **_more):
        raise ZeroDivisionError("/home/miller/secret")

    monkeypatch.setattr("petechia.pipeline.review.desk.Desk.queue", broken)
    answer = anna.get("/api/scans")
    assert answer.status_code == 500
    assert "ZeroDivisionError" in answer.json()["error"]["what"]
    assert "miller" not in answer.text + caplog.text


# --- behind a proxy


def test_the_proxy_names_the_reader(proxied, asked):
    app, _ = proxied
    for client in (("127.0.0.1", 1), ("::1", 1), None):
        ask = asked(app, client=client)
        answer = ask("GET", "/api/session", headers={"X-Remote-User": "eve@ward"})
        assert answer.json()["reader"] == "eve@ward"
        assert ask("GET", "/api/session").status_code == 401


@pytest.mark.parametrize("host", ["192.0.2.1", "::ffff:192.0.2.1", "testclient"])
def test_from_elsewhere_a_header_is_worth_nothing(proxied, asked, host):
    app, _ = proxied
    answer = asked(app, client=(host, 1))("GET", "/api/session", headers={"X-Remote-User": "eve"})
    assert answer.status_code == 401


def test_names_a_proxy_may_not_give(serve, asked):
    app, _ = serve(readers=("anna",), header="X-Remote-User")
    ask = asked(app)
    for name, status in (("", 401), ("a\tb", 403), ("x" * 99, 403), ("ben", 403), ("anna", 200)):
        answer = ask("GET", "/api/session", headers={"X-Remote-User": name})
        assert answer.status_code == status, name
    twice = [("X-Remote-User", "anna"), ("X-Remote-User", "anna")]
    assert ask("GET", "/api/session", headers=twice).status_code == 401


def test_behind_a_proxy_links_and_cookies_open_nothing(serve, asked):
    app, access = serve(readers=("anna",), header="X-Remote-User")
    ask = asked(app)
    assert ask("GET", "/", params={"token": access.token("anna")}).status_code == 401
    cookie = {"cookie": f"{access.cookie}={access.session('anna')}"}
    assert ask("GET", "/api/session", headers=cookie).status_code == 401


def test_a_proxys_own_name_is_the_origin(proxied, asked, make):
    app, _ = proxied
    ask = asked(app)
    named = {"X-Remote-User": "eve", "host": "review.example"}
    csrf = ask("GET", "/api/session", headers=named).json()["csrf"]
    for origin, status in (("https://review.example", 200), ("https://other.example", 403)):
        sent = {**named, "x-csrf": csrf, "origin": origin}
        answer = ask("POST", EVENTS, json=BODY | {"uuid": make.uuid()}, headers=sent)
        assert answer.status_code == status


# --- the command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "can be reached by others"),
        (["--host", "::"], "can be reached by others"),
        (["--host", "nowhere"], "is no address"),
        (["--host", "unix:/tmp/x"], "a socket is for a proxy"),
        (["--behind-proxy", "X Y"], "is no header"),
        (["--reader", "a/b"], "reader"),
        (["--port", "x"], "not a whole number"),
        (["--port", "70000"], "'70000' is no port: give 0 to 65535"),
    ],
)
def test_what_the_command_refuses(petechia, output, words, said):
    done = petechia("review", output, *words)
    assert done.code == 2
    assert said in done.err


def test_a_folder_that_is_no_output_is_refused(petechia, tmp_path):
    done = petechia("review", tmp_path)
    assert done.code == 2
    assert "no output folder" in done.err
    assert list(tmp_path.iterdir()) == []


def test_without_the_web_packages_the_command_says_what_to_install(petechia, output, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fastapi", None)
    done = petechia("review", output)
    assert done.code == 2
    assert "pip install 'petechia[review]'" in done.err


def test_a_port_that_is_taken_is_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OutputError, match="cannot be had"):
            listening("127.0.0.1", taken.getsockname()[1])


def test_a_socket_is_open_to_the_group_alone(tmp_path):
    path = tmp_path / "review.sock"
    for _ in range(2):  # the second finds what a killed server left
        with listening(f"unix:{path}", 0):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.parametrize(("host", "named"), [("::1", "[::1]"), ("127.0.0.2", "127.0.0.2")])
def test_a_link_names_the_address_that_listens(asked, serve, host, named):
    app, access = serve()
    gate = Gate(app.app, replace(access, host=host))
    link = gate.access.link("anna")
    assert link.startswith(f"http://{named}:8123/?token=")
    answer = asked(gate)(
        "GET", link.removeprefix(f"http://{named}:8123"), headers={"host": f"{named}:8123"}
    )
    assert answer.status_code == 303
    assert named == "[::1]" or f"{named}:8123" not in access.hosts()


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_on_another_sites_page_opens_the_desk(standing, asked, site):
    app, access = standing
    ask = asked(app)
    token = {"token": access.token("anna")}
    answer = ask("GET", "/", params=token, headers={"sec-fetch-site": site})
    assert answer.status_code == 200  # a redirect would still be the other site's
    assert 'http-equiv="refresh" content="0; url=/"' in answer.text
    assert "SameSite=Strict" in answer.headers["set-cookie"]
    assert token["token"] not in answer.text
    assert ask("GET", "/api/session").json()["reader"] == "anna"
    for near in ("none", "same-origin"):
        answer = ask("GET", "/", params=token, headers={"sec-fetch-site": near})
        assert answer.status_code == 303


def test_links_hold_a_long_secret(standing):
    _, access = standing
    assert re.fullmatch(r"http://127\.0\.0\.1:8123/\?token=[0-9a-f]{64}", access.link("anna"))
