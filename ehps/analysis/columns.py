"""Columns of texts that repeat: looked at once a distinct text, which is what categories of parquet files are for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from ehps.arrays import Array, Mask


def coded(column: pd.Series[Any]) -> tuple[Array, list[Any]]:
    """(N,) number of each row's text among those that occur, -1 where there is none; and the texts, as numbered."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy().astype(np.int64)
        used = np.bincount(codes[codes >= 0], minlength=len(column.cat.categories)) > 0
        again = np.append(np.cumsum(used) - 1, -1)
        return again[codes], column.cat.categories[used].tolist()
    codes, values = pd.factorize(column)
    return codes.astype(np.int64), list(values)


def matching(column: pd.Series[Any], wanted: Callable[[Any], bool]) -> Mask:
    """(N,) whether the text of a row is ``wanted``; False where there is none."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        flags = np.array([*(bool(wanted(value)) for value in column.cat.categories), False])
        return flags[column.cat.codes.to_numpy()]
    codes, values = coded(column)
    return np.array([*(bool(wanted(value)) for value in values), False])[codes]
