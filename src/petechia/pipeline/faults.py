"""Which faults may pass by themselves, or on another computer."""

import errno

from petechia.pipeline.engines.ledger import Again

LATER = {
    errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.EBUSY,
    errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.ECONNRESET, errno.ECONNABORTED,
    errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENOLCK,
}  # fmt: skip
"""What network disks say when they are slow or away."""
ELSEWHERE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
"""What is the matter with one computer."""


def again(error: BaseException) -> Again:
    """Return what may help against a fault without anybody's doing.

    Parameters
    ----------
    error : BaseException
        What ended a scan. What it was raised from counts too: our own errors about files
        stand on those of the system.

    Returns
    -------
    str
        'later', 'elsewhere' (on another computer) or 'no'.
    """
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))  # libraries raise errors from each other in a ring
        if isinstance(cause, MemoryError):
            return "elsewhere"
        if isinstance(cause, OSError) and cause.errno in LATER:
            return "later"
        if isinstance(cause, OSError) and cause.errno in ELSEWHERE:
            return "elsewhere"
        cause = cause.__cause__
    return "no"
