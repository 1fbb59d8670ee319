"""The page of an evaluation: rates with intervals, curves, strata, and what they mean."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from petechia.report.curves import Axis, Plot, steps
from petechia.report.page import environment
from petechia.report.wording import capital, plain, spaced

RATE_WORDS = {
    "sensitivity": "Sensitivity",
    "precision": "Precision",
    "f1": "F1",
    "false_per_scan": "False positives a scan",
    "false_per_clean_scan": "False positives a scan without microbleeds",
}
RULE_WORDS = {"one_to_one": "One to one", "centroid": "Centres within 5 mm", "touch": "Touch"}
MAP_WORDS = {
    "chi_nrmse": "NRMSE of susceptibility [%]",
    "chi_nrmse_detrended": "NRMSE, detrended [%]",
    "chi_nrmse_tissue": "NRMSE in tissue alone [%]",
    "chi_nrmse_tissue_detrended": "NRMSE in tissue alone, detrended [%]",
    "chi_hfen": "HFEN [%]",
    "chi_xsim": "XSIM",
    "chi_ssim": "SSIM",
    "chi_correlation": "Correlation",
    "chi_slope": "Slope of found on true",
    "chi_coverage": "Part of the true brain with a value",
    "chi_streaks_ppm": "Streaks near strong sources [ppm]",
    "chi_streaks_relative": "Streaks over the sources' own susceptibility",
    "chi_streaks_against_elsewhere": "Streaks over the error elsewhere",
    "nuclei_slope": "Slope of deep nuclei, found on true",
    "r2star_bias_per_s": "R2* bias in tissue [1/s]",
    "r2star_median_relative": "R2* median relative error",
    "r2star_rmse_per_s": "R2* root mean square error [1/s]",
    "r2star_slope": "R2* slope of found on true",
    "mask_dice": "Brain mask: Dice",
    "mask_hausdorff95_mm": "Brain mask: 95 % Hausdorff [mm]",
    "mask_hausdorff_mm": "Brain mask: Hausdorff [mm]",
    "mask_volume_ratio": "Brain mask: volume over true",
    "mask_lesion_centres_inside": "Brain mask: lesion centres inside",
}
VALDO_WORDS = {
    "f1": "F1",
    "dice": "Dice of found elements",
    "count_difference": "Count difference",
    "volume_difference_mm3": "Volume difference [mm³]",
}
FROC_TO = 8.0
DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def render_evaluation(result: Mapping[str, Any]) -> str:
    """Return the page of an evaluation.

    Parameters
    ----------
    result : mapping
        The content of `evaluation.json`: plain values, None for what is not a number.

    Returns
    -------
    str
        HTML without scripts that loads nothing. The same input gives the same text.
    """
    return (
        environment()
        .get_template("evaluation.html.j2")
        .render(
            result=result,
            title=plain(result["predicted"]),
            truth=plain(result["truth"]),
            notes=[plain(note) for note in result["notes"]],
            alone=[plain(name) for name in result["scans_without_result"]],
            strays=[plain(name) for name in result["results_without_truth"]],
            missing=result["options"]["missing"],
            rules={RULE_WORDS[rule]: says for rule, says in result["rules"].items()},
            rates=_rates(result.get("detection") or {}),
            froc=_froc(result.get("froc")),
            strata=_strata(result.get("strata") or ()),
            counts=_counts(result.get("counts")),
            confusion=result.get("confusion"),
            signs=_signs(result.get("blood_or_calcium") or {}),
            calibration=_calibration(result.get("calibration")),
            measurement=_measurement(result.get("measurement")),
            valdo=_valdo(result.get("valdo")),
            maps=_maps(result.get("maps") or {}),
            spaced=spaced,
        )
    )


def number(value: Any, digits: int = 2, scale: float = 1.0) -> str:
    """Return a number times `scale`, or a dash for what is not defined."""
    if value is None:
        return DASH
    text = f"{value * scale:.{digits}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", MINUS)


def interval(estimate: Mapping[str, Any], digits: int = 2) -> str:
    """Return `0.81 (0.74 to 0.88)`, without the bracket where there is no interval."""
    value = number(estimate["value"], digits)
    if estimate["low"] is None or estimate["value"] is None:
        return value
    return f"{value} ({number(estimate['low'], digits)} to {number(estimate['high'], digits)})"


def _rates(detection: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each rule and rate: pooled, mean and median over scans."""
    rows = []
    for rule, found in detection.items():
        for n, (name, words) in enumerate(RATE_WORDS.items()):
            each = found["macro"][name]
            rows.append(
                {
                    "rule": RULE_WORDS[rule] if n == 0 else "",
                    "rate": words,
                    "pooled": interval(found["pooled"][name]),
                    "mean": interval(each["mean"]),
                    "median": interval(each["median"]),
                    "n": each["mean"]["n"],
                }
            )
    return rows


def _froc(curve: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if curve is None or curve["area"] is None:
        return None
    points = sorted(zip(curve["false_per_scan"], curve["sensitivity"], strict=True))
    best, rising = 0.0, []
    for x, y in points:
        best = max(best, y)
        rising.append((x, best))
    plot = Plot(
        x=Axis(title="False positives a scan", low=0, high=FROC_TO),
        y=Axis(title="Sensitivity", low=0, high=1),
        says="Sensitivity against false positives a scan",
        lines=[(steps(rising, (0.0, 0.0), FROC_TO), False)],
    )
    area = {"value": curve["area"], "low": curve["area_low"], "high": curve["area_high"]}
    stops = [(f"{float(k):g}", number(v)) for k, v in curve["at_stops"].items()]
    heights = [v for v in curve["at_stops"].values() if v is not None]
    mean = sum(heights) / len(heights) if heights else None
    return {
        "svg": plot.svg(),
        "area": interval(area),
        "up_to": f"{curve['area_up_to']:g}",
        "stops": stops,
        "mean": number(mean),
    }


def _strata(strata: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows, last = [], None
    for row in strata:
        false = row["false_per_scan"]
        rows.append(
            {
                "by": capital(row["by"]) if row["by"] != last else "",
                "name": spaced(row["name"]) if row["name"] != "n/a" else "not known",
                "found": f"{row['found']} of {row['lesions']}",
                "sensitivity": interval(row["sensitivity"]),
                "false": DASH if false is None else interval(false),
            }
        )
        last = row["by"]
    return rows


def _counts(counts: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if counts is None:
        return None
    true, told = counts["true"], counts["told"]
    most = max([5, *true, *told]) * 1.05
    plot = Plot(
        x=Axis(title="True visible microbleeds", low=0, high=most),
        y=Axis(title="Counted", low=0, high=most),
        says="Counted against true microbleeds, a point for each scan",
        lines=[([(0, 0), (most, most)], True)],
        points=[(x, y, 0) for x, y in zip(true, told, strict=True)],
    )
    apart = counts["difference"]
    return {
        "svg": plot.svg(),
        "facts": [
            ("Mean absolute difference", number(counts["mean_absolute"])),
            ("Root mean square difference", number(counts["root_mean_square"])),
            ("Bias (counted less true)", number(apart["bias"])),
            ("Limits of agreement", f"{number(apart['low'])} to {number(apart['high'])}"),
        ],
        "tables": [
            _table("Count group", counts["bins"], "linearly weighted kappa"),
            *([_table("Category", counts["category"], "kappa")] if counts["category"] else []),
        ],
    }


def _table(title: str, table: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {
        "title": title,
        "words": [spaced(word) for word in table["words"]],
        "rows": table["counts"],
        "says": f"right in {number(table['right'])} of scans; {kind} {number(table['kappa'])}",
    }


def _signs(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    words = {"all": "All", "sure": "Moment at least 5 times its error"}
    return [
        {
            "name": words[name],
            "right": score["right"],
            "wrong": score["wrong"],
            "unclear": score["unclear"],
            "not_assessed": score["not_assessed"],
            "accuracy": number(score["accuracy"], 3),
            "unclear_rate": number(score["unclear_rate"], 3),
        }
        for name, score in scores.items()
    ]


def _calibration(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    bins = found["bins"]
    plot = Plot(
        x=Axis(title="Probability told", low=0, high=1),
        y=Axis(title="Part that are microbleeds", low=0, high=1),
        says="Reliability: frequency of microbleeds against the probability told",
        lines=[([(0, 0), (1, 1)], True)],
        points=[(b["mean_probability"], b["frequency"], 0) for b in bins],
        bars=[(b["mean_probability"], b["frequency_low"], b["frequency_high"]) for b in bins],
    )
    facts = [
        ("Findings judged", str(found["n"])),
        ("Expected calibration error, 10 even bins", interval(found["error"], 3)),
        ("The same where 0.05 < p < 0.95", interval(found["error_open"], 3)),
        ("Findings there", str(found["error_open"]["n"])),
        ("Brier score", interval(found["brier"], 3)),
        ("Brier skill over the base rate", interval(found["brier_skill"], 3)),
    ]
    rows = [
        {
            "range": f"{b['low']:.1f} to {b['high']:.1f}",
            "n": b["n"],
            "told": number(b["mean_probability"]),
            "is": f"{number(b['frequency'])} ({number(b['frequency_low'])} to "
            f"{number(b['frequency_high'])})",
        }
        for b in bins
    ]
    return {"svg": plot.svg(), "facts": facts, "rows": rows}


def _measurement(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None or not found["n"]:
        return None
    rows = {
        name: [
            {
                "name": row["name"],
                "n": row["n"],
                "median": number(
                    row["median"] if row["median"] is None else row["median"] * scale, d
                ),
                "p90": number(row["p90"], d, scale),
                "bias": number(row["bias"], d, scale),
                "coverage": number(row["coverage"]),
            }
            for row in found[name]
        ]
        for name, scale, d in (("moment", 100, 0), ("diameter", 1, 1))
        if found[name][0]["n"]
    }
    if not rows:
        return None
    limits = [
        (title, f"{number(a['bias'])} ({number(a['low'])} to {number(a['high'])})")
        for title, a in (
            ("Moment, told less true [ppm mm³]", found["moment_agreement"]),
            ("Diameter, told less true [mm]", found["diameter_agreement"]),
        )
        if a["n"]
    ]
    return {"rows": rows, "limits": limits, "svg": _moments(found["pairs"])}


def _moments(pairs: Mapping[str, Any]) -> Markup | None:
    """Return true against measured moments, both by their size, blood apart from calcium."""
    points = [
        (abs(true), abs(told), int(kind == "calcification"), true * told > 0)
        for true, told, kind in zip(
            pairs["true_moment"], pairs["moment"], pairs["kind"], strict=True
        )
        if true and told
    ]
    if not points:
        return None
    values = [v for x, y, _, _ in points for v in (x, y)]
    low, high = min(values) / 1.5, max(values) * 1.5
    return Plot(
        x=Axis(title="True moment, size [ppm mm³]", low=low, high=high, log=True),
        y=Axis(title="Measured moment, size", low=low, high=high, log=True),
        says="Measured against true moments; calcifications are red",
        lines=[([(low, low), (high, high)], True)],
        points=[(x, y, kind) for x, y, kind, same in points if same],
    ).svg()


def _valdo(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    rows = [
        (VALDO_WORDS[name], f"{number(m)} ({number(q1)} to {number(q3)})")
        for name, (m, q1, q3) in found["median_q1_q3"].items()
    ]
    return {"rows": rows, "n": found["n_scans"], "missing": found["n_missing"]}


def _maps(maps: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": MAP_WORDS.get(name)
            or capital(spaced(name.replace("bias_ppm_", "bias of "))) + " [ppm]",
            "median": number(row["median"], 3),
            "range": f"{number(row['least'], 3)} to {number(row['most'], 3)}",
            "n": row["n"],
        }
        for name, row in maps.items()
    ]
