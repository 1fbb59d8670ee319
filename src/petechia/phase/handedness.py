"""Which way a scanner counts phase: evidence from the field of air around the head."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HandednessEvidence:
    """What one look at the data says about the handedness of the phase.

    Attributes
    ----------
    sign : int
        +1: the phase obeys signal = |S| exp(+i 2 pi f te). -1: it must be negated.
        0: unknown.
    score : float
        Strength of the evidence, -1 to 1; its sign points the same way as `sign`.
    says : str
        The finding in one sentence.
    """

    sign: int
    score: float
    says: str
