"""One pickle stream in, plain data out; see :mod:`ehps.humandata.pickles.allowed` for how."""

from __future__ import annotations

import copyreg
import pickle
import pickletools
from collections.abc import Sequence
from typing import Any, BinaryIO

from ehps.errors import DataError, EhpsError
from ehps.humandata.pickles.allowed import DAMAGED, GET_IT, Allow, Recorded, Resolver, refused
from ehps.humandata.pickles.numpy_arrays import NUMPY, PLAIN


class Unpickler(pickle.Unpickler):
    """The standard unpickler with names looked up in the allow-list instead of in Python's modules."""

    def __init__(self, file: BinaryIO, where: str, allow: Sequence[Allow], encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self.where, self.allow = where, tuple(allow)
        self._classes: dict[tuple[str, str], Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        key = (module, name)
        if key not in self._classes:
            self._classes[key] = self._stand_in(*key)
        return self._classes[key]

    def persistent_load(self, pid: Any) -> Any:
        raise refused(self.where, "an object outside the file (persistent id)")

    def _stand_in(self, module: str, name: str) -> Any:
        if (module, name) in PLAIN:
            return PLAIN[module, name]
        full = f"{module}.{name}"
        for allow in (NUMPY, *self.allow):
            if full in allow.constants:
                return allow.constants[full]
            if allow.covers(module, name):
                members = {"name": full, "rebuild": staticmethod(allow.rebuild), "__slots__": ()}
                return type("Recorded", (Recorded,), members)
        raise refused(self.where, full)


def load(file: BinaryIO, where: str, *, allow: Sequence[Allow] = (), encoding: str = "latin1") -> Any:
    """Plain data from one pickle stream; see :func:`ehps.humandata.pickles.load_pickle`."""
    try:
        _refuse_extension_codes(file, where)
        return Resolver(where)(Unpickler(file, where, allow, encoding).load())
    except EhpsError:
        raise
    except RecursionError:
        raise DataError("values are nested too deeply", path=where, fix=GET_IT) from None
    except MemoryError:
        raise DataError("the file asks for more memory than there is", path=where, fix=GET_IT) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=where) from None
    except Exception as error:  # a damaged stream can make the standard unpickler raise nearly anything
        ours = isinstance(error, ValueError) and not isinstance(error, UnicodeError)
        detail = f" ({error})" if ours or isinstance(error, pickle.UnpicklingError) else ""
        raise DataError(f"is not a complete pickle{detail}", path=where, fix=DAMAGED) from None


def _refuse_extension_codes(file: BinaryIO, where: str) -> None:
    # The standard unpickler answers codes registered by this process without asking find_class.
    if not copyreg._extension_registry:  # type: ignore[attr-defined]
        return
    start = file.tell()
    for opcode, _, _ in pickletools.genops(file):
        if opcode.name in ("EXT1", "EXT2", "EXT4"):
            raise refused(where, "a registered extension code")
    file.seek(start)
