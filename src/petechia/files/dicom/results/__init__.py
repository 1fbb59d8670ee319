"""DICOM out: what was found in a DICOM scan, as objects that go back beside it.

origin (who and what the scan came from) -> identity (UIDs, equipment) -> one module for each
kind of object -> write (all of them into one folder, whole or not at all).
"""
