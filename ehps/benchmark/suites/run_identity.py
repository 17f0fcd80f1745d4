"""What a run folder was made with, and whether another training may share it.

A training is ``{"train_set": name, "config": what changes its result, "data": hashes}``.
"""

from __future__ import annotations

from typing import Any


def goes_on(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether ``new`` differs from ``old`` in a larger number of steps, or of epochs, only."""
    a, b = dict(old["config"]), dict(new["config"])
    name = "steps" if a.get("epochs") is None and b.get("epochs") is None else "epochs"
    before, after = a.pop(name, None), b.pop(name, None)
    known = isinstance(before, int | float) and isinstance(after, int | float)
    return known and after > before and {**old, "config": a} == {**new, "config": b}


def difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """In which setting two trainings differ, in words."""
    if old["train_set"] != new["train_set"]:
        return f"train_set is {old['train_set']!r}, not {new['train_set']!r}"
    for name in sorted({*old["config"], *new["config"]}):
        a, b = old["config"].get(name), new["config"].get(name)
        if a != b:
            return f"{name} is {a!r}, not {b!r}"
    return "its training data have another content"


def environment() -> dict[str, str]:
    """Versions that a run was made with."""
    import platform

    import numpy
    import torch

    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__}
