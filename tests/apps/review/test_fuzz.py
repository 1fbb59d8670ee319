"""Whatever is sent: no fault of ours, and every answer is of the form that the API page tells."""

import threading
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of packages it brings
    schemathesis = pytest.importorskip("schemathesis")
hypothesis = pytest.importorskip("hypothesis")

EXAMPLES = 25
PATIENT_S = 240  # a machine that does ten other things
CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def session(standing):
    """A server on a port of its own, its schema, and a reader's headers."""
    import uvicorn

    from petechia.apps.review.server import listening

    app, access = standing
    on = listening("127.0.0.1", 0)
    config = uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [on]})
    thread.start()
    yield (
        f"http://127.0.0.1:{on.getsockname()[1]}",
        {
            "host": f"127.0.0.1:{access.port}",
            "cookie": f"{access.cookie}={access.session('anna')}",
            "x-csrf": access.csrf("anna"),
            "origin": f"http://127.0.0.1:{access.port}",
        },
    )
    server.should_exit = True
    thread.join(20)
    on.close()


def operations():
    """The addresses and methods that the schema names."""
    return [
        ("/api/session", "get"), ("/api/scans", "get"), ("/api/scans/{scan}", "get"),
        ("/api/scans/{scan}/volumes/{name}/{slab}", "get"),
        ("/api/scans/{scan}/labels/{slab}", "get"), ("/api/scans/{scan}/beside", "get"),
        ("/api/scans/{scan}/events", "get"),
        ("/api/scans/{scan}/events", "post"), ("/api/agreement", "get"),
        ("/api/disagreements", "get"), ("/api/export/decisions.{form}", "get"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def schema(session):
    import httpx

    base, headers = session
    told = httpx.get(f"{base}/openapi.json", headers=headers, timeout=PATIENT_S).json()
    named = [(path, method) for path, found in told["paths"].items() for method in found]
    assert sorted(named) == sorted(operations())  # a new operation is fuzzed too
    return schemathesis.openapi.from_dict(told)


@pytest.mark.parametrize(("path", "method"), operations())
def test_every_operation_stands_whatever_is_sent(schema, session, path, method):
    base, headers = session
    here = {"scan": "sub-02", "name": "swi", "slab": 0}

    @hypothesis.settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(
        case=schema[path][method].as_strategy(), known=hypothesis.strategies.booleans()
    )
    def stands(case, known):
        if known:  # else most would end at "no such scan"
            case.path_parameters |= {k: v for k, v in here.items() if k in case.path_parameters}
        answer = case.call(base_url=base, headers=headers, timeout=PATIENT_S)
        assert answer.status_code < 500, answer.text
        if answer.status_code != 405:
            case.validate_response(answer, checks=CHECKS)

    stands()
