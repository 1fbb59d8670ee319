"""Signs that T2w, FLAIR and T1w scans show beside a gradient echo, read in numbers.

Hyperintensities of white matter, lacunes, patches like edema. Every module
takes an image over the level of normal white matter and the anatomy brought to its grid.
"""
