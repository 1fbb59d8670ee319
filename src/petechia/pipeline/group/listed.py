"""Tables that list: scans, people, lesions, what was left out, quality."""

from typing import Any

import numpy as np

from petechia.pipeline.group.frame import Frame
from petechia.pipeline.group.prevalence import NO_GROUPS
from petechia.pipeline.group.scans import COMPARTMENTS, in_template
from petechia.pipeline.group.tables import Table, tidy

SCAN_COLUMNS = {
    "participant_id": "person",
    "session_id": "session",
    "scan": "name of the scan",
    "status": "assessed, not_assessable, failed or unreadable",
    "stands_for_person": "1 for the one scan that cross-sectional tables use",
    "reviewed": "1 where readers decided on all that was asked",
    "undecided": "findings the reader left open",
    "count": "counted microbleeds",
    "definite": "of these, definite by MARS",
    "lobar": "of these, lobar",
    "deep": "of these, deep",
    "infratentorial": "of these, infratentorial",
    "count_low": "lower end of the interval of the count, from the detector's probabilities",
    "count_high": "upper end",
    "category": "none, strictly lobar, strictly deep or infratentorial, mixed",
    "count_bin": "0, 1-4, >=5",
    "expected": "sum of the probabilities of all findings",
    "moment_ppm_mm3": "sum of the moments of counted microbleeds",
    "largest_mm": "largest apparent diameter",
    "b0_t": "nominal field [T]",
    "te_s": "echo time that was read [s]",
    "slice_thickness_mm": "slice thickness [mm]",
    "sequence": "kind of gradient echo",
    "scanner": "maker and model",
    "operating_point": "of the detector",
    "in_template": "1 where the scan's place in the template is known",
    "version": "of the program",
}
LESION_COLUMNS = {
    "participant_id": "person", "session_id": "session", "scan": "name of the scan",
    "index": "of the finding in its scan", "mars": "definite or possible", "side": "side",
    "site": "MARS site", "compartment": "lobar, deep or infratentorial",
    "diameter_mm": "apparent diameter [mm]", "volume_mm3": "apparent volume [mm3]",
    "moment_ppm_mm3": "magnetic moment [ppm mm3]",
    "moment_se_ppm_mm3": "its standard error", "chi_mean_ppm": "mean susceptibility [ppm]",
    "probability": "that it is a microbleed", "homogeneity": "evenness of the void, 0 to 1",
    "margin_sharpness": "sharpness of the void's border",
    "x_mm": "scanner RAS [mm]", "y_mm": "scanner RAS [mm]", "z_mm": "scanner RAS [mm]",
    "template_x_mm": "template RAS [mm]", "template_y_mm": "template RAS [mm]",
    "template_z_mm": "template RAS [mm]",
}  # fmt: skip


def scans_table(frame: Frame) -> Table:
    """Return a row for each scan, also of those that were not assessed."""
    out = Table("scans", "Every scan", dict(SCAN_COLUMNS))
    for n, row in enumerate(frame.scans):
        cells: dict[str, Any] = {
            "participant_id": f"sub-{row.subject}",
            "session_id": f"ses-{row.session}" if row.session else None,
            "scan": row.prefix,
            "status": row.status,
            "stands_for_person": int(frame.chosen[n]),
            "reviewed": int(row.reviewed),
            "undecided": row.undecided,
            "version": row.summary.get("version"),
        }
        cells |= {name: _fact(frame, name, n) for name in
                  ("b0_t", "te_s", "slice_thickness_mm", "sequence", "scanner",
                   "operating_point")}  # fmt: skip
        if row.assessed:
            moments = [v.numbers["moment_ppm_mm3"] for v in row.lesions]
            known = [m for m in moments if not np.isnan(m)]
            low, high = row.summary.get("count_interval_95") or (None, None)
            cells |= {
                "count": len(row.lesions),
                "definite": row.count(mars="definite"),
                **{name: row.count(name) for name in COMPARTMENTS},
                "count_low": low,
                "count_high": high,
                "category": row.summary.get("category"),
                "count_bin": row.summary.get("count_bin"),
                "expected": tidy(sum(row.probabilities), 4),
                "moment_ppm_mm3": tidy(sum(known)) if known else None,
                "largest_mm": max((v.numbers["diameter_mm"] for v in row.lesions), default=None),
                "in_template": int(bool(row.summary.get("template"))),
            }
        out.add(**cells)
    return out


def _fact(frame: Frame, name: str, n: int) -> Any:
    value = frame.facts[name][n]
    return tidy(float(value)) if isinstance(value, float) else value


def people_table(frame: Frame) -> Table:
    """Return a row for each person: outcomes of the scan that stands for them, and factors."""
    chosen = frame.take(frame.chosen)
    columns = {
        "participant_id": "person", "scan": "the scan that stands for the person",
        "presence": "1 when there is any", "count": "counted microbleeds",
        "bin": "0, 1-4, >=5", "category": "pattern",
    }  # fmt: skip
    usable = {name: c for name, c in chosen.people.items() if not c.factor.text}
    taken = {name: name if name not in columns else f"{name}_told" for name in usable}
    columns |= {
        taken[name]: f"{c.factor.title}{f' [{c.factor.unit}]' if c.factor.unit else ''}"
        for name, c in usable.items()
    }
    out = Table("people", "Every person once", columns)
    words = {name: c.words() for name, c in usable.items()}
    for n, row in enumerate(chosen.scans):
        cells: dict[str, Any] = {"participant_id": f"sub-{row.subject}", "scan": row.prefix}
        if row.assessed:
            cells |= {
                "presence": int(bool(row.lesions)), "count": len(row.lesions),
                "bin": row.summary.get("count_bin"), "category": row.summary.get("category"),
            }  # fmt: skip
        for name, column in usable.items():
            number = column.values[n] if column.factor.is_number else None
            told = words[name][n]
            cells[taken[name]] = tidy(float(number)) if number is not None else told
            if told == "n/a":
                cells[taken[name]] = None
        out.add(**cells)
    return out


def lesions_table(frame: Frame) -> Table:
    """Return a row for each counted microbleed of every assessed scan."""
    out = Table("lesions", "Every counted microbleed", dict(LESION_COLUMNS))
    for row in frame.scans:
        there = in_template(row)
        for lesion, place in zip(row.lesions, there, strict=True):
            numbers = {k: tidy(v) for k, v in lesion.numbers.items() if k in out.columns}
            words = {k: v for k, v in lesion.words.items() if k in out.columns}
            out.add(
                participant_id=f"sub-{row.subject}",
                session_id=f"ses-{row.session}" if row.session else None,
                scan=row.prefix,
                index=lesion.index,
                **numbers,
                **words,
                template_x_mm=tidy(float(place[0]), 5),
                template_y_mm=tidy(float(place[1]), 5),
                template_z_mm=tidy(float(place[2]), 5),
            )
    return out


def left_out_table(frame: Frame) -> Table:
    """Return the scans and people that enter no number, and why."""
    columns = {"participant_id": "person", "scan": "scan", "status": "what it is",
               "reason": "why it enters no number"}  # fmt: skip
    return Table("left_out", "Left out of every denominator", columns, list(frame.left_out))


def quality_table(frame: Frame) -> Table:
    """Return how many scans each fitness check passed, limited or refused."""
    columns = {"check": "fitness check", "ok": "scans that pass", "limited": "limited",
               "refused": "refused", "unknown": "not known", "commonest": "what was said most "
               "often where it did not pass"}  # fmt: skip
    out = Table("quality", "Fitness of the scans", columns)
    checks: dict[str, list[dict[str, Any]]] = {}
    for row in frame.scans:
        for check in row.summary.get("fitness") or ():
            checks.setdefault(str(check["check"]), []).append(check)
    for name, found in checks.items():
        tally = {s: sum(c["status"] == s for c in found) for s in
                 ("ok", "limited", "refused", "unknown")}  # fmt: skip
        said = [str(c["says"]) for c in found if c["status"] != "ok"]
        most = max(sorted(set(said)), key=said.count, default=None)
        out.add(check=name, **tally, commonest=most)
    return out


def characteristics_table(frame: Frame) -> Table:
    """Return who the people are: of all assessed, and of those with and without microbleeds."""
    columns = {
        "factor": "factor", "group": "level; empty for a number", "unit": "of a number",
        "known": "people of whom it is known",
        **{f"{who}_{what}": f"{words} {said}" for who, words in
           (("all", "of all:"), ("with", "of those with microbleeds:"),
            ("without", "of those without:")) for what, said in
           (("n", "people"), ("share", "share of those known"), ("median", "median"),
            ("q1", "lower quartile"), ("q3", "upper quartile"))},
    }  # fmt: skip
    out = Table("characteristics", "The people", columns)
    rows = frame.take(frame.chosen & frame.assessed)
    present = rows.outcome("presence")
    sides = {
        "all": np.ones(len(present), dtype=bool),
        "with": present == 1,
        "without": present == 0,
    }
    for column in rows.people.values():
        over_time = column.factor.name in NO_GROUPS
        if not column.factor.known or column.factor.text or over_time or not column.n_levels:
            continue
        known = ~np.isnan(column.values)
        common = {"factor": column.factor.name, "unit": column.factor.unit or None,
                  "known": int(known.sum())}  # fmt: skip
        if column.factor.is_number:
            cells: dict[str, Any] = {}
            for who, side in sides.items():
                values = column.values[side & known]
                cells[f"{who}_n"] = len(values)
                if len(values):
                    q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
                    cells |= {f"{who}_median": tidy(float(median), 4),
                              f"{who}_q1": tidy(float(q1), 4),
                              f"{who}_q3": tidy(float(q3), 4)}  # fmt: skip
            out.add(**common, **cells)
            continue
        for code, word in enumerate(column.factor.levels):
            if not (column.values == code).any():
                continue
            cells = {}
            for who, side in sides.items():
                n, of = int((side & (column.values == code)).sum()), int((side & known).sum())
                cells |= {f"{who}_n": n, f"{who}_share": tidy(n / of) if of else None}
            out.add(**common, group=word, **cells)
    return out


def protocols_table(frame: Frame) -> Table:
    """Return each protocol: its scans, how many were assessed, and how many have any."""
    columns = {"scanner": "maker and model", "b0_t": "nominal field [T]", "sequence": "kind",
               "te_ms": "echo time read", "slice_thickness_mm": "slice thickness",
               "scans": "scans", "assessed": "of these assessed", "with_any": "with a microbleed",
               "mean": "mean count of those assessed"}  # fmt: skip
    out = Table("protocols", "Protocols", columns)
    groups: dict[tuple[Any, ...], list[int]] = {}
    for n, row in enumerate(frame.scans):
        if row.summary:
            te = frame.facts["te_s"][n]
            key = (
                str(frame.facts["scanner"][n]), *(_fact(frame, k, n) for k in ("b0_t", "sequence")),
                None if np.isnan(te) else tidy(1000 * float(te), 3),
                _fact(frame, "slice_thickness_mm", n),
            )  # fmt: skip
            groups.setdefault(key, []).append(n)
    for key in sorted(groups, key=lambda k: tuple(map(str, k))):
        rows = [frame.scans[n] for n in groups[key]]
        counts = [len(row.lesions) for row in rows if row.assessed]
        out.add(
            scanner=key[0], b0_t=key[1], sequence=key[2], te_ms=key[3], slice_thickness_mm=key[4],
            scans=len(rows), assessed=len(counts), with_any=sum(c > 0 for c in counts),
            mean=tidy(float(np.mean(counts)), 4) if counts else None,
        )  # fmt: skip
    return out
