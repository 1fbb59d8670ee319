"""Atlas, models, viewer, texts: bytes with hashes and licences."""
