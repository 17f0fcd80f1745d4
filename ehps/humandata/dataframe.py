"""Columns as a pandas frame, for looking, grouping and plotting."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from ehps.humandata.strings import Strings
from ehps.humandata.table import Table

if TYPE_CHECKING:
    import pandas as pd

_WIDE = ("smplx/", "smplh/", "smpl/", "keypoints2d", "keypoints3d")


def to_frame(hd: Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """One row an instance. An array (N, 5) becomes ``name.0`` ... ``name.4``, one (N, 21, 3) ``name.0.0`` ...

    Without ``columns``: everything but keypoints and body parameters.

    Raises
    ------
    UsageError : no such column.
    """
    import pandas as pd

    if columns is None:
        columns = [name for name in hd.columns if not name.startswith(_WIDE)]
    flat: dict[str, Any] = {}
    for name in columns:
        column = hd[name]
        if isinstance(column, Strings):
            flat[name] = np.asarray(column)
        elif column.ndim == 1:
            flat[name] = np.array(column)
        else:
            for place in product(*map(range, column.shape[1:])):
                flat[".".join((name, *map(str, place)))] = np.array(column[(slice(None), *place)])
    return pd.DataFrame(flat, index=pd.RangeIndex(len(hd)))
