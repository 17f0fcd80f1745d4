"""What a run folder was made with, and whether another training may share it.

A training is ``{"train_set": name, "config": what changes its result, "data": hashes}``; one that starts from another
training of its suite also has ``"start"``, the hash of that one's weights.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import ehps


def goes_on(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether ``new`` differs from ``old`` in a larger number of steps, or of epochs, only."""
    a, b = dict(old["config"]), dict(new["config"])
    name = "steps" if a.get("epochs") is None and b.get("epochs") is None else "epochs"
    before, after = a.pop(name, None), b.pop(name, None)
    known = isinstance(before, int | float) and isinstance(after, int | float)
    return known and after > before and {**old, "config": a} == {**new, "config": b}


def difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """In what two trainings differ, in words; in their length, with which one may go on, where in nothing else."""
    if old["train_set"] != new["train_set"]:
        return f"train_set is {old['train_set']!r}, not {new['train_set']!r}"
    a, b = ({k: v for k, v in one["config"].items() if k not in ("steps", "epochs")} for one in (old, new))
    if found := _first_difference(a, b):
        return found
    if old.get("start") != new.get("start"):
        return "the training that it starts from has other weights"
    if old["data"] != new["data"]:
        return _of_data(old["data"], new["data"])
    return _first_difference(old["config"], new["config"])


def _of_data(old: list[str], new: list[str]) -> str:
    """Of texts of a content's hash and, after a space, what is taken of it and how."""
    if [one.split(" ")[0] for one in old] != [one.split(" ")[0] for one in new]:
        return "its training data have another content"
    a, b = next((a, b) for a, b in zip(old, new, strict=True) if a != b)
    taken = [one.partition(" ")[2] or "every row, images of a folder" for one in (a, b)]
    return f"its training data are taken as {taken[0]!r}, not {taken[1]!r}"


def _first_difference(old: Mapping[str, Any], new: Mapping[str, Any], place: str = "") -> str:
    for name in sorted({*old, *new}):
        a, b = old.get(name), new.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if found := _first_difference(a, b, f"{place}{name}."):
                return found
        elif a != b:
            return f"{place}{name} is {_word(a)}, not {_word(b)}"
    return ""


def _word(value: Any) -> str:
    return "not given" if value is None else repr(value)


def environment() -> dict[str, str]:
    """What a run was made with: versions, the commit of ehps, the device and its driver."""
    import platform

    import numpy
    import torch

    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__}
    gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if gpu else f"{platform.machine()} processor"
    return {**versions, "commit": commit(), "device": device, "driver": _driver() if gpu else ""}


@lru_cache(maxsize=1)
def commit() -> str:
    """The commit that ehps is of, with ``+`` where its files differ from it; empty where it is not known."""
    folder = Path(ehps.__file__).parent
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py"):
        return (_git(folder, "rev-parse", "HEAD") or "") + "+" * bool(_git(folder, "status", "--porcelain", "--", "."))
    try:
        origin = json.loads(importlib.metadata.distribution("ehps").read_text("direct_url.json") or "{}")
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""
    return str(origin.get("vcs_info", {}).get("commit_id", ""))


def _git(folder: Path, *words: str) -> str:
    """What git says of the folder; empty where it is none of a checkout, or there is no git."""
    try:
        said = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.strip()


def _driver() -> str:
    """Version of the driver of NVIDIA cards; empty where there is none."""
    try:
        words = Path("/proc/driver/nvidia/version").read_text().split()
    except OSError:
        return ""
    return next((word for word in words if word.count(".") >= 1 and word.replace(".", "").isdigit()), "")
