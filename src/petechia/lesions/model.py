"""The trained classifier: trees on features, a network on cubes, and what joins them."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numba
import numpy as np
import numpy.typing as npt
import onnxruntime

from petechia.core.logistic import Logistic, expit
from petechia.core.methods import choose
from petechia.errors import InputError, ParameterError
from petechia.lesions.classification import METHODS
from petechia.lesions.features import NAMES, Described, pipeline_hash
from petechia.lesions.features.radial import RAY_MM, SHELLS_MM
from petechia.lesions.findings import CLASSES
from petechia.lesions.linear import Linear
from petechia.lesions.shortlist import MEASURES
from petechia.lesions.slices import is_thick
from petechia.lesions.trees import Trees

Floats = npt.NDArray[np.float64]
BATCH = 64
OTHERS = CLASSES[1:]
"""Classes besides microbleed."""
LINEAR = "linear_"
"""Prefix of its arrays."""
ALIKE = 0.05
"""So far beyond the range of training, as a share, a scan's own numbers are still like it: cubic
voxels are, where the flattest of training were 1.02 times as thick as wide."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Opinion:
    """What the model thinks of voids.

    Attributes
    ----------
    probability : (N,) ndarray
        Calibrated probability of a microbleed.
    others : (N, 7) ndarray
        Shares of the other classes, given that it is none.
    reasons : tuple of str
        The features that spoke loudest, in words.
    says : tuple of str
        What a reader must know of the scan as a whole.
    """

    probability: Floats
    others: Floats
    reasons: tuple[str, ...]
    says: tuple[str, ...] = ()

    def of(self, n: int) -> tuple[float, dict[str, float], str]:
        """Return probability, shares of other classes and reasons of one void."""
        shares = dict(zip(OTHERS, self.others[n].tolist(), strict=True))
        return float(self.probability[n]), shares, self.reasons[n]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Model:
    """All that training has made.

    Attributes
    ----------
    card : dict
        What it is, what it was trained on, how it did; `features` is the hash of its features.
    bleed, bleed_thick, other : Trees
        Log-odds of a microbleed in thin slices and in thick ones; scores of the other classes.
    order, order_thick : Trees
        Which voids are worth measuring, in thin slices and in thick ones
        (`petechia.lesions.shortlist`).
    network : callable session or None
        Log-odds from cubes; None when only trees are there.
    linear : Linear or None
        What is added to both; None when nothing is.
    joint : dict of str to (5, K + 1) ndarray
        Of each row of the classification table, for each of `KINDS`: constant, slope of each
        log-odds.
    low, high : (F,) ndarray
        Range of each feature in training, for the check whether a scan is alike.
    site : Logistic or None
        How the probabilities are moved at the site where it runs, by its readers' decisions;
        None leaves them as they are.
    """

    card: Mapping[str, Any]
    bleed: Trees
    bleed_thick: Trees
    other: Trees
    order: Trees
    order_thick: Trees
    network: Any
    linear: Linear | None
    joint: Mapping[str, Floats]
    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]
    site: Logistic | None = None

    @classmethod
    def load(
        cls, card: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], network: bytes | None
    ) -> Self:
        """Return a model from its card, arrays and network.

        Raises
        ------
        InputError
            If it was trained on other features than this version makes, or if its orders of dark
            spots were grown on other measures.
        """
        trained, own = str(card.get("features")), pipeline_hash()
        if trained != own:
            raise _other_version(f"features {trained}, this version makes {own}")
        measures = tuple(card.get("orders", {}).get("measures", ()))
        if measures != MEASURES:
            raise _other_version(
                f"{', '.join(measures) or 'no known measures'} of dark spots, this version "
                f"measures {', '.join(MEASURES)}"
            )
        thick = "bleed_thick_" if "bleed_thick_root" in arrays else "bleed_"
        return cls(
            card=card,
            bleed=Trees.from_arrays(arrays, "bleed_"),
            bleed_thick=Trees.from_arrays(arrays, thick),
            other=Trees.from_arrays(arrays, "other_"),
            order=Trees.from_arrays(arrays, "order_"),
            order_thick=Trees.from_arrays(arrays, "order_thick_"),
            network=None if network is None else _session(network),
            linear=Linear.from_arrays(arrays, LINEAR) if f"{LINEAR}weight" in arrays else None,
            joint={n: arrays[f"joint_{n}"] for n in METHODS if f"joint_{n}" in arrays},
            low=arrays["low"],
            high=arrays["high"],
        )

    @property
    def operating_points(self) -> dict[str, float]:
        """Probability from which a finding counts, by the name of the point."""
        return {name: float(p) for name, p in self.card["operating_points"].items()}

    @property
    def least_probability(self) -> float:
        """Below it nothing is called a microbleed: the lowest operating point."""
        return min(self.operating_points.values())

    def order_of(self, slice_mm: float) -> Trees:
        """Return the order of dark spots for slices of a thickness [mm]."""
        return self.order_thick if is_thick(slice_mm) else self.order

    def judge(self, told: Described, method: str = "combined") -> Opinion:
        """Return what a row of the classification table thinks of voids."""
        choose(METHODS, method, "Model.judge")
        evidence = self.evidence(told, method)
        weights = self.joint.get(method)
        if weights is None:
            raise ParameterError(
                f"the model has no {method!r}",
                where="Model.judge",
                mend=f"It has {', '.join(sorted(self.joint))}.",
            )
        probability = joined(evidence, kinds_of(told.table), weights)
        if self.site is not None:
            probability = self.site.apply(probability)
        scores = self.other.scores(told.table)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return Opinion(
            probability=probability,
            others=scores / scores.sum(axis=1, keepdims=True),
            reasons=self.reasons(told.table, method),
            says=self.unlike(told),
        )

    def evidence(self, told: Described, method: str) -> Floats:
        """Return the log-odds (N, K) that a row of the classification table joins."""
        found = METHODS[method]({"told": told, "model": self}, grid=None)[0]
        return np.asarray(found, dtype=np.float64)

    def grown(self, table: npt.NDArray[np.float32]) -> Floats:
        """Return the log-odds (N,) of rows of features by the trees for their slices."""
        thick = kinds_of(table) == THICK
        out = np.zeros(len(table))
        for rows, trees in ((~thick, self.bleed), (thick, self.bleed_thick)):
            if rows.any():
                out[rows] = trees.scores(table[rows])[:, 0]
        return out

    def seen(self, cubes: npt.NDArray[np.float32]) -> Floats:
        """Return the network's log-odds of cubes."""
        return run_network(self.network, cubes)

    def added(self, table: npt.NDArray[np.floating]) -> Floats:
        """Return the sum that is added to trees and network, of rows of features."""
        if self.linear is None:
            raise ParameterError(
                "the model has no sum of features",
                where="Model.added",
                mend="Choose the row 'combined', or fit it (training/refine.py).",
            )
        return self.linear.scores(table, kinds_of(table))

    def reasons(
        self, table: npt.NDArray[np.float32], method: str, most: int = 3
    ) -> tuple[str, ...]:
        """Return the features that speak loudest for and against each void, in words.

        Each with the value that does: low, high, or that it could not be measured. They speak
        through the trees and the sum, where a row joins them; what the network sees has no name,
        and the row that asks it alone has no reasons.

        Parameters
        ----------
        table : (N, F) ndarray
            Rows of features.
        method : str
            Row of the classification table.
        most : int
            So many features are told.
        """
        if method == "network":
            return ("",) * len(table)
        kinds = kinds_of(table)
        slopes = self.joint[method][kinds, 1:]
        added = above = np.zeros(table.shape)
        if method == "refined" and self.linear is not None:
            off = self.linear.standard(table, kinds)
            added = slopes[:, -1, None] * off * self.linear.weight[kinds]
            above = np.where(off > 0, added, 0)
        out = []
        for n, row in enumerate(table):
            trees = self.bleed_thick if kinds[n] == THICK else self.bleed
            share, high = (slopes[n, 0] * of_trees for of_trees in trees.reasons(row))
            out.append(_loudest(row, share + added[n], high + above[n], most))
        return tuple(out)

    def unlike(self, seen: Described) -> tuple[str, ...]:
        """Return a warning when the scan is unlike those of training."""
        if not len(seen.table):
            return ()
        says, table = [], seen.table
        outside = (table < self.low) | (table > self.high)
        for name, text, unit in SCAN_WORDS:
            n = NAMES.index(name)
            told = float(table[0, n]), float(self.low[n]), float(self.high[n])
            value, low, high = told
            in_log = name.startswith("log_")
            slack = ALIKE if in_log else ALIKE * abs(value)
            if value < low - slack or value > high + slack:
                value, low, high = np.exp(told) if in_log else told
                says.append(f"{text} {value:.3g}{unit} (trained on {low:.3g} to {high:.3g})")
            else:
                outside[:, n] = False
        share = float(outside.mean())  # what is missing lies nowhere
        limit = float(self.card.get("outside_limit", 0.02))
        if share > limit:
            says.append(
                f"{100 * share:.1f} % of what was measured lies outside the range of training "
                f"(usual: below {100 * limit:.1f} %)"
            )
        if not says:
            return ()
        return (
            "This scan is unlike those that the detector was trained on: "
            + "; ".join(says)
            + ". Take its probabilities with care.",
        )


def _other_version(what: str) -> InputError:
    """Return the refusal of a model that was trained on something else than this version makes."""
    return InputError(
        f"the model was trained on {what}",
        where="model",
        mend="Install the version that the model belongs to, or train it again "
        "(training/README.md).",
    )


def _loudest(row: npt.NDArray[np.float32], share: Floats, high: Floats, most: int) -> str:
    """Return the features with the largest shares; `high` is what came of a high value."""
    told = []
    for n in np.argsort(-np.abs(share), kind="stable")[:most]:
        if share[n]:
            # most of it may come from thresholds below the value, or from those above
            value = "high" if abs(high[n]) > abs(share[n] - high[n]) else "low"
            value = "not measured" if np.isnan(row[n]) else value
            side = "for" if share[n] > 0 else "against"
            told.append(f"{words(NAMES[n])} ({value}) {side} it")
    return ", ".join(told)


SCAN_WORDS = (
    ("log_b0_te", "B0 x TE", " T s"),
    ("log_voxel", "voxel volume", " mm3"),
    ("in_plane_mm", "finest voxel side", " mm"),
    ("thickness_ratio", "thickest over finest voxel side", ""),
    ("noise", "texture of the tissue", ""),
)


FAMILY_WORDS = {
    "form": "form", "field": "fit of the field", "map": "field and susceptibility around",
    "dark_swi": "SWI", "dark": "magnitude", "chi": "susceptibility", "decay": "decay",
    "grey": "grey levels", "glcm": "texture", "glrlm": "texture", "tube": "continuation",
    "void": "moment by the void", "thread": "dark region",
}  # fmt: skip
SCALE_WORDS = {
    r"uneven_([\d.]+)": "unevenness at {} mm",
    r"round_([\d.]+)": "roundness within {} mm",
    r"curve_([\d.]+)_(\d)": "curvature at {} mm ({})",
    r"axis_([\d.]+)_long": "elongation within {} mm",
    r"axis_([\d.]+)_flat": "flatness within {} mm",
}
"""Features with a scale in their name."""
STRETCH_WORDS = {
    "shell": ("in the shell of {} to {} mm", SHELLS_MM),
    "ray": ("strongest ray at {} to {} mm", RAY_MM),
    "through": ("on both sides at {} to {} mm", RAY_MM),
}
"""Features with the number of a stretch in their name."""
NAME_WORDS = {
    "vessel_mean": "answer of the vein filter", "vessel_near": "answer of the vein filter nearby",
    "edge_mm": "distance to the mask's edge", "nearest_mm": "distance to the next void",
    "neighbours": "voids nearby", "vein_beyond_mm": "vein beyond the void",
    "csf_around": "fluid around", "log_b0_te": "field times echo time",
    "log_voxel": "voxel volume", "in_plane_mm": "finest voxel side",
    "form_parenchyma": "form: tissue all round", "form_outside": "form: outside the brain",
    "form_inscribed": "form: inscribed radius", "form_surrounding": "form: signal around",
    "tube_through": "continuation on both sides", "tube_one_way": "continuation on one side",
    "tube_chi_through": "continuation in susceptibility on both sides",
    "tube_chi_one_way": "continuation in susceptibility on one side",
    "thread_elongation": "elongation of the dark region",
    "thread_reach": "reach of the dark region over the void's radius",
    "void_log_moment": "moment by the void",
    "void_log_over_field": "moment by the void over that by the field",
    "void_errors_above": "moment by the void above that by the field in errors",
}  # fmt: skip


def words(name: str) -> str:
    """Return the name of a feature as it is read; it holds no comma.

    Examples
    --------
    >>> words("dark_round_5")
    'magnitude: roundness within 5 mm'
    """
    if name in NAME_WORDS:
        return NAME_WORDS[name]
    for family in sorted(FAMILY_WORDS, key=len, reverse=True):
        if name.startswith(f"{family}_"):
            return f"{FAMILY_WORDS[family]}: {_part_words(name.removeprefix(f'{family}_'))}"
    if name.startswith("to_"):
        return f"distance to {name.removeprefix('to_').removesuffix('_mm')}"
    return name.replace("_", " ")


def _part_words(part: str) -> str:
    for pattern, text in SCALE_WORDS.items():
        if found := re.fullmatch(pattern, part):
            return text.format(*found.groups())
    what, _, number = part.rpartition("_")
    if what in STRETCH_WORDS:
        text, stretches = STRETCH_WORDS[what]
        return text.format(*(f"{mm:g}" for mm in stretches[int(number)]))
    return part.removeprefix("log_").replace("_", " ")


KINDS = (
    "thin slices, one echo, no sign", "thin slices, one echo, signed",
    "thin slices, several echoes, no sign", "thin slices, several echoes, signed",
    "thick slices",
)  # fmt: skip
"""Kinds of scans whose log-odds are joined and calibrated each by itself. In thick slices what the
field adds is little, and there are few of each."""
THICK = KINDS.index("thick slices")


def kinds_of(table: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return which of `KINDS` each row of features (N, F) is of.

    Parameters
    ----------
    table : (N, F) ndarray
        In the order of `NAMES`.
    """
    phase, echoes, finest, ratio = (
        np.nan_to_num(table[:, NAMES.index(name)])
        for name in ("phase", "multi_echo", "in_plane_mm", "thickness_ratio")
    )
    thin = (phase > 1).astype(np.int64) + 2 * (echoes > 0)
    return np.where(is_thick(finest * ratio), THICK, thin)


def joined(evidence: Floats, kinds: npt.NDArray[np.int64], weights: Floats) -> Floats:
    """Return probabilities from log-odds: logistic, with slopes of its own for each kind."""
    return expit(joint_log_odds(evidence, kinds, weights))


def joint_log_odds(evidence: Floats, kinds: npt.NDArray[np.int64], weights: Floats) -> Floats:
    """Return one log-odds (N,) from several.

    Parameters
    ----------
    evidence : (N, K) ndarray
        Log-odds.
    kinds : (N,) ndarray of int
        Row of `weights`.
    weights : (M, K + 1) ndarray
        Constant and slopes of each kind.
    """
    chosen = weights[kinds]
    told = np.clip(evidence, -15, 15)
    return np.asarray(chosen[:, 0] + (chosen[:, 1:] * told).sum(axis=1), dtype=np.float64)


def _session(network: bytes) -> Any:
    """Return an inference session that keeps to the threads that numba was given."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(numba.get_num_threads())
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def run_network(session: Any, cubes: npt.NDArray[np.float32]) -> Floats:
    """Return the network's log-odds of cubes, the mean over four symmetries of the field."""
    if session is None:
        raise ParameterError(
            "the model has no network", where="run_network", mend="Choose the row 'trees'."
        )
    name = session.get_inputs()[0].name
    total = np.zeros(len(cubes))
    for begin in range(0, len(cubes), BATCH):
        batch = cubes[begin : begin + BATCH]
        views = list(symmetries(batch))
        scores = [session.run(None, {name: np.ascontiguousarray(v)})[0][:, 0] for v in views]
        total[begin : begin + BATCH] = np.mean(scores, axis=0)
    return total


def symmetries(cubes: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    """Return four views that are as good: as it is, turned, mirrored, upside down.

    The main field lies along the last axis; a quarter turn about it, a mirror and upside down
    leave a dipole as it is. All sixteen would take four times as long.
    """
    turned = np.rot90(cubes, 1, axes=(2, 3))
    return [cubes, turned[..., ::-1], cubes[:, :, ::-1], turned[:, :, ::-1, :, ::-1]]


def arrays_of(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an `.npz` in memory."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
