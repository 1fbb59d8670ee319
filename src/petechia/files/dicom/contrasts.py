"""FLAIR, T2w or T1w: which contrast an image has, by its timing first and its name last.

Times and the kind of echo say what an image shows; names are given by people. So a name alone
makes no contrast, it only settles what times leave open, and takes away what it calls something
else (diffusion, angiography, a map).
"""

import re
from typing import Any, Protocol

KINDS = ("FLAIR", "T2w", "T1w")
STATED = {"FLUID_ATTENUATED": "FLAIR", "T2": "T2w", "T1": "T1w"}
"""AcquisitionContrast of enhanced images, and the suffix of BIDS."""
OPEN = {"", "UNKNOWN", "MIXED", "NONE"}
"""Values of it that say nothing."""
FLUID_NULLED_MS = (1400.0, 3500.0)
"""Inversion times of a FLAIR, from volumes at 3 T to slices at 1.5 T."""
T1_PREPARED_MS = (200.0, 1400.0)
"""Inversion times that weigh by T1: MPRAGE and its like, T1 FLAIR."""
LONG_TE_MS, LONG_TR_MS = 65.0, 1800.0
"""From here on a spin echo shows T2."""
SHORT_TE_MS, SHORT_TR_MS = 35.0, 1200.0
"""Up to here it shows T1."""
FAST_TE_MS = 12.0
"""Echo times of T1-weighted gradient echoes; longer ones show susceptibility."""


def _words(*words: str) -> re.Pattern[str]:
    """Return what finds one of the words where no letter stands before or behind it."""
    return re.compile(rf"(?<![a-z])(?:{'|'.join(words)})(?![a-z])", re.I)


OTHER_NAME = _words(
    "dwi", "dti", "diff(?:usion)?", "ep2d", "adc", "trace\\w*", "perf(?:usion)?", "asl", "pcasl",
    "dsc", "dce", "bold", "fmri", "tof", "angio", "mra", "mrv", "venc", "flow", "pca", "swi\\w*",
    "swan", "svenbold", "t2\\*", "t2star", "t2s", "hemo", "haem", "gre", "megre", "qsm", "mrs",
    "csi", "spectro\\w*", "maps?", "mapping", "dir", "stir", "psir", "mp2rage", "haste", "ssfse",
    "ciss", "fiesta",
)  # fmt: skip
"""Names of what is none of the three, though its times may fit."""
OTHER_BODY = re.compile(
    r"spine|cervical|lumbar|thora|neck|\bhws\b|\bbws\b|\blws\b|orbit|knee|abdomen|pelvis|heart|"
    r"breast|prostate|pituitar|sella|\biac\b|inner.?ear", re.I,
)  # fmt: skip
HEAD = re.compile(r"head|brain|kopf|sch[aä]del|cereb|cran", re.I)
FLAIR_NAME = re.compile(r"flair|tirm|dark.?fl|da-?fl(?![a-z])|fluid.?att", re.I)
T2_NAME = _words("t2w?", "t2_\\w+")
T1_NAME = _words(
    "t1w?", "mprage", "mp-?rage", "memprage", "bravo", "fspgr", "ir-?spgr", "spgr", "tfe",
    "vibe", "lava", "thrive", "quick3d",
)  # fmt: skip
AFTER_NAME = re.compile(
    r"(?<![a-z])(?:post|gd|gado\w*|ce|\+gd|km|kontrast\w*|contrast)(?![a-z])|\+ ?c(?![a-z])|"
    r"(?<![a-z])c\+", re.I,
)  # fmt: skip
BEFORE_NAME = re.compile(
    r"(?<![a-z])(?:pre|nativ\w*|ohne|without|no|non|w/?o)(?![a-z])|c-(?![a-z0-9])", re.I
)
NO_AGENT = {"", "NO", "NONE", "N", "NO CONTRAST", "WITHOUT", "0"}


class Facts(Protocol):
    """How header facts are asked for (see `frames.Lookup`)."""

    def value(self, *keywords: str) -> Any: ...  # noqa: D102
    def text(self, *keywords: str) -> str | None: ...  # noqa: D102
    def number(self, *keywords: str) -> float | None: ...  # noqa: D102


def contrast_of(look: Facts) -> str | None:
    """Return 'FLAIR', 'T2w' or 'T1w', or None for an image that is none of them.

    Asked in turn: names of other things, the stated contrast of enhanced images, then the kind
    of echo with inversion, echo and repetition time. Only where the kind of echo is not told
    does a name count for it.
    """
    name = names_of(look)
    body = f"{name} | {look.text('BodyPartExamined') or ''}"
    if OTHER_NAME.search(name) or (OTHER_BODY.search(body) and not HEAD.search(body)):
        return None
    if look.text("EchoPlanarPulseSequence") == "YES" or look.text("PhaseContrast") == "YES":
        return None
    if look.text("TimeOfFlightContrast") == "YES" or look.text("AngioFlag") == "Y":
        return None
    stated = (look.text("AcquisitionContrast") or "").upper()
    if stated not in OPEN:
        return STATED.get(stated)
    return _by_times(look, name)


def _by_times(look: Facts, name: str) -> str | None:
    codes = _codes(look, "ScanningSequence")
    echo = look.text("EchoPulseSequence")
    if "EP" in codes or echo == "BOTH":
        return None
    te, tr, ti = (look.number(*k) or 0.0 for k in (
        ("EffectiveEchoTime", "EchoTime"), ("RepetitionTime",), ("InversionTime", "InversionTimes"),
    ))  # fmt: skip
    inverted = "IR" in codes or look.text("InversionRecovery") == "YES" or ti > 0
    if "GR" in codes or echo == "GRADIENT":
        prepared = "MP" in _codes(look, "SequenceVariant")
        if inverted and ti:
            prepared = T1_PREPARED_MS[0] <= ti < T1_PREPARED_MS[1]
        fast = 0 < te <= FAST_TE_MS and look.text("MRAcquisitionType") != "2D"
        return "T1w" if fast and (prepared or T1_NAME.search(name)) else None
    if not ({"SE", "IR"} & codes or echo == "SPIN" or _named(name)):
        return None
    if ti:
        if FLUID_NULLED_MS[0] <= ti <= FLUID_NULLED_MS[1] and te >= LONG_TE_MS:
            return "FLAIR"
        weighs = T1_PREPARED_MS[0] <= ti < T1_PREPARED_MS[1] and 0 < te <= SHORT_TE_MS
        return "T1w" if weighs else None
    if te >= LONG_TE_MS and tr >= LONG_TR_MS:
        if FLAIR_NAME.search(name):
            return "FLAIR"
        return None if inverted else "T2w"
    if 0 < te <= SHORT_TE_MS and 0 < tr <= SHORT_TR_MS and not inverted:
        return "T1w"
    return None


def _named(name: str) -> bool:
    return any(words.search(name) for words in (FLAIR_NAME, T2_NAME, T1_NAME))


def names_of(look: Facts) -> str:
    """Return what people and the scanner call the series, in one line."""
    keywords = ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName")
    return " | ".join(look.text(k) or "" for k in keywords)


def _codes(look: Facts, keyword: str) -> set[str]:
    value = look.value(keyword)
    return {value} if isinstance(value, str) else {str(v) for v in value or ()}


def agent_of(look: Facts) -> bool:
    """Whether an image was taken after a contrast agent, by its header or else its name."""
    agent = (look.text("ContrastBolusAgent") or "").upper()
    if agent not in NO_AGENT or look.value("ContrastBolusAgentSequence"):
        return True
    name = f"{look.text('SeriesDescription') or ''} | {look.text('ProtocolName') or ''}"
    return bool(AFTER_NAME.search(name)) and not BEFORE_NAME.search(name)
