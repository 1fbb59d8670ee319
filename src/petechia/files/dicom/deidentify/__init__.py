"""DICOM without the person: the Basic Profile of PS3.15, with its options stated in the object.

rules (the table) -> clean (one dataset) -> residue (what is left) -> folder (all of them).
"""
