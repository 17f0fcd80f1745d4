"""What every pickle may name: numpy arrays, scalars and dtypes, and harmless builtins.

Facts: numpy's own ``__reduce__`` output in versions 1.x (``numpy.core``) and 2.x (``numpy._core``). numpy's
``__setstate__`` is not called either: a forged dtype state could mark numbers as pointers.
"""

from __future__ import annotations

import collections
import math
import pickle
import re
from typing import Any

import numpy as np

from ehps.humandata.pickles.allowed import Allow, Array, Call, Recorded, Resolver, check_text, refused

_DTYPE = re.compile(r"[|<>=]?(\?|[bBhHiIlLqQfdgFDG]|[biufcmMSUVO]\d+|[OSUVmM])")


def dtype(recorded: Any, resolve: Resolver) -> np.dtype[Any]:
    """A dtype from its code and state; fields are followed, everything else in the state is ignored but the
    byte order and the unit of times."""
    if not (isinstance(recorded, Recorded) and recorded.name == "numpy.dtype"):
        raise TypeError("a dtype was expected")
    code = recorded.args[0]
    if not (isinstance(code, str) and _DTYPE.fullmatch(code)):
        raise ValueError(f"unknown dtype {code!r}")
    result: np.dtype[Any] = np.dtype(code)
    if recorded.state is None:
        return result
    _, order, subarray, names, members, size = recorded.state[:6]
    if subarray is not None:
        return np.dtype((dtype(subarray[0], resolve), tuple(subarray[1])))
    if names is not None:
        fields = [dtype(members[name][0], resolve) for name in names]
        offsets = [int(members[name][1]) for name in names]
        layout = {"names": list(names), "formats": fields, "offsets": offsets, "itemsize": int(size)}
        return np.dtype(layout)  # type: ignore[call-overload]
    if result.kind in "mM" and len(recorded.state) > 8:
        unit, count = recorded.state[8][1][:2]
        unit = unit.decode() if isinstance(unit, bytes) else unit
        result = np.dtype(f"{result.kind}8[{int(count)}{unit}]")
    if result.itemsize == 0 and size > 0:
        result = np.dtype(f"{result.kind}{size // 4 if result.kind == 'U' else size}")
    return result.newbyteorder(order) if order in "<>" else result


def build_array(shape: Any, kind: np.dtype[Any], data: Any, fortran: bool, resolve: Resolver) -> Array:
    """An array of its own memory from raw bytes, or from a list when it holds objects."""
    shape = tuple(int(n) for n in shape)
    if any(n < 0 for n in shape):
        raise ValueError(f"shape {shape}")
    order: Any = "F" if fortran else "C"
    if kind.kind == "O":
        if len(data) != math.prod(shape):
            raise ValueError(f"{len(data)} values for the shape {shape}")
        out = np.empty(len(data), object)
        for i, item in enumerate(resolve.items(list(data))):
            out[i] = item
        return out.reshape(shape, order=order)
    if kind.hasobject:
        raise ValueError("records that hold objects")
    raw = data.encode("latin1") if isinstance(data, str) else data
    if len(raw) != math.prod(shape) * kind.itemsize:
        raise ValueError(f"{len(raw)} bytes for the shape {shape} of {kind}")
    resolve.spend(len(raw))
    if kind.itemsize == 0 or len(raw) == 0:
        return np.zeros(shape, kind)
    flat = np.frombuffer(raw, kind)
    check_text(flat)
    return flat.reshape(shape, order=order).copy(order="K")


def _numpy(recorded: Recorded, resolve: Resolver) -> Any:
    name, args = recorded.name.replace("numpy._core.", "numpy.core."), recorded.args
    if name == "numpy.core.multiarray._reconstruct" and recorded.state is not None:
        if getattr(args[0], "name", None) != "numpy.ndarray":
            raise ValueError("a subclass of ndarray")
        shape, kind, fortran, data = recorded.state[-4:]
        recorded.state = None  # large files would otherwise be in memory twice
        return build_array(shape, dtype(kind, resolve), data, bool(fortran), resolve)
    if name == "numpy.core.multiarray._reconstruct":  # an array to which no state was given is empty
        return np.zeros((0,))
    if name == "numpy.core.multiarray.scalar":
        kind = dtype(args[0], resolve)
        if kind.kind == "O":
            return resolve(args[1])
        return build_array((1,), kind, args[1] if len(args) > 1 else bytes(kind.itemsize), False, resolve)[0]
    if name == "numpy.core.numeric._frombuffer":
        data, kind, shape, order = args
        return build_array(shape, dtype(kind, resolve), data, order == "F", resolve)
    if name == "numpy.dtype":
        return dtype(recorded, resolve)
    raise refused(resolve.where, recorded.name)


NUMPY = Allow(
    "numpy arrays",
    (
        "numpy.ndarray",
        "numpy.dtype",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.core.numeric._frombuffer",
        "numpy._core.numeric._frombuffer",
    ),
    _numpy,
)


# -- builtins ---------------------------------------------------------------------------------------------


def _encode(text: str, encoding: str = "latin1", errors: str = "strict") -> bytes:
    if encoding not in ("latin1", "latin-1", "utf-8", "utf8", "ascii"):
        raise pickle.UnpicklingError(f"unknown text encoding {encoding!r}")
    return text.encode(encoding)


def _set(values: Any = ()) -> set[Any]:
    return set(_listed(values))


def _frozenset(values: Any = ()) -> frozenset[Any]:
    return frozenset(_listed(values))


def _listed(values: Any) -> Any:
    # a set of a range would let a few bytes fill the memory
    if not isinstance(values, list | tuple | set | frozenset):
        raise pickle.UnpicklingError("a set of something else than a list")
    return values


def _bytes() -> bytes:
    return b""  # how protocols below 3 spell the empty bytes


def _bytearray(data: Any = b"", encoding: str = "latin1") -> bytearray:
    if isinstance(data, str):
        return bytearray(_encode(data, encoding))
    if not isinstance(data, bytes | bytearray | list):
        raise pickle.UnpicklingError("a bytearray without data")
    return bytearray(data)


def _reconstructor(cls: Any, base: Any, state: Any) -> Any:
    if not (isinstance(cls, type) and issubclass(cls, Recorded)):
        raise pickle.UnpicklingError("reconstruction of a builtin type")
    return cls()


class _Object:
    """Stands for ``object`` where a pickle passes it on."""


PLAIN: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): Call(_encode),
    ("collections", "OrderedDict"): collections.OrderedDict,
    **{(module, kind.__name__): kind for module in ("builtins", "__builtin__") for kind in (complex, slice)},
    **{(module, "set"): Call(_set) for module in ("builtins", "__builtin__")},
    **{(module, "frozenset"): Call(_frozenset) for module in ("builtins", "__builtin__")},
    **{(module, "bytes"): Call(_bytes) for module in ("builtins", "__builtin__")},
    **{(module, "bytearray"): Call(_bytearray) for module in ("builtins", "__builtin__")},
    **{(module, "object"): _Object for module in ("builtins", "__builtin__")},
    ("builtins", "range"): range,
    ("__builtin__", "xrange"): range,
    **{(module, "_reconstructor"): Call(_reconstructor) for module in ("copyreg", "copy_reg")},
}
