"""A small output folder made of formulas, oblique and flipped, and its server."""

import asyncio
import shutil
import uuid
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.files.output import OutputTree
from petechia.files.raw_bids import write_dataset, write_raw_scan
from petechia.files.scan import Header, ScanName
from petechia.lesions.criteria import CriteriaParams, summarise
from petechia.lesions.criteria.clinical import ClinicalFacts
from petechia.lesions.findings import Finding

SHAPE = (17, 24, 21)
TE_S = (0.01, 0.02)
KINDS = (
    ("microbleed", 0.99), ("microbleed", 0.80), ("microbleed", 0.55), ("vessel", 0.40),
    ("undetermined", 0.06), ("calcification", 0.02), ("vessel", 0.01),
)  # fmt: skip


def oblique() -> Grid:
    """Storage axes run left, up, and forward, all a little turned."""
    turn = np.deg2rad(20.0)
    c, s = np.cos(turn), np.sin(turn)
    rotation = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    axes = np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]]).T  # columns: where i, j, k run
    affine = np.eye(4)
    affine[:3, :3] = rotation @ axes * np.array([2.0, 1.5, 3.0])
    affine[:3, 3] = (11.0, -20.0, 7.0)
    return Grid(SHAPE, affine)


def place_of(n: int) -> tuple[int, int, int]:
    """The middle voxel of finding `n`, from 1."""
    return 3 + 2 * (n % 5), 4 + 2 * n, 5 + n


def finding(index: int, kind: str, probability: float, grid: Grid) -> Finding:
    x, y, z = grid.to_mm(place_of(index)).tolist()
    microbleed = kind == "microbleed"
    return Finding(
        index=index, name=f"{kind} {index}", class_=kind, sign="paramagnetic",
        probability=probability, counted=microbleed and probability >= 0.5,
        mars="definite" if microbleed else "n/a", x_mm=x, y_mm=y, z_mm=z, volume_mm3=27.0,
        diameter_mm=4.0, moment_ppm_mm3=2.0, moment_se_ppm_mm3=0.2, chi_mean_ppm=0.3, side="left",
        site="frontal", compartment="lobar", parenchyma_fraction=0.9, sphericity=0.8,
        margin_sharpness=0.7, homogeneity=0.6, evidence="round; a tube 'beside' it",
    )  # fmt: skip


def summary_of(name: ScanName, findings, grid: Grid, sha256, fingerprint) -> dict:
    told = summarise(findings, CriteriaParams(), "not looked for", ClinicalFacts(), assessable=True)
    return {
        "version": "0.1.0",
        "contract_version": 1,
        "source": {"kind": "BIDS", "name": name.prefix, "n_files": len(sha256), "notes": []},
        "protocol": {
            "b0_t": 3.0, "te_s": list(TE_S), "n_echoes": len(TE_S), "phase": "absolute",
            "spacing_mm": grid.spacing_mm.tolist(), "shape": list(grid.shape),
        },
        "fitness": [],
        "reading_te_s": TE_S[-1],
        "operating_point": {"name": "balanced", "threshold": 0.5},
        **told,
        "not_assessable": [],
        "settings": {},
        "input_sha256": sha256,
        "fingerprint": fingerprint,
        "warnings": [],
        "research_use_only": "Research use only.",
    }  # fmt: skip


def volumes_of(grid: Grid) -> dict[str, np.ndarray]:
    """A brain with a ramp in it, other along every axis."""
    i, j, k = np.indices(grid.shape, dtype=np.float32)
    mask = np.zeros(grid.shape, bool)
    mask[3:-3, 4:-3, 5:-3] = True
    ramp = (10 * i + 3 * j + k + 100).astype(np.float32)
    return {
        "brain_mask": mask,
        "swi": ramp,
        "mip": ramp * mask,
        "chi": ((i - j + k) / 50).astype(np.float32) * mask,
        "r2star": (20 + i) * mask,
        "s0": (500 + j) * mask,
    }


def labels_of(grid: Grid, n: int) -> np.ndarray:
    labels = np.zeros(grid.shape, np.int32)
    for index in range(1, n + 1):
        i, j, k = place_of(index)
        labels[i, j, k : k + 2] = index
    return labels


def write_scan(tree: OutputTree, name: ScanName, *, kinds=KINDS, fingerprint="f" * 64, sha256=None):
    """Write what a run leaves of one scan."""
    grid = oblique()
    findings = [finding(n, kind, p, grid) for n, (kind, p) in enumerate(kinds, start=1)]
    sidecar = {"Sources": [], "Reference": "brain"}
    for key, volume in volumes_of(grid).items():
        tree.write_volume(key, name, volume, grid, sidecar)
    tree.write_volume("findings", name, labels_of(grid, len(kinds)), grid, sidecar)
    rows = [one.row() for one in findings]
    tree.write_table("findings", name, rows, list(rows[0]) if rows else None)
    counted = [one.index for one in findings if one.counted]
    tree.write_volume(
        "microbleeds", name, np.isin(labels_of(grid, len(kinds)), counted), grid, sidecar
    )
    tree.write_json("summary", name, summary_of(name, findings, grid, sha256 or {}, fingerprint))


def name_of(subject="01", session=None) -> ScanName:
    entities = [("sub", subject)] + ([("ses", session)] if session else [])
    return ScanName(tuple(entities))


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """An output folder: sub-01 with two sessions, sub-02 with one; never written to."""
    tree = OutputTree(tmp_path_factory.mktemp("written") / "out")
    tree.write_dataset_description()
    for name in (name_of("01", "1"), name_of("01", "2"), name_of("02")):
        write_scan(tree, name)
    return tree.root


@pytest.fixture
def output(written, tmp_path):
    """A copy of it of one's own."""
    return shutil.copytree(written, tmp_path / "out")


def raw_dataset(root, name=None):
    """The raw images of sub-02; their hashes as a summary has them."""
    grid, name = oblique(), name or name_of("02")
    write_dataset(root, [{"participant_id": name.get("sub")}], name="Raw")
    ramp = volumes_of(grid)["swi"]
    echoes = Echoes(
        magnitude=np.stack([ramp, ramp * 0.5]),
        phase_rad=np.stack([ramp, ramp]) / 1000,
        te_s=TE_S,
        b0_t=3.0,
        grid=grid,
    )
    write_raw_scan(root, name, echoes, Header())
    return root


def rewritten(output, name, **more):
    """Write a scan again, as another run does."""
    write_scan(OutputTree(output), name, **more)


def new_uuid() -> str:
    return str(uuid.uuid4())


PORT = 8123
BASE = f"http://127.0.0.1:{PORT}"


class Asked:
    """A client of an application in this process: one loop for each request, no port."""

    def __init__(self, app, client=("127.0.0.1", 50000)):
        import httpx

        self.app, self.client, self.cookies = app, client, httpx.Cookies()

    def __call__(self, method, address, *, base=BASE, **how):
        import httpx

        async def ask():
            to = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=self.client)
            async with httpx.AsyncClient(
                transport=to, base_url=base, cookies=self.cookies
            ) as client:
                answer = await client.request(method, address, **how)
                self.cookies.update(client.cookies)
                return answer

        return asyncio.run(ask())


class Reader:
    """One reader's browser, without one: a session, and what its page sends."""

    def __init__(self, app, access, reader):
        self.name, self.ask = reader, Asked(app)
        assert self.get("/", params={"token": access.token(reader)}).status_code == 303
        self.csrf = self.get("/api/session").json()["csrf"]

    def get(self, address, **how):
        return self.ask("GET", address, **how)

    def opened(self, scan):
        answer = self.get(f"/api/scans/{scan}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, scan, kind, finding="", payload=None, *, headers=None, **more):
        fingerprint = more.pop("fingerprint", "f" * 64)
        body = {
            "uuid": new_uuid(), "kind": kind, "finding": finding, "payload": payload or {},
            "seconds": 1.5, "fingerprint": fingerprint,
        } | more  # fmt: skip
        sent = {"x-csrf": self.csrf, "origin": BASE} if headers is None else headers
        return self.ask("POST", f"/api/scans/{scan}/events", json=body, headers=sent)

    def decide(self, scan, finding, verdict="accept", **more):
        payload = {"verdict": verdict} | ({"class": "vessel"} if verdict == "reject" else {})
        answer = self.post(scan, "decide", finding, payload, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def make():
    """The makers above."""
    from types import SimpleNamespace

    return SimpleNamespace(
        scan=write_scan, name=name_of, raw=raw_dataset, grid=oblique, place=place_of,
        volumes=volumes_of, labels=labels_of, again=rewritten, uuid=new_uuid, kinds=KINDS,
        base=BASE, port=PORT,
    )  # fmt: skip


@contextmanager
def serving(root):
    """Maker of applications over an output folder; their logs are closed at the end."""
    from petechia.apps.review.access import Access
    from petechia.apps.review.server import create_app
    from petechia.pipeline.review.cases import ReviewFolder
    from petechia.pipeline.review.desk import Desk, Rules
    from petechia.pipeline.review.log import ReviewLog, log_path

    with ExitStack() as logs:

        def made(readers=("anna", "ben"), images=None, header="", **rules):
            log = logs.enter_context(ReviewLog(log_path(root)))
            desk = Desk(ReviewFolder(root, images), log, Rules(**rules))
            access = Access(readers=readers, header=header, port=PORT)
            return create_app(desk, access), access

        yield made


@pytest.fixture
def serve(output):
    """Maker of applications over an output folder of one's own."""
    with serving(output) as made:
        yield made


@pytest.fixture(scope="module")
def standing(written, tmp_path_factory):
    """An application for questions that change nothing, for two readers."""
    root = shutil.copytree(written, tmp_path_factory.mktemp("standing") / "out")
    with serving(root) as made:
        yield made()


@pytest.fixture(scope="module")
def proxied(written, tmp_path_factory):
    """The same behind a proxy."""
    root = shutil.copytree(written, tmp_path_factory.mktemp("proxied") / "out")
    with serving(root) as made:
        yield made(readers=(), header="X-Remote-User")


@pytest.fixture
def visitor(standing):
    """Anna, who only looks."""
    return Reader(*standing, "anna")


@pytest.fixture
def readers(serve):
    """Anna and Ben, who read the same scans."""
    app, access = serve()
    return Reader(app, access, "anna"), Reader(app, access, "ben")


@pytest.fixture
def anna(readers):
    return readers[0]


@pytest.fixture
def asked():
    """The class of a client without a session."""
    return Asked


@pytest.fixture
def reader():
    """The class of a reader."""
    return Reader
