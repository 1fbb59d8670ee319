"""Brain mask, registration, regions, tissue, veins."""
