"""Values of an ``.npz`` as columns: what lists, object arrays and 0-d arrays of many writers stand for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.humandata.strings import Strings
from ehps.humandata.table import Column


def unwrapped(value: Any) -> Any:
    """A member as the class reads it: 0-d arrays are the value they hold."""
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def has_rows(value: Any, n: int) -> bool:
    """Whether ``value`` is a list or array of ``n`` things: the rule by which mmhuman3d slices undeclared values."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0 and len(value) == n
    return isinstance(value, list | tuple) and len(value) == n


def numeric(value: Array) -> Array:
    """Object arrays of numbers (files of 2021) as float64, others as they are."""
    return value.astype(np.float64) if value.dtype.kind == "O" else value


def as_rows(value: Any) -> Column:
    """A column from a list or array of N things: numbers, texts, or anything else as JSON texts."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return value
    items = list(value)
    if all(isinstance(item, str) for item in items):
        return Strings.of(items)
    if any(item is None for item in items):
        missing = "" if any(isinstance(item, str) for item in items) else np.nan
        items = [missing if item is None else item for item in items]
    try:
        array = np.asarray(items)
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
    except (TypeError, ValueError):
        array = np.empty(0, object)
    if array.dtype.kind in "biufc":
        return array
    if array.dtype.kind == "U" and array.ndim == 1:
        return Strings.of(array.tolist())
    return Strings.of(json.dumps(to_plain(item), sort_keys=True) for item in items)


def to_plain(value: Any) -> Any:
    """``value`` as JSON can hold it."""
    if isinstance(value, np.generic | np.ndarray):
        return to_plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset | range):
        return [to_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("latin1")
    if isinstance(value, str):
        return str(value)
    if isinstance(value, complex | slice):
        return repr(value)
    return value
