"""``train.jsonl``: what a training writes down of its steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ehps.json_files import read_json_lines

LOG = "train.jsonl"


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``train.jsonl``; one that was being written when its run was killed is left out.

    Raises
    ------
    DataError : an earlier line is damaged.
    """
    return read_json_lines(path, {"step": int}, fix="remove it, or train again")
