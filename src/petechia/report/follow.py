"""The page of one person's follow-up: every lesion, and both sessions side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.report.criteria import input_words
from petechia.report.data import number
from petechia.report.language import listed, said, speaking, t
from petechia.report.narrative import place_words
from petechia.report.page import environment
from petechia.report.pictures import data_uri, intensity_window, png
from petechia.report.wording import CLASSES, number_text, plain, spaced

Image = tuple[npt.NDArray[np.floating], npt.NDArray[np.bool_], Grid]
VIEW_MM, PIXEL_MM = 40.0, 0.4
MOST_PICTURES = 80
MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
STATES = {
    "new": "new",
    "grown": "grown",
    "shrunk": "shrunk",
    "stable": "stable",
    "seen_not_counted": "seen in both, counted in one",
    "not_seen": "not seen any more",
    "not_assessable": "not assessable in the other session",
}
"""What became of a lesion, in words."""
COMPARED = {
    "previous": "with the session before",
    "first": "with the first session",
    "first and previous": "with the first session, the one before",
}
LOOKS = {"new": "definite", "grown": "definite", "shrunk": "possible", "not_seen": "possible"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictured:
    """A lesion that is shown: its row, its place in the later session, the size of its ring."""

    row: int
    place_mm: tuple[float, float, float]
    radius_mm: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Compared:
    """Two sessions, as the page shows them.

    Attributes
    ----------
    told : mapping
        Their entry in the summary file.
    rows : sequence of mappings
        Of the table.
    pictures : tuple of Pictured
        Which lesions are shown.
    before, now : image, brain and grid
        Of either session.
    matrix : (4, 4) ndarray
        RAS of the later session to RAS of the earlier one [mm].
    """

    told: Mapping[str, Any]
    rows: Sequence[Mapping[str, str]]
    pictures: tuple[Pictured, ...]
    before: Image
    now: Image
    matrix: npt.NDArray[np.float64]


def render_follow(
    subject: str, compared: Sequence[Compared], language: str = "en", notes: Sequence[str] = ()
) -> str:
    """Return the page of one person: HTML that loads nothing.

    Parameters
    ----------
    subject : str
        `sub-01`.
    compared : sequence of Compared
        In order.
    language : str
        'en' or 'zh'.
    notes : sequence of str
        What there is to say of the sessions.
    """
    with speaking(language):
        states = [s for s in STATES if any((c.told["counts"] or {}).get(s) for c in compared)]
        known = all(c.told["order_known"] for c in compared)
        return (
            environment()
            .get_template("follow.html.j2")
            .render(
                subject=plain(subject),
                parts=[_part(c) for c in compared],
                states=[state_words(state, known) for state in states],
                lines=[_line(c, states) for c in compared],
                notes=[said(plain(note)) for note in notes],
            )
        )


def state_words(state: str, order_known: bool) -> str:
    """Return a state in words; where the order is a guess more than the place can be why."""
    if state == "not_assessable" and not order_known:
        return t("not assessable")
    return t(STATES[state])


def _line(c: Compared, states: Sequence[str]) -> dict[str, Any]:
    """Return a comparison as a line of the overview."""
    told, counts = c.told, c.told["counts"]
    return {
        "scan": plain(told["scan"]),
        "against": plain(told["against"]),
        "compared": t(COMPARED[told["compared"]])
        + ("" if told["order_known"] else f" ({t('a guess by label')})"),
        "interval": _interval(told["interval_days"]),
        "protocol": t("same") if told["same_protocol"] else t("other"),
        "counts": None if counts is None else [counts[state] for state in states],
    }


def _interval(days: float | None) -> str:
    if days is None:
        return t("not known")
    return t("same day") if abs(days) < 1 else number_text(days, 0, t("days"))


def _part(c: Compared) -> dict[str, Any]:
    pairs = _pictures(c) if c.told["registration"]["ok"] else {}
    views = [
        _view(row, pairs.get(n)) | {"state": state_words(row["state"], c.told["order_known"])}
        for n, row in enumerate(c.rows)
    ]
    return {
        "scan": plain(c.told["scan"]),
        "against": plain(c.told["against"]),
        "facts": _facts(c.told),
        "followed": c.told["followed"],
        "why_not": _why_not(c.told),
        "views": views,
    }


def _why_not(told: Mapping[str, Any]) -> str:
    """Return why two sessions were not compared."""
    if told["registration"]["ok"]:
        return t("One of the two scans cannot show microbleeds: its report says why.")
    why = said(plain(told["registration"]["says"]))
    return f"{why}. {t('Are both scans of one person?')}"


def _facts(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    fit = told["registration"]
    out = [(t("Registration"), said(plain(fit["says"])))]
    if fit["n_apart"]:
        apart = number_text(fit["lesions_apart_mm"], 1, "mm")
        out.append((t("Matched lesions apart (median)"), f"{apart} (n = {fit['n_apart']})"))
    out.append((t("Interval"), _interval(told["interval_days"])))
    differ = "; ".join(plain(d) for d in told["differences"])
    same = t("yes") if told["same_protocol"] else f"{t('no')}: {differ}"
    out.append((t("Same protocol"), same))
    new = told["new_microbleeds"]
    if new is not None:
        few, many = new["least"], new["most"]
        out.append((t("New microbleeds"), str(few) if few == many else f"{few} {t('to')} {many}"))
    elif told["followed"]:
        out.append((t("New microbleeds"), t("not known: which session came first is a guess")))
    if told["new_per_year_95"]:
        rate, low, high = told["new_per_year_95"]
        out.append(
            (t("New microbleeds per year (95 % interval)"), f"{rate} ({low} {t('to')} {high})")
        )
    if told["aria_h"] and told["order_known"]:
        could = ", ".join(said(spaced(str(word))) for word in told["aria_h"]["could_be"])
        if told["compared"] == "first":
            could += f" ({t('without what came in between and is not seen any more')})"
        if told["aria_h"]["missing"]:
            missing = listed(input_words(name) for name in told["aria_h"]["missing"])
            could += f"; {t('not known')}: {missing}"
        out.append((t("ARIA-H grade of what is new, as if under treatment"), could))
    return out


def _view(row: Mapping[str, str], pictures: list[dict[str, Any]] | None) -> dict[str, Any]:
    change = number(row["change_ppm_mm3"])
    low, high = number(row["change_low_ppm_mm3"]), number(row["change_high_ppm_mm3"])
    return {
        "look": LOOKS.get(row["state"], "other"),
        "kind": said(CLASSES.get(row["class"], (row["class"], ""))[0]),
        "place": place_words(row["site"], row["side"]),
        "before": _moment(row, "_before"),
        "now": _moment(row, ""),
        "change": NOTHING
        if change is None or low is None or high is None
        else f"{change:+.2f} ({low:+.2f} {t('to')} {high:+.2f})".replace("-", MINUS),
        "why": said(plain(row["reason"])),
        "index": row["index"],
        "index_before": row["index_before"],
        "pictures": pictures or [],
    }


def _moment(row: Mapping[str, str], when: str) -> str:
    value = number(row[f"moment{when}_ppm_mm3"])
    error = number(row[f"moment_se{when}_ppm_mm3"])
    size = number(row[f"diameter{when}_mm"])
    if size is None:
        return NOTHING
    told = number_text(size, 1, "mm")
    if value is None:
        return told
    return f"{told}, {value:.2f}" + ("" if error is None else f" \N{PLUS-MINUS SIGN} {error:.2f}")


def _pictures(c: Compared) -> dict[int, list[dict[str, Any]]]:
    """Return both sessions around each lesion, in the later one's space, radiological."""
    windows = [intensity_window(image, mask) for image, mask, _ in (c.before, c.now)]
    half = np.arange(-VIEW_MM / 2, VIEW_MM / 2 + 1e-6, PIXEL_MM)
    # to the right of the picture is the patient's left, downwards is posterior
    across, down = np.meshgrid(-half, -half)
    out: dict[int, list[dict[str, Any]]] = {}
    for shown in c.pictures[:MOST_PICTURES]:
        plane = np.stack([across, down, np.zeros_like(across)], -1) + np.asarray(shown.place_mm)
        there = plane @ c.matrix[:3, :3].T + c.matrix[:3, 3]
        made = []
        for (image, _, grid), places, window, title in zip(
            (c.before, c.now), (there, plane), windows, (t("Earlier"), t("Later")), strict=True
        ):
            index = np.moveaxis(grid.to_index(places), -1, 0)
            values = ndimage.map_coordinates(image, index, order=1, mode="constant", cval=0.0)
            made.append(
                {
                    "title": title,
                    "uri": data_uri(png(window.grey(values))),
                    "ring": 100 * (shown.radius_mm + 1.5) / VIEW_MM,
                }
            )
        out[shown.row] = made
    return out
