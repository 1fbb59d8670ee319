"""From local field to susceptibility."""
