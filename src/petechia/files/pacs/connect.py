"""From an address to the client that speaks its language."""

from petechia.files.pacs.access import Access
from petechia.files.pacs.address import Address
from petechia.files.pacs.records import Client


def connect(address: Address, access: Access) -> Client:
    """Return a client of the server at `address`; nothing is sent yet.

    Raises
    ------
    DependencyError
        DIMSE without the extra `pacs`.
    FileError
        Certificates that cannot be used.
    """
    if address.is_web:
        from petechia.files.pacs.web import WebClient

        return WebClient(address, access)
    from petechia.files.pacs.dimse import DimseClient

    return DimseClient(address, access)
