"""The reader's desk."""
