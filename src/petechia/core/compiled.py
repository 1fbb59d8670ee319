"""numba's compiler, cached on disk where the installation can be written."""

from collections.abc import Callable
from typing import Any, TypeVar, overload

import numba

F = TypeVar("F", bound=Callable[..., Any])


@overload
def compiled(function: F) -> Any: ...
@overload
def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]: ...
def compiled(function: F | None = None, **options: Any) -> Any:
    """Compile `function` with `numba.njit`, cached when a cache folder can be had.

    Used as `@compiled` or `@compiled(parallel=True)`. Results do not depend on the
    number of threads as long as the kernel has no parallel reduction.
    """
    options.setdefault("nogil", True)
    options.setdefault("error_model", "numpy")

    def decorate(f: F) -> Any:
        try:
            return numba.njit(cache=True, **options)(f)
        except RuntimeError:  # no folder to cache in: read-only installation
            return numba.njit(**options)(f)

    return decorate if function is None else decorate(function)
