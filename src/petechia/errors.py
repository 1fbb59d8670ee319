"""Every error this package raises on purpose.

PetechiaError
├── InputError             the caller handed us something we cannot use
│   ├── GridMismatchError  two volumes do not share a grid
│   ├── ParameterError     a setting is outside its meaningful range
│   ├── StaleError         it was changed by someone else since it was last read
│   └── UnfitError         the data cannot answer what was asked of them
├── FileError              a file is missing, unreadable or contradicts itself
│   ├── MetadataError      a header or sidecar lacks a fact, or states an impossible one
│   ├── InUseError         another process is at work on the same folder
│   └── OutputError        a result could not be written
├── TransferError          a server could not be reached, refused, or cannot be understood
└── DependencyError        an optional package this command needs is not installed
"""


class PetechiaError(Exception):
    """Base of the family: says what is wrong, where, and how to mend it.

    Parameters
    ----------
    what : str
        The fact, with the offending value in it.
    where : str
        The file, argument or voxel the fact is about.
    mend : str
        The next thing the reader should do.
    """

    def __init__(self, what: str, *, where: str, mend: str) -> None:
        super().__init__(f"{where}: {what.rstrip('. ')}. {mend}")
        self.what, self.where, self.mend = what, where, mend

    def __reduce__(self) -> tuple[object, ...]:
        """Cross process borders with all three parts."""
        return _rebuild, (type(self), self.what, self.where, self.mend)


def _rebuild(kind: type[PetechiaError], what: str, where: str, mend: str) -> PetechiaError:
    return kind(what, where=where, mend=mend)


class InputError(PetechiaError, ValueError):
    """The caller handed us something we cannot use."""


class GridMismatchError(InputError):
    """Two volumes that must share a grid do not."""


class ParameterError(InputError):
    """A setting is outside its meaningful range."""


class StaleError(InputError):
    """What is to be changed was changed by someone else since it was last read."""


class UnfitError(InputError):
    """The data cannot answer what was asked of them."""


class FileError(PetechiaError):
    """A file is missing, unreadable, or contradicts itself."""


class MetadataError(FileError):
    """A header or sidecar lacks a fact, or states an impossible one."""


class InUseError(FileError):
    """Another process is at work on the same folder."""


class OutputError(FileError):
    """A result could not be written."""


class TransferError(PetechiaError):
    """A server could not be reached, refused, or answered what cannot be used."""


class DependencyError(PetechiaError):
    """An optional package that this command needs is not installed."""
