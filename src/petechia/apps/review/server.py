"""The application and the server around it."""

import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from petechia import __version__
from petechia.apps.review.access import Access, App, Gate
from petechia.apps.review.routes import MissingError, Room, api
from petechia.apps.review.volumes import Volumes
from petechia.assets.store import load_bytes, manifest
from petechia.errors import (
    FileError,
    InputError,
    InUseError,
    OutputError,
    PetechiaError,
    StaleError,
)
from petechia.files.writing import without_places
from petechia.pipeline.review.desk import Desk
from petechia.pipeline.review.kept import Kept

LOG = logging.getLogger(__name__)
KEPT_DRAWINGS = 4
PAGES = {
    "/": "index.html",
    "/scan/{scan}": "desk.html",
    "/agreement": "agreement.html",
}
"""Addresses of pages, and their files in `static`."""
NIIVUE = "niivue.js"
"""The viewer, from the vendored data, as if it were one of `static`."""
SILENT: dict[str, Any] = {
    "telemetry": dict.fromkeys(
        ("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False
    )
}
"""A newer FastAPI can send traces, addresses in them, where the environment tells it to: never."""
STATUS: tuple[tuple[type[PetechiaError], int], ...] = (
    (StaleError, 409),
    (InputError, 400),
    (OutputError, 507),
    (InUseError, 503),
    (FileError, 422),
)
"""The first that fits tells the status of an error."""


def create_app(desk: Desk, access: Access, *, language: str = "en") -> App:
    """Return the application, behind its gate.

    Parameters
    ----------
    desk : Desk
        Folder, log and rules.
    access : Access
        Who the readers are.
    language : str
        Of the pages at first: 'en' or 'zh'.
    """
    volumes = Volumes(desk.folder)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        volumes.close()
        desk.log.close()

    app = FastAPI(
        title="Petechia review",
        version=__version__,
        docs_url=None,  # FastAPI's own page loads from elsewhere
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        **SILENT,
    )
    app.include_router(api(Room(desk, access, volumes, Kept(KEPT_DRAWINGS), language)))
    _add_pages(app)
    _add_errors(app)
    return Gate(app, access)


# --- pages ----------------------------------------------------------------------------------


def static_folder() -> Path:
    """Return the folder of pages, scripts and styles."""
    return Path(str(files("petechia.apps.review").joinpath("static")))


def _add_pages(app: FastAPI) -> None:
    folder = static_folder()
    for address, file in PAGES.items():
        app.get(address, include_in_schema=False)(_page(folder / file))

    @app.get("/static/{name:path}", include_in_schema=False)
    def static(request: Request, name: str) -> Response:
        return _file(request, folder, name)

    @app.get("/openapi.json", include_in_schema=False)
    def schema() -> Any:
        return app.openapi()

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(described(app.openapi()))

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:
        return Response(status_code=204)


KINDS = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
_CHECKED = {"cache-control": "no-cache"}
"""A browser may keep it, but asks whether it is still the same."""


def _file(request: Request, folder: Path, name: str) -> Response:
    """Return a file of the package: by its place in a list, so that no word leads elsewhere."""
    if name == NIIVUE:
        mark = f'"{manifest()["niivue"]["sha256"]}"'
        return _kept(request, mark, lambda: load_bytes("niivue"), ".js")
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    path = there.get(name)
    if path is None or path.suffix not in KINDS or not path.is_file():
        raise MissingError(name[:60], "no such file", "Load the page again.")
    told = path.stat()
    mark = f'"{told.st_mtime_ns:x}-{told.st_size:x}"'
    return _kept(request, mark, path.read_bytes, path.suffix)


def _kept(request: Request, mark: str, read: Callable[[], bytes], suffix: str) -> Response:
    headers = {**_CHECKED, "etag": mark}
    if request.headers.get("if-none-match") == mark:
        return Response(status_code=304, headers=headers)
    return Response(read(), media_type=KINDS[suffix], headers=headers)


def _page(path: Path) -> Callable[[], Response]:
    def page() -> Response:
        if not path.is_file():
            raise MissingError(path.name, "no such page", "Install petechia again.")
        return FileResponse(path, media_type="text/html", headers=_CHECKED)

    return page


def described(schema: Mapping[str, Any]) -> str:
    """Return a page that lists the operations of an OpenAPI schema; it loads nothing."""
    rows = []
    for address, operations in schema["paths"].items():
        for method, told in operations.items():
            words = [p["name"] for p in told.get("parameters", []) if p["in"] == "query"]
            asked = escape(", ".join(words))
            rows.append(
                f"<tr><td>{method.upper()}<td><code>{escape(address)}</code><td>{asked}"
                f"<td>{escape(told.get('description', ''))}"
            )
    models = [
        f"<details><summary>{escape(name)}</summary><pre>{escape(json.dumps(model, indent=2))}"
        "</pre></details>"
        for name, model in schema["components"]["schemas"].items()
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Petechia review: API</title>'
        '<link rel="stylesheet" href="/static/style.css"><main><h1>API</h1>'
        f'<p>Version {escape(schema["info"]["version"])}. <a href="/openapi.json">OpenAPI</a>. '
        "Every POST needs <code>X-CSRF</code> of <code>/api/session</code>."
        "<table><tr><th>Method<th>Address<th>Query<th>What it does"
        f"{''.join(rows)}</table><h2>Models</h2>{''.join(models)}</main></html>"
    )


# --- errors ---------------------------------------------------------------------------------


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(PetechiaError)
    def ours(_: Request, error: PetechiaError) -> JSONResponse:
        status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
        return _fault(status, error.where, error.what, error.mend)

    @app.exception_handler(MissingError)
    def missing(_: Request, error: MissingError) -> JSONResponse:
        return _fault(404, error.where, error.what, error.mend)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return _fault(422, where[:100], str(first["msg"]), "See /docs for what is asked.")

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> JSONResponse:
        return _fault(error.status_code, "request", str(error.detail), "See /docs.", error.headers)

    @app.exception_handler(Exception)
    def fault(_: Request, error: Exception) -> JSONResponse:  # the gate logs it
        what = f"internal error ({type(error).__name__})"
        return _fault(500, "server", what, "This is our fault: please report it.")


def _fault(
    status: int, where: str, what: str, mend: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    parts = {"where": where, "what": what, "mend": mend}
    told = {"error": {name: without_places(text) for name, text in parts.items()}}
    return JSONResponse(told, status, headers=dict(headers or {}))


# --- serving --------------------------------------------------------------------------------


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens at `host` ('unix:PATH' for a Unix socket); port 0: a free one.

    Raises
    ------
    OutputError
        The place is taken, or not ours.
    """
    if host.startswith("unix:"):
        return _unix(Path(host.removeprefix("unix:")))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise OutputError(
            f"port {port} cannot be had ({error.strerror})",
            where=host,
            mend="Another program may use it: leave --port out, or choose another.",
        ) from error
    return made


def _unix(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            path.unlink()  # left by a server that was killed
        made.bind(str(path))
        path.chmod(0o660)  # the proxy is in our group; nobody else may name readers
    except OSError as error:
        made.close()
        raise OutputError(
            f"cannot be made ({error.strerror})",
            where=str(path),
            mend="Choose a folder you may write to, which the proxy can enter.",
        ) from error
    return made


def serve(app: App, on: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until the process is told to stop; `ready` is called when requests are answered."""
    config = uvicorn.Config(
        app,
        access_log=False,  # addresses of requests name scans
        log_level="warning",
        proxy_headers=False,  # who asks is who connects
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    _Server(config, ready).run(sockets=[on])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()
