"""What a fault of the network or a status of the server means: wait, leave it, or give up.

Nothing of the request goes into a message: queries hold names and numbers of people, headers
hold credentials.
"""

import errno
import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from petechia.errors import TransferError
from petechia.files.pacs.access import PASSWORD, TOKEN, USER
from petechia.files.pacs.patience import Passing

BUSY = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses after which the same request may go well."""

UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}


@contextmanager
def of_the_network(where: str) -> Iterator[None]:
    """Turn what sockets and TLS raise into `Passing` or `TransferError`."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise TransferError(
            f"its certificate is not trusted ({error.verify_message or 'verification failed'})",
            where=where,
            mend="Name the certificate to trust with --ca-file, and the host as it is in there.",
        ) from None
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError):
        raise Passing("the server broke off the connection") from None
    except ssl.SSLError as error:
        raise TransferError(
            f"TLS failed ({error.reason or 'no reason given'})",
            where=where,
            mend="Check that this port speaks TLS, and whether the server asks for a certificate "
            "of ours (--client-cert).",
        ) from None
    except socket.gaierror:
        raise TransferError(
            "no such host", where=where, mend="Check the name in the address."
        ) from None
    except TimeoutError:
        raise Passing("the server is silent") from None
    except (http.client.IncompleteRead, http.client.RemoteDisconnected):
        raise Passing("the server broke off the connection") from None
    except http.client.HTTPException:
        raise TransferError(
            "what answers there does not speak HTTP",
            where=where,
            mend="Check host and port of the address.",
        ) from None
    except ConnectionRefusedError:
        raise Passing("nothing answers there") from None
    except ConnectionError:
        raise Passing("the server broke off the connection") from None
    except OSError as error:
        if error.errno not in UNREACHABLE:  # of a disk, not of the network
            raise
        raise Passing("the network does not lead there") from None


def of_status(status: int, retry_after: str, where: str) -> Exception:
    """Return what is to be raised for an HTTP status other than success."""
    said = f"{status} {http.client.responses.get(status, '')}".strip()
    if status in BUSY:
        known = retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 6
        wait_s = float(retry_after) if known else None
        return Passing(f"the server answered {said}", wait_s)
    if status == 401:
        return not_known(where)
    mends = {
        403: "Ask for the right to do this at that server.",
        404: "Check the address: it is the root of the DICOMweb service, often /dicom-web.",
        507: "Make room at the server.",
    }
    if 300 <= status < 400:
        mend = "Give the address it leads to; it is not followed, so that no password is."
    else:
        mend = mends.get(status, "Check that it is a DICOMweb service and takes this request.")
    return TransferError(f"the server answered {said}", where=where, mend=mend)


def not_known(where: str) -> TransferError:
    """Return the error for wrong or missing credentials."""
    return TransferError(
        "the server does not accept our credentials",
        where=where,
        mend=f"Set {USER} and {PASSWORD}, or {TOKEN}, in the environment.",
    )
