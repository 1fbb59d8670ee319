"""Stages, settings, provenance, run, engines."""
