"""Sliced cache files of mmhuman3d's ``HumanDataCache``, put together again.

Members: ``slice_size``, ``data_len``, ``key_strict``, ``keypoints_info`` (masks and conventions), ``non_sliced_data``,
and ``"0"``, ``"1"``, ...: dicts with ``slice_size`` rows each of everything that has rows, keypoints compressed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ehps.errors import DataError
from ehps.humandata.pickles.allowed import DAMAGED
from ehps.humandata.pickles.npy_files import Npz
from ehps.humandata.storage.npz_values import unwrapped


def is_cache(members: Npz) -> bool:
    return {"slice_size", "data_len", "keypoints_info", "0"} <= set(members)


def is_training_cache(members: Npz) -> bool:
    """The unrelated cache files of SMPLer-X, SMPLest-X and AiOS: one ready-made training sample a member."""
    return {"data_strategy", "data_len"} <= set(members)


def read_cache(members: Npz) -> dict[str, Any]:
    """The members that the whole file had before it was cut into slices."""
    n, size = int(members["data_len"]), int(members["slice_size"])
    names = [str(i) for i in range(-(-n // size))] if size > 0 else []
    missing = [name for name in names if name not in members]
    if missing:
        raise DataError(f"lacks {len(missing)} of its {len(names)} slices", path=members.path, fix=DAMAGED)
    whole = _joined([unwrapped(members[name]) for name in names])
    for name in ("keypoints_info", "non_sliced_data"):
        if name in members:
            _merge(whole, unwrapped(members[name]))
    return {**whole, "__data_len__": n, "__keypoints_compressed__": True}


def _joined(slices: list[Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key in slices[0]:
        parts = [part[key] for part in slices]
        if isinstance(parts[0], Mapping):
            out[key] = _joined(parts)
        elif isinstance(parts[0], np.ndarray):
            out[key] = np.concatenate(parts)
        else:
            out[key] = [item for part in parts for item in part]
    return out


def _merge(whole: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(whole.get(key), dict):
            _merge(whole[key], value)
        else:
            whole.setdefault(key, value)
