"""Phase of the echoes: offsets, unwrapping, field map, background, quality."""
