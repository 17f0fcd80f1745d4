"""What this machine has, what is missing, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

BASE = ("numpy", "scipy", "h5py", "pandas", "torch", "smplx", "opencv-python-headless", "matplotlib")
EXTRAS = {
    "train": ("accelerate", "pyarrow", "simplejpeg", "tensorboard"),
    "analysis": ("umap-learn", "pyarrow", "jinja2"),
    "video": ("av",),
}


def examine(body_models: Path | None = None) -> pd.DataFrame:
    """One row a finding: ``what, state (ok or missing), detail, to do``.

    Parameters
    ----------
    body_models : folder of body models; the environment's EHPS_BODY_MODELS when None.
    """
    import pandas as pd

    rows = [*_machine(), *_packages(), *_bodies(body_models)]
    return pd.DataFrame(rows, columns=["what", "state", "detail", "to do"])


def _machine() -> list[tuple[str, str, str, str]]:
    import torch

    free = shutil.disk_usage(Path.cwd()).free / 2**30
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0.0
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [
        ("python", "ok", f"{sys.version.split()[0]} on {platform.system()} {platform.machine()}", ""),
        ("processor", "ok", f"{os.cpu_count()} cores, {memory:.0f} GB memory, {free:.0f} GB free here", ""),
        ("gpu", "ok", ", ".join(devices), "")
        if devices
        else ("gpu", "missing", "training runs on the processor", "convert, inspect and the demo need none"),
    ]


def _packages() -> list[tuple[str, str, str, str]]:
    rows = [_package(name, "pip install ehps") for name in BASE]
    for extra, names in EXTRAS.items():
        rows += [_package(name, f"pip install 'ehps[{extra}]'") for name in names]
    return list(dict.fromkeys(rows))


def _package(name: str, remedy: str) -> tuple[str, str, str, str]:
    try:
        return name, "ok", importlib.metadata.version(name), ""
    except importlib.metadata.PackageNotFoundError:
        return name, "missing", "not installed", remedy


def _bodies(given: Path | None) -> list[tuple[str, str, str, str]]:
    from ehps.body.files import ENVIRONMENT, BodyModels, body_models_folder

    folder = body_models_folder(given)
    if folder is None:
        return [("body models", "missing", "no folder given", f"pass --body-models DIR or set {ENVIRONMENT}; "
                 "register at smpl-x.is.tue.mpg.de, smpl.is.tue.mpg.de, mano.is.tue.mpg.de")]  # fmt: skip
    return [
        (found.name, "ok", str(found.path), "")
        if found.path is not None
        else (found.name, "missing", f"needed for {found.used_for}", f"register at {found.source}")
        for found in BodyModels(folder).inventory()
    ]
