"""Write the model card's page from the card in the package.

usage: python training/card.py
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from petechia.assets.store import load_bytes, manifest

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "model-card.md"


def _made(card: dict[str, Any]) -> Iterator[str]:
    """Yield the rows that tell how the model was made."""
    thick = card["thick_slices"]
    for of, told in (
        ("", card),
        (", no sign", card["without_sign"]),
        (f", slices of {thick['from_mm']:g} mm and more", thick),
    ):
        points = ", ".join(f"{k} {v:.2f}" for k, v in told["operating_points"].items())
        yield f"| operating points{of} | {points} |"
    told = card["trained_on"]
    yield (
        f"| trained on | {told['scans']} simulated scans of {told['people']} people, "
        f"{told['looks']} looks ({card['refined']['on']['merged']} of them at merged slices), "
        f"{told['voids']} voids |"
    )
    classes = ", ".join(f"{v} {k.replace('_', ' ')}" for k, v in told["classes"].items())
    yield f"| of which | {classes} |"
    yield f"| training | seed {told['seed']}, {told['minutes']} minutes |"
    for of in ("thin", "thick"):
        own = card["orders"][of]
        found, by_table, asked = (
            own[k] for k in ("among_first", "among_first_by_table", "visible_microbleeds")
        )
        yield (
            f"| order of dark spots, {of} slices | {own['scans']} scans of {own['people']} people; "
            f"of their {asked} visible microbleeds {own['with_a_void']} have a void, and by trees "
            f"of other people {found} ({found / asked:.3f}) are among the {own['first']} that are "
            "measured "
            f"(by the table that serves without a model {by_table}) |"
        )
    for of, own in ((", thin slices", card), (", thick slices", thick)):
        doubt, on = own["count_doubt"], own["counted_on"]
        yield (
            f"| interval of the count{of} | "
            f"usual rate {doubt['usual_rate']:g}, its spread {doubt['rate_spread']:g}, "
            f"shared error {doubt['shared_error']:g} (log-odds); by the other scans "
            f"it held {on['by_others']['held']} of {on['scans']} people never "
            f"trained on, median width {on['by_others']['width']:g}; as if findings were "
            f"independent {on['independent']['held']}, {on['independent']['width']:g} |"
        )


def _moved(card: dict[str, Any]) -> str:
    """Return at which points scans were judged out of fold, where those are not theirs now."""
    at = [
        f"{words} ones at {of['out_of_fold_at']:.2f}"
        for words, of in (("thin", card), ("thick", card["thick_slices"]))
        if "out_of_fold_at" in of
    ]
    if not at:
        return ""
    since = "since then by people by named protocols, `training/refine.py`"
    return f" then ({' and '.join(at)}; {since})"


def _table(rows: dict[str, Any]) -> Iterator[str]:
    """Yield a table of metrics."""
    yield (
        "| row, scans | scans | 0.3-1 | 1-3 | 3-10 | >10 | false a scan | in clean scans | F1 "
        "| ECE | Brier skill |"
    )
    yield "|---" * 11 + "|"
    for name, m in rows.items():
        found = [f"{f}/{a}" for f, a in zip(m["found"], m["asked"], strict=True)]
        clean = m["false_a_clean_scan"]
        cells = [
            name, str(m["scans"]), *found, f"{m['false_a_scan']:.2f}",
            "-" if clean is None else f"{clean:.2f} ({m['clean_scans']})", f"{m['f1']:.3f}",
            f"{m['ece']:.3f} ({m['ece_by_chance']:.3f}, {m['undecided']})",
            "-" if m["brier_skill"] is None else f"{m['brier_skill']:.2f}",
        ]  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def _refined(card: dict[str, Any]) -> Iterator[str]:
    """Yield what was measured of the row with the sum, and of that without."""
    refined, before = card["refined"], card["points_of_combined"]["balanced"]
    yield "\n## With the sum of features\n"
    yield (
        "What trees and network said of people kept out of their training, and a sum of features "
        "fitted to the others besides, of people by named protocols (`petechia simulate`) and by "
        f"drawn ones (`training/heads.py`): {refined['on']['scans']} scans of "
        f"{refined['on']['people']} people, {refined['on']['looks']} looks. `refined`, at the "
        f"points of today; `combined` at the points it has (balanced {before:.2f}). The points of "
        "thin slices, and `balanced` of thick ones, are those of named protocols.\n"
    )
    yield from _table(refined["told_by_others"])


def lines(card: dict[str, Any]) -> Iterator[str]:
    """Yield the page."""
    yield "# Model card\n"
    yield f"**{card['name']}**, {card['licence']}. {card['limits']}\n"
    yield (
        "It gives the probability that a dark spot is a microbleed. Written by `training/card.py` "
        "from the card in the package; how it was made: "
        "`training/README.md`; how it works: [detection](../concepts/detection.md).\n"
    )
    yield "| what | |\n|---|---|"
    yield f"| features | {card['features']} (hash of the list; another one is refused) |"
    yield f"| default row | {card['default']} |"
    for name in ("detector", "detector_network"):
        if name in manifest():
            entry = manifest()[name]
            yield f"| {entry['file']} | {entry['bytes']} bytes, sha256 {entry['sha256'][:16]}... |"
    yield from _made(card)
    yield "\n## Out of fold\n"
    yield (
        "People kept out of training, threshold of `balanced`. Found: visible microbleeds "
        "counted, of all in the brain mask, by moment [ppm mm3]. Without a sign, calcifications "
        "count neither way. ECE: expected calibration error over 0.05 < p < 0.95, "
        "in brackets that of as many perfect probabilities, and how many they are. Each scan at "
        f"the point for its slices{_moved(card)}.\n"
    )
    yield from _table(card["out_of_fold"])
    if "refined" in card:
        yield from _refined(card)
    yield (
        "\n## Limits\n\n"
        "- Simulated scans only: their veins, mimics and noise are a model's. Expect less on real "
        "ones.\n"
        "- Scans of one person share anatomy, though not pose and protocol; rows are not "
        "independent.\n"
        "- In light grids and slabs the brain masks of training are true ones with a disturbed "
        "edge, and the regions true ones: errors of mask and registration are there in whole heads "
        "only.\n"
        "- Probabilities hold for the mix of lesions in training (half of the people have 40 to 65 "
        "microbleeds); where hardly anybody has any, fewer of the undecided findings are real. The "
        "interval of the count reads each scan's own rate from its findings.\n"
        "- Phase of unknown handedness was not among what the sum was fitted to; such scans take "
        "that of scans without phase."
    )


def main() -> None:
    """Write the page."""
    card = json.loads(load_bytes("detector_card"))
    PAGE.write_text("\n".join(lines(card)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
