"""Which files the results can be written as: asked before the work, and by what writes them."""

from __future__ import annotations

from pathlib import Path

from ehps.errors import UsageError

HUMANDATA = (".h5", ".npz")
TABLE = (".md", ".csv", ".tex", ".json", ".html")
FIGURE = (".png", ".pdf", ".svg")
IMAGE = (".png",)
PACK = (".pack",)
EMBEDDING = (".npz",)
PAGE = (".html",)
SUITE = (".yaml", ".yml")
WEIGHTS = (".pt", ".safetensors")


def check_suffix(path: Path, suffixes: tuple[str, ...]) -> Path:
    """``path``, which ends in one of ``suffixes``, in any case, and is no folder.

    Raises
    ------
    UsageError : it does not, or is one.
    """
    if path.suffix.lower() not in suffixes:
        listed = ", ".join(suffixes[:-1])
        words = f"{listed} or {suffixes[-1]}" if listed else suffixes[-1]
        wrong = f"ends in {path.suffix}, not in {words}" if path.suffix else f"does not end in {words}"
        raise UsageError(wrong, path=path, fix="give it another name")
    if path.is_dir():
        raise UsageError("is a folder", path=path, fix="give the name of a file")
    return path
