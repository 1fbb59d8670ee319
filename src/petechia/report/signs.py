"""Signs read on T2w, FLAIR and T1w in the words of a report; what a file told comes first."""

from collections.abc import Mapping, Sequence
from typing import Any

from petechia.report.criteria import input_words
from petechia.report.data import ReportData
from petechia.report.findings import Entry
from petechia.report.language import clauses, listed, said, t
from petechia.report.wording import plain

MARKERS = {
    "Lacunes": ("lacunes",),
    "White-matter hyperintensities (Fazekas)": ("fazekas_periventricular", "fazekas_deep"),
    "Perivascular spaces": ("basal_ganglia_pvs", "centrum_semiovale_pvs"),
}
"""Rows of the report, and the signs that each holds."""


def sign_rows(data: ReportData, entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Return the markers that other scans show, in pairs of title and words."""
    facts = (data.summary.get("criteria") or {}).get("clinical_facts") or {}
    signs = (data.summary.get("signs") or {}).get("signs") or {}
    return [
        (t("Edema around a finding"), _around(signs.get("edema") or {}, entries)),
        (t("Patches like edema on FLAIR (ARIA-E)"), _patches(signs.get("edema") or {})),
        (t("Sulcal effusion on FLAIR (ARIA-E)"), _not_assessed(signs.get("sulcal_effusion") or {})),
        *((t(title), _marker(facts, signs, names)) for title, names in MARKERS.items()),
    ]


def image_rows(data: ReportData) -> list[tuple[str, str]]:
    """Return which other images of the exam lie beside the scan, and which were left."""
    beside = data.summary.get("beside") or {}
    rows = [
        (t("Beside it: {kind}", kind=plain(kind)), said(plain(which)))
        for kind, which in (beside.get("chosen") or {}).items()
    ]
    return rows + [(t("Image not taken"), said(plain(text))) for text in beside.get("left") or ()]


def _marker(facts: Mapping[str, Any], signs: Mapping[str, Any], names: Sequence[str]) -> str:
    parts = []
    given = [name for name in names if name in facts]
    if given:
        told = listed(f"{input_words(name)} {said(plain(facts[name]))}" for name in given)
        parts.append(t("as given: {value}", value=told))
    read = {n: signs[n] for n in names if n not in facts and _assessed(signs.get(n) or {})}
    if read:
        scans = listed(dict.fromkeys(plain(sign.get("scans") or "") for sign in read.values()))
        told = listed(f"{input_words(name)} {_number(sign)}" for name, sign in read.items())
        parts.append(
            t("read by software on {scans}, not validated on real scans: {value}",
              scans=scans, value=told)
        )  # fmt: skip
    left = [name for name in names if name not in facts and name not in read]
    if left and not parts:
        parts.append(_not_assessed(signs.get(left[0]) or {}))
    return clauses(parts)


def _assessed(sign: Mapping[str, Any]) -> bool:
    return sign.get("state") in ("yes", "no", "unsure")


def _number(sign: Mapping[str, Any]) -> str:
    """Return `2 (77.1 mL ...)`, `1-2, unsure (...)`."""
    low, high = sign.get("low"), sign.get("high")
    if low is None or (high is None and not low):
        number = ""
    elif high is None:
        number = t("at least {n}", n=low)
    else:
        number = f"{low}" if low == high else f"{low}-{high}"
    measure = said(plain(sign.get("measure") or ""))
    unsure = t("unsure") if sign.get("state") == "unsure" else ""
    words = [part for part in (number, unsure, measure) if part]
    words = [part for n, part in enumerate(words) if part not in words[:n]]
    return f"{words[0]} ({', '.join(words[1:])})" if len(words) > 1 else "".join(words)


def _not_assessed(sign: Mapping[str, Any]) -> str:
    why = plain(sign.get("why_not") or "")
    if not why:
        return t("not assessed (needs FLAIR)")
    return t("not assessed: {why}", why=said(why))


def _around(sign: Mapping[str, Any], entries: Sequence[Entry]) -> str:
    """Return whether what looks like edema surrounds a finding."""
    if not _assessed(sign):
        return _not_assessed(sign)
    if not entries:
        return t("there is no finding to look around")
    near = [e for e in entries if "no edema: not met" in str(e.row.get("criteria", ""))]
    if not near:
        words = [str(e.row.get("criteria", "")) for e in entries]
        open_ = sum("no edema: not assessed" in text for text in words)
        if open_:
            return t("none seen around {seen} findings, by software on FLAIR; not told at {open}",
                     seen=len(words) - open_, open=open_)  # fmt: skip
        return t("none seen around the findings, by software on FLAIR")
    names = listed(said(plain(entry.name)) for entry in near)
    return t("suspected around {names}, for the reader to judge", names=names)


def _patches(sign: Mapping[str, Any]) -> str:
    if not _assessed(sign):
        return _not_assessed(sign)
    measure = said(plain(sign.get("measure") or ""))
    if sign["state"] == "no":
        return t("none found by software, not validated on real scans")
    if sign["state"] == "unsure":
        return t("unsure, for the reader to judge: {what}", what=measure)
    return t("suspected, for the reader to judge: {what}", what=measure)
