"""What this scan can and cannot answer, said before and beside every result.

Thresholds are engineering choices, written down with their reasons in `docs/concepts/fitness.md`.
"""
