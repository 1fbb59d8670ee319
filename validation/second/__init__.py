"""A second simulator of susceptibility MRI, which shares no code with `petechia.simulate`.

What tests the program on its own simulator alone tests whether both make the same mistakes. This
one was thought out apart: folds of a noise in place of the template's, veins that walk, lesions
as analytic spheres whose signal is summed over spins, k-space that is cropped. Only arrays of the
template and the way datasets are written are the project's.

Each module imports only from those before it::

    smooth, tissue, channels, protocols
    geometry, anatomy, warp, spheres, field
    veins, lesions
    body, signals, truth
    person, scan, writing

Kernels are cached by the file they stand in, and `body` compiles those of `channels` into its own:
after a change there, delete `__pycache__`.
"""
