"""DICOM without the person: the Basic Profile of PS3.15, with its options stated in the object.

rules (the table) -> clean and private (one dataset), pixels -> residue (what is left), people (who
is who) -> folder (all of them).
"""
