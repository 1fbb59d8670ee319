"""Where a PACS is: `https://host/dicom-web`, or `dimse://AET@host:port`."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from petechia.errors import ParameterError

DEFAULT_PORTS = {"https": 443, "http": 80, "dimse": 104, "dimse+tls": 2762}
"""Ports of the schemes, as registered for them."""

EXAMPLES = "https://host/dicom-web, dimse+tls://AET@host:2762 or dimse://AET@host:104"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")
_PATH = re.compile(r"(/[A-Za-z0-9._~%!$&'()*+,;=:@-]*)*")
_AET = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A server and the way to speak with it.

    Attributes
    ----------
    scheme : str
        'https', 'http', 'dimse+tls' or 'dimse'.
    host : str
        Name or number, without brackets.
    port : int
        1-65535.
    path : str
        Root of a DICOMweb service, without a slash at its end; '' for DIMSE.
    aet : str
        Application entity title of a DIMSE server; '' for DICOMweb.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    aet: str = ""

    @property
    def is_web(self) -> bool:
        """Whether it speaks DICOMweb."""
        return self.scheme in ("https", "http")

    @property
    def encrypted(self) -> bool:
        """Whether the way to it is by TLS."""
        return self.scheme in ("https", "dimse+tls")

    @property
    def loopback(self) -> bool:
        """Whether it is this machine, so that nothing goes over a wire."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        """Return the address as it is written, with its port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        aet = f"{self.aet}@" if self.aet else ""
        return f"{self.scheme}://{aet}{host}:{self.port}{self.path}"


def is_loopback(host: str) -> bool:
    """Whether a host, by name or number, is this machine as only itself sees it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def parse_address(where: str, *, insecure: bool = False) -> Address:
    """Return the address that a user wrote.

    Parameters
    ----------
    where : str
        `https://host[:port][/path]` or `dimse[+tls]://AET@host[:port]`.
    insecure : bool
        Take also one without TLS that is not this machine.

    Raises
    ------
    ParameterError
        It is none of these, holds a password, or sends readable data over a wire. The
        message never repeats what may be a password.
    """
    try:
        parts = urlsplit(where)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError:
        raise _bad("cannot be understood") from None
    if scheme not in DEFAULT_PORTS:
        raise _bad("begins with none of https://, dimse+tls://, dimse:// and http://")
    if parts.password is not None or (scheme in ("https", "http") and parts.username is not None):
        raise ParameterError(
            "holds a user or a password, which others could read there",
            where="WHERE",
            mend="Put them in PETECHIA_PACS_USER and PETECHIA_PACS_PASSWORD instead.",
        )
    if parts.query or parts.fragment or "?" in where or "#" in where:
        raise _bad("holds a '?' or '#'")
    if not _is_host(host):
        raise _bad("names no host")
    if port == 0:
        raise _bad("has port 0")
    port = port or DEFAULT_PORTS[scheme]
    if scheme in ("https", "http"):
        address = Address(scheme=scheme, host=host, port=port, path=_root(parts))
    else:
        address = Address(scheme=scheme, host=host, port=port, aet=_called(parts))
    _require_private(address, insecure)
    return address


def require_aet(title: str, where: str) -> str:
    """Return an application entity title; `ParameterError` when it cannot be one."""
    title = title.strip(" ")
    if not _AET.fullmatch(title):
        raise ParameterError(
            f"{title[:40]!r} is no application entity title",
            where=where,
            mend="It has 1 to 16 plain characters and no backslash.",
        )
    return title


def _bad(what: str) -> ParameterError:
    return ParameterError(what, where="WHERE", mend=f"Write {EXAMPLES}.")


def _is_host(host: str) -> bool:
    if _HOST.fullmatch(host):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _root(parts: SplitResult) -> str:
    """Return the root of a DICOMweb service."""
    if not _PATH.fullmatch(parts.path) or {"..", "."} & set(unquote(parts.path).split("/")):
        raise _bad("has a path with characters or parts that a service's root does not have")
    return parts.path.rstrip("/")


def _called(parts: SplitResult) -> str:
    """Return the title of a DIMSE server."""
    if parts.path not in ("", "/"):
        raise _bad("has a path, which DIMSE does not know")
    if not parts.username:
        raise _bad("names no application entity title")
    return require_aet(unquote(parts.username), "WHERE")


def _require_private(address: Address, insecure: bool) -> None:
    if address.encrypted or address.loopback or insecure:
        return
    safe = "https" if address.is_web else "dimse+tls"
    raise ParameterError(
        "would send images and names readable over the network",
        where=str(address),
        mend=f"Use {safe}://, or add --insecure if that network may see them.",
    )
