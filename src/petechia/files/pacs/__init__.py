"""Images from a PACS and results back to it, by DICOMweb and by DIMSE.

address (where) -> access (who we are, TLS) -> web or dimse (the two clients) -> pulling, pushing.
What has been moved stands in a ledger beside the files, so that both can be taken up again.
"""

from petechia.files.pacs.access import Access, credentials
from petechia.files.pacs.address import Address, parse_address
from petechia.files.pacs.connect import connect
from petechia.files.pacs.patience import Patience
from petechia.files.pacs.pulling import Pulled, pull
from petechia.files.pacs.pushing import Pushed, push
from petechia.files.pacs.records import Query

__all__ = [
    "Access",
    "Address",
    "Patience",
    "Pulled",
    "Pushed",
    "Query",
    "connect",
    "credentials",
    "parse_address",
    "pull",
    "push",
]
