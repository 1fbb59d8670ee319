"""Who we are to a server, and how far we trust it: credentials, certificates, patience."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from petechia.errors import FileError, ParameterError
from petechia.files.pacs.address import Address, is_loopback

USER, PASSWORD = "PETECHIA_PACS_USER", "PETECHIA_PACS_PASSWORD"
TOKEN, KEY_PASSWORD = "PETECHIA_PACS_TOKEN", "PETECHIA_PACS_KEY_PASSWORD"
"""Environment variables; credentials are taken from nowhere else."""

CALLING_AET = "PETECHIA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to come in. Secrets are left out of its text form.

    Attributes
    ----------
    user, password : str or None
        Of HTTP Basic or of DIMSE user identity.
    token : str or None
        Bearer token of DICOMweb.
    key_password : str or None
        Of the private key.
    ca_file : Path or None
        Certificates to trust instead of the system's.
    client_cert, client_key : Path or None
        Our own certificate; the key may be in the same file.
    calling_aet : str
        Our title in DIMSE.
    listen : (host, port) or None
        Where a server that only knows C-MOVE may send to.
    timeout_s : float
        Longest silence that is borne [s].
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    key_password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    calling_aet: str = CALLING_AET
    listen: tuple[str, int] | None = None
    timeout_s: float = 60.0

    def tls(self) -> ssl.SSLContext:
        """Return what is asked of a server's certificate, with our own if we have one.

        Raises
        ------
        FileError
            A certificate or key that cannot be used.
        ParameterError
            A key without its certificate.
        """
        if self.client_key is not None and self.client_cert is None:
            raise ParameterError(
                "was given without its certificate",
                where=f"--client-key {self.client_key}",
                mend="Add --client-cert FILE.",
            )
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca_file is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            with _usable("--ca-file", self.ca_file):
                context.load_verify_locations(self.ca_file)
        if self.client_cert is not None:
            with _usable("--client-cert", self.client_cert):
                # a function even for no password: else OpenSSL asks on the terminal
                context.load_cert_chain(
                    self.client_cert, self.client_key, lambda: self.key_password or ""
                )
        return context


class _usable:  # noqa: N801  (used as a function)
    """Tell what is wrong with a certificate's file, without repeating its content."""

    def __init__(self, option: str, path: Path) -> None:
        self.option, self.path = option, path

    def __enter__(self) -> None:
        if not self.path.is_file():
            raise FileError(
                "no such file", where=f"{self.option} {self.path}", mend="Check the path."
            )

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError | ValueError):  # SSLError is an OSError
            raise FileError(
                "holds no certificate and key in PEM form that fit each other"
                if self.option == "--client-cert"
                else "holds no certificate in PEM form",
                where=f"{self.option} {self.path}",
                mend=f"Check the file, and {KEY_PASSWORD} if its key is locked.",
            ) from None


def credentials(environment: Mapping[str, str]) -> dict[str, str | None]:
    """Return the credentials of the environment, as words for `Access`.

    Raises
    ------
    ParameterError
        Half of them, two kinds of them, or characters that cannot be sent. The values are
        not repeated.
    """
    found = {name: environment.get(name) or None for name in (USER, PASSWORD, TOKEN, KEY_PASSWORD)}
    for name in (USER, PASSWORD, TOKEN):
        text = found[name]
        if text is not None and (not text.isprintable() or (name == TOKEN and not text.isascii())):
            raise ParameterError(
                "holds characters that cannot be sent", where=name, mend="Set it anew."
            )
    if (found[USER] is None) != (found[PASSWORD] is None):
        missing = USER if found[USER] is None else PASSWORD
        raise ParameterError("is not set, but its partner is", where=missing, mend="Set both.")
    if found[USER] is not None and ":" in str(found[USER]):
        raise ParameterError("holds a ':'", where=USER, mend="A user's name has none.")
    if found[USER] is not None and found[TOKEN] is not None:
        raise ParameterError(
            f"is set as well as {USER}", where=TOKEN, mend="Set one kind of credentials."
        )
    return {
        "user": found[USER],
        "password": found[PASSWORD],
        "token": found[TOKEN],
        "key_password": found[KEY_PASSWORD],
    }


def parse_listen(word: str) -> tuple[str, int]:
    """Return host and port of `[HOST:]PORT`; without a host, all of this machine's."""
    host, _, port = word.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise ParameterError(f"{word[:40]!r}", where="--listen", mend="Write PORT or HOST:PORT.")
    return host.strip("[]") or "0.0.0.0", int(port)


def require_private_listening(
    listen: tuple[str, int], address: Address, *, insecure: bool = False
) -> None:
    """Raise `ParameterError` when what C-MOVE brings could be read on its way here.

    It comes over a connection of its own, which is not encrypted however we speak with the
    server.
    """
    host, port = listen
    if is_loopback(host) or (insecure and not address.encrypted):
        return
    raise ParameterError(
        "would take images and names readable over the network: C-MOVE is not done over TLS",
        where=f"--listen {host}:{port}",
        mend="Leave it out and ask the server for the right to C-GET, or use https://."
        if address.encrypted
        else f"Write --listen 127.0.0.1:{port} when the server is this machine, or add --insecure "
        "if that network may see them.",
    )
