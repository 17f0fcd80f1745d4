"""Pickle streams that name libraries and generations which are not installed."""

from __future__ import annotations

import io
import pickle
from typing import Any


class Global:
    """A name in a stream that need not exist here."""

    def __init__(self, path: str) -> None:
        self.path = path


class Made:
    """An object of such a name: ``cls.__new__(cls, *args)`` or ``function(*args)``, then a state."""

    def __init__(self, path: str, args: tuple[Any, ...] = (), state: Any = None, call: bool = False) -> None:
        self.path, self.args, self.state, self.call = path, args, state, call


Pickler: Any = pickle._Pickler


class Writer(Pickler):
    """Writes streams with the names of libraries and generations that are not installed."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Global):
            self.write(b"c%s\n%s\n" % tuple(part.encode() for part in obj.path.rsplit(".", 1)))
        elif isinstance(obj, Made):
            self.save(Global(obj.path))
            self.save(obj.args)
            self.write(pickle.REDUCE if obj.call else pickle.NEWOBJ)
            if obj.state is not None:
                self.save(obj.state)
                self.write(pickle.BUILD)
        else:
            super().save(obj, save_persistent_id)


def stream(value: Any, protocol: int = 2) -> bytes:
    out = io.BytesIO()
    Writer(out, protocol).dump(value)
    return out.getvalue()


def called(path: str, *args: Any) -> Made:
    return Made(path, args, call=True)
