"""Torch tensors in plain pickles, read as numpy arrays without torch.

A tensor pickled on its own (``pickle.dump``, not ``torch.save``) holds its storage as the bytes of torch's old
serialization: a few small pickles (magic number, version, machine, what is stored, keys), then for each key the number
of elements (int64) and the raw elements. The device is only a word in there, so tensors that lived on a GPU are read
on any machine. ``torch.load`` is not used: before torch 2.6 it could be made to run code by such bytes.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from ehps.humandata.pickles.allowed import MAX_DENSE_BYTES, Allow, Array, Recorded, Resolver, refused
from ehps.humandata.pickles.unpickler import Unpickler

MAGIC = 0x1950A86A20F9469CFC6C
_ELEMENTS = {
    "Double": "<f8",
    "Float": "<f4",
    "Half": "<f2",
    "BFloat16": "<u2",
    "Long": "<i8",
    "Int": "<i4",
    "Short": "<i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "?",
    "ComplexFloat": "<c8",
    "ComplexDouble": "<c16",
}


class _StorageReader(Unpickler):
    """Accepts the one persistent id of the old serialization: a description of the storage."""

    def persistent_load(self, pid: Any) -> Any:
        if isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage":
            return pid
        return super().persistent_load(pid)


def _storage(data: bytes, resolve: Resolver) -> Array:
    file = io.BytesIO(data)
    allow = (Allow("torch storages", ("torch.*",), _rebuild),)

    def part() -> Any:
        return _StorageReader(file, resolve.where, allow, "latin1").load()

    magic, _, machine, described, keys = part(), part(), part(), part(), part()
    if magic != MAGIC or machine.get("little_endian") is not True:
        raise ValueError("not bytes of a little-endian torch storage")
    _, storage_class, key, _, count = described[:5]
    module, _, name = storage_class.name.rpartition(".")
    if module not in ("torch", "torch.cuda", "torch.storage") or not name.endswith("Storage"):
        raise refused(resolve.where, storage_class.name)
    if keys != [key]:
        raise ValueError(f"{len(keys)} storages instead of one")
    stored = int(np.frombuffer(file.read(8), "<i8")[0])
    element = np.dtype(_ELEMENTS[name.removesuffix("Storage")])
    if stored != count:
        raise ValueError(f"{stored} elements instead of {count}")
    elements = np.frombuffer(file.read(stored * element.itemsize), element)
    if len(elements) != stored:
        raise ValueError(f"{len(elements)} elements instead of {stored}")
    if name == "BFloat16Storage":
        return (elements.astype("<u4") << 16).view("<f4")
    return elements


def _tensor(storage: Array, offset: int, size: Any, stride: Any, resolve: Resolver) -> Array:
    size, stride = tuple(int(n) for n in size), tuple(int(n) for n in stride)
    if len(size) != len(stride) or min((offset, *size, *stride)) < 0:
        raise ValueError(f"a tensor of size {size}, stride {stride}, offset {offset}")
    if math.prod(size) * storage.itemsize > max(MAX_DENSE_BYTES, storage.nbytes):
        raise ValueError(f"a tensor of size {size}")
    if math.prod(size) == 0:
        return np.zeros(size, storage.dtype)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if last >= len(storage):
        raise ValueError("a tensor larger than its storage")
    resolve.spend(math.prod(size) * storage.itemsize)
    steps = tuple(n * storage.itemsize for n in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy()


def _rebuild(recorded: Recorded, resolve: Resolver) -> Any:
    name, args = recorded.name, recorded.args
    if name == "torch.storage._load_from_bytes":
        return _storage(resolve(args[0]), resolve)
    if name in ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"):
        storage, offset, size, stride = (resolve(value) for value in args[:4])
        return _tensor(storage, offset, size, stride, resolve)
    if name in (
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch.nn.parameter.Parameter",
    ):
        return resolve.array(args[0])
    if name == "torch.Size":
        return tuple(resolve(args[0]))
    if name == "torch.device":
        return ":".join(str(resolve(value)) for value in args)
    raise refused(resolve.where, name)


TORCH = Allow(
    "torch tensors",
    (
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch.nn.parameter.Parameter",
        "torch.storage._load_from_bytes",
        "torch.Size",
        "torch.device",
    ),
    _rebuild,
    {f"torch.{name}": name for name in ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")},
)
