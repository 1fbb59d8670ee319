"""One DICOM file inside a multipart message, without ever holding the whole of it."""

from collections.abc import Callable, Iterator
from email.message import Message
from typing import BinaryIO

from petechia.files.pacs.local import CHUNK_BYTES
from petechia.files.pacs.patience import Passing, Refused

MAX_BYTES = 8 * 1024**3
"""Largest instance that is taken."""

_MAX_HEAD = 16_384
Read = Callable[[int], bytes]


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that a Content-Type states; b'' when it states none."""
    message = Message()
    message["Content-Type"] = "".join(c for c in content_type if c.isprintable())
    return (message.get_boundary("") or "").encode("latin-1", "replace")


def single_part(read: Read, boundary: bytes, out: BinaryIO, max_bytes: int = MAX_BYTES) -> int:
    """Copy the only part of a multipart message to `out`; return its size [bytes].

    Parameters
    ----------
    read : callable
        Returns up to n bytes of the message, b'' at its end.
    boundary : bytes
        From the Content-Type.
    out : binary stream
        Gets the part's content.
    max_bytes : int
        More than this is refused.

    Raises
    ------
    Passing
        The message ends before its closing boundary.
    Refused
        It holds no part or several, or is too large.
    """
    mark = b"--" + boundary
    held = _until(read, b"", mark, _MAX_HEAD)[1]
    while len(held) < 2:
        held += _more(read)
    if held[:2] == b"--":
        raise Refused("it sent an empty message")
    held = _until(read, held, b"\r\n\r\n", _MAX_HEAD)[1]
    mark = b"\r\n" + mark
    n_bytes = 0
    while (at := held.find(mark)) < 0:
        spare = len(held) - len(mark) + 1
        if spare > 0:
            out.write(held[:spare])
            n_bytes += spare
            held = held[spare:]
        if n_bytes > max_bytes:
            raise Refused(f"it is larger than {max_bytes} bytes")
        held += _more(read)
    out.write(held[:at])
    held = held[at + len(mark) :]
    while len(held) < 2:
        held += _more(read)
    if held[:2] != b"--":
        raise Refused("it sent several objects where one was asked for")
    return n_bytes + at


def wrapped(stream: BinaryIO, n_bytes: int, boundary: str) -> tuple[Iterator[bytes], int]:
    """Return the chunks of a multipart message around a file, and their number of bytes."""
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    tail = f"\r\n--{boundary}--\r\n".encode()

    def chunks() -> Iterator[bytes]:
        yield head
        left = n_bytes
        while left > 0 and (chunk := stream.read(min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk
        yield tail

    return chunks(), len(head) + n_bytes + len(tail)


def _until(read: Read, held: bytes, mark: bytes, most: int) -> tuple[bytes, bytes]:
    """Return what stands before and after a mark."""
    while (at := held.find(mark)) < 0:
        if len(held) > most + CHUNK_BYTES:
            raise Refused("it sent a message that is not multipart")
        held += _more(read)
    return held[:at], held[at + len(mark) :]


def _more(read: Read) -> bytes:
    chunk = read(CHUNK_BYTES)
    if not chunk:
        raise Passing("the server broke off within an object")
    return chunk
