"""How many rows each set gives to a balanced epoch: for those who train, and, without torch, for those who ask what was
trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def quotas(
    lengths: Sequence[int], total_length: int | None = None, weights: Sequence[float] | None = None
) -> list[int]:
    """How many rows each set gives to a balanced epoch, at least one.

    Parameters
    ----------
    lengths : rows of the sets.
    total_length : rows of the epoch, as many as the sets have by default.
    weights : shares of the sets, equal by default.
    """
    total = sum(lengths) if total_length is None else total_length
    shares = np.ones(len(lengths)) if weights is None else np.asarray(weights, float)
    exact = total * (shares / shares.sum())
    return [max(1, int(np.floor(share * (1 + 1e-12)))) for share in exact]
