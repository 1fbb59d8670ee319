"""One DIMSE association at a time: made, used for one request after another, explained, ended."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pydicom.dataset import Dataset

from petechia.errors import DependencyError, TransferError
from petechia.files.dicom.headers import quietly
from petechia.files.pacs import faults
from petechia.files.pacs.access import USER, Access
from petechia.files.pacs.address import Address
from petechia.files.pacs.patience import Passing

VERIFICATION = "1.2.840.10008.1.1"


class Line:
    """The way to one application entity, over one association at a time.

    Parameters
    ----------
    address, access : Address, Access
        The server, and who we are.
    take : callable
        Stores what the server sends over an association of ours; returns a status.
    """

    def __init__(self, address: Address, access: Access, take: Callable[[Any], int]) -> None:
        self.net = _library()
        self._where = str(address)
        self._address, self._access, self._take = address, access, take
        self._tls = access.tls() if address.encrypted else None
        self._ae = self.entity()
        self._association: Any = None
        self._proposed: object = None
        self._busy = False

    def entity(self) -> Any:
        """Return an application entity with our title and patience."""
        ae = self.net.AE(ae_title=self._access.calling_aet)
        for name in ("acse_timeout", "dimse_timeout", "network_timeout", "connection_timeout"):
            setattr(ae, name, self._access.timeout_s)
        return ae

    def agreed(
        self,
        kind: str,
        key: object,
        offered: Mapping[str, Sequence[str]],
        provided: Sequence[str] = (),
    ) -> set[str]:
        """Have an association that offers these kinds, each form of them by itself.

        Parameters
        ----------
        kind : str
            The one that is asked about.
        key : object
            Stands for the offer: an association with the same one is used on.
        offered : mapping of str to sequence of str
            Kinds and their forms.
        provided : sequence of str
            Kinds that the server may send to us.

        Returns
        -------
        set of str
            Forms in which `kind` was accepted; empty when the server does not take it.

        Raises
        ------
        Passing, TransferError
            There is no association.
        """
        made = self._association
        fit = made is not None and made.is_established and not self._busy
        if not (fit and self._proposed == key):
            self.leave()
            self._associate(offered, provided)
            self._proposed = key
        if self._association is None:
            return set()
        return {
            str(cx.transfer_syntax[0])
            for cx in self._association.accepted_contexts
            if cx.abstract_syntax == kind
        }

    @contextmanager
    def request(self) -> Iterator[Any]:
        """Give the association for one request, its own thread standing still.

        When the request does not come to its end, the association is not used again.
        """
        self._association._reactor_checkpoint.hold()
        self._busy = True
        with quietly():
            yield self._association
        self._busy = False

    def status(self, reply: Dataset) -> int:
        """Return the status of an answer; raise `Passing` when there is none."""
        if "Status" not in reply:
            self.leave()
            raise Passing(
                "the server broke off or is silent, as some are to a title they do not know"
            )
        return int(reply.Status)

    def leave(self) -> None:
        """End the association."""
        made, self._association = self._association, None
        busy, self._busy = self._busy, False
        if made is None:
            return
        if made.is_established and not busy:
            made._reactor_checkpoint.hold()
            made.release()
        else:
            made.abort()
        _drop(made)

    def _associate(self, offered: Mapping[str, Sequence[str]], provided: Sequence[str]) -> None:
        """Make an association; there is none when the server takes no kind of the offer."""
        build = self.net.build_context
        contexts = [build(VERIFICATION)]  # so that it stands when all others are declined
        for kind, syntaxes in offered.items():
            contexts += [build(kind, syntax) for syntax in syntaxes]
        words: dict[str, Any] = {
            "contexts": contexts[:128],
            "ae_title": self._address.aet,
            "ext_neg": [self.net.build_role(kind, scp_role=True) for kind in provided],
            "evt_handlers": [
                (self.net.evt.EVT_C_STORE, self._take),
                (self.net.evt.EVT_CONN_OPEN, _at_once),
                (self.net.evt.EVT_DATA_RECV, _at_once),
                (self.net.evt.EVT_DATA_SENT, _at_once),
            ],
        }
        if self._access.user is not None:
            words["ext_neg"].append(self._identity())
        if self._tls is not None:
            words["tls_args"] = (self._tls, self._address.host)
        made = self._ae.associate(self._address.host, self._address.port, **words)
        if made.is_established:
            made._reactor_checkpoint = _Gate(made)
            self._association = made
            return
        _drop(made)
        if made.is_rejected or not made.rejected_contexts:
            raise self._why_not(made)

    def _identity(self) -> Any:
        from pynetdicom.pdu_primitives import UserIdentityNegotiation

        item = UserIdentityNegotiation()
        item.user_identity_type = 2
        item.positive_response_requested = False
        item.primary_field = str(self._access.user).encode()
        item.secondary_field = str(self._access.password).encode()
        return item

    def _why_not(self, made: Any) -> Exception:
        """Return why an association was not made."""
        if made.is_rejected:
            return self._rejection(made.acceptor.primitive)
        with faults.of_the_network(self._where):
            self._knock()
        return Passing("the server broke off the connection")

    def _rejection(self, answer: Any) -> Exception:
        source, reason = answer.result_source, answer.diagnostic
        if answer.result == 2 or source == 3:
            more = "" if self._access.user is None else f", or not with this {USER}"
            return Passing(f"the server takes no association now{more}")
        titles = {
            3: (f"our title {self._access.calling_aet!r}", "Give the one it knows with --aet."),
            7: (f"the title {self._address.aet!r}", "Check the title in the address."),
        }
        if source == 1 and reason in titles:
            what, mend = titles[reason]
            return TransferError(f"the server does not know {what}", where=self._where, mend=mend)
        if self._access.user is not None:
            return faults.not_known(self._where)
        return TransferError(
            "the server declined the association",
            where=self._where,
            mend="Check the titles (--aet, and the one in the address) and whether it asks for "
            f"a user ({USER}).",
        )

    def _knock(self) -> None:
        """Connect by hand: pynetdicom does not tell why it could not."""
        place = (self._address.host, self._address.port)
        with socket.create_connection(place, self._access.timeout_s) as plain:
            if self._tls is not None:
                with self._tls.wrap_socket(plain, server_hostname=self._address.host) as safe:
                    safe.settimeout(1.0)
                    with suppress(TimeoutError):  # a server that wants more says so at once
                        safe.recv(1)


class _Gate:
    """The door at which the thread of an association waits while a request is under way.

    pynetdicom's own lets that thread slip through when one request follows another at once, and
    it then takes an answer that was meant for us: a match or an object would be lost without a
    word. Through this one nobody passes after `hold` has returned and before `set`.
    """

    def __init__(self, thread: threading.Thread) -> None:
        self._thread, self._free = thread, threading.Condition()
        self._open, self._waiting = True, False

    def set(self) -> None:
        with self._free:
            self._open = True
            self._free.notify_all()

    def clear(self) -> None:
        with self._free:
            self._open = False

    def wait(self) -> None:
        with self._free:
            self._waiting = True
            self._free.notify_all()
            while not self._open:
                self._free.wait()
            self._waiting = False

    def hold(self) -> None:
        """Close the door and return when the thread stands before it, or has ended."""
        with self._free:
            self._open = False
            while not self._waiting and self._thread.is_alive():
                self._free.wait(0.01)


def _library() -> Any:
    """Return pynetdicom, told to keep identifiers out of its log."""
    try:
        import pynetdicom
        from pynetdicom import _config
    except ImportError:
        raise DependencyError(
            "pynetdicom is not installed",
            where="petechia pacs by DIMSE",
            mend="Install it with: pip install 'petechia[pacs]'.",
        ) from None
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.STORE_SEND_CHUNKED_DATASET = True
    logging.getLogger("pynetdicom").addHandler(logging.NullHandler())
    return pynetdicom


def _drop(made: Any) -> None:
    """Close the socket of an association that has ended, which pynetdicom may leave open."""
    wrapped = made.dul.socket
    if wrapped is not None and wrapped.socket is not None:
        with suppress(OSError):
            wrapped.socket.close()


def _at_once(event: Any) -> None:
    """Send small messages and acknowledge those that come at once; called by pynetdicom.

    Else each message of two parts waits some 40 ms, on both sides, for an acknowledgement that
    the other delays.
    """
    wrapped = event.assoc.dul.socket
    if wrapped is None or wrapped.socket is None:
        return
    for option in ("TCP_NODELAY", "TCP_QUICKACK"):  # the second is Linux's, and wears off
        if hasattr(socket, option):
            with suppress(OSError):
                wrapped.socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), 1)
