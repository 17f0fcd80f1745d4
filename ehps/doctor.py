"""What this machine has, what is missing or damaged, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ehps.errors import EhpsError

if TYPE_CHECKING:
    import pandas as pd

    from ehps.body.model_folder import Found

Row = tuple[str, str, str, str]

BASE = ("numpy", "scipy", "h5py", "pandas", "torch", "smplx", "opencv-python-headless", "matplotlib")
EXTRAS = {
    "train": ("accelerate", "pyarrow", "simplejpeg", "pyyaml"),
    "analysis": ("umap-learn", "pyarrow", "jinja2"),
    "video": ("av",),
    "cdf": ("cdflib",),
}


def examine(body_models: Path | None = None) -> pd.DataFrame:
    """One row a finding: ``what, state (ok, missing or damaged), detail, to do``. Body-model files are read.

    Parameters
    ----------
    body_models : folder of body models; the environment's EHPS_BODY_MODELS when None.
    """
    import pandas as pd

    rows = [*_machine(), *_packages(), *_bodies(body_models)]
    return pd.DataFrame(rows, columns=["what", "state", "detail", "to do"])


def datasets(disk: Path) -> pd.DataFrame:
    """One row a dataset, as below; ``lacks`` is the note and what is missing, in a line for people.

    Raises
    ------
    DataError : there is no such folder.
    """
    import pandas as pd

    from ehps.converters.disk_survey import only_by_name, survey

    return pd.DataFrame(
        [
            {
                "dataset": finding.card.id,
                "state": finding.state,
                "folder": None if finding.folder is None else str(finding.folder),
                "splits": " ".join(finding.splits),
                "lacks": finding.lacks,
                "note": finding.note,
                "missing": finding.missing,
                "by_name": only_by_name(finding.card),
                "licence": finding.card.licence,
                "register": finding.card.homepage,
                "get": finding.card.get,
                "expect": finding.expected,
                "command": finding.command,
            }
            for finding in survey(disk)
        ]
    )


def _machine() -> list[Row]:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0.0
    return [
        ("python", "ok", f"{sys.version.split()[0]} on {platform.system()} {platform.machine()}", ""),
        ("processor", "ok", f"{os.cpu_count()} cores, {memory:.0f} GB memory, {free:.0f} GB free here", ""),
        _gpu(),
    ]


def _gpu() -> Row:
    try:
        import torch

        devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    except (ImportError, OSError, RuntimeError) as error:  # not there, without its libraries, or without a driver
        return "gpu", "missing", f"torch does not start ({error})", "install torch again, see pytorch.org"
    if devices:
        return "gpu", "ok", ", ".join(devices), ""
    return "gpu", "missing", "training runs on the processor", "convert, inspect and the demo need none"


def _packages() -> list[Row]:
    rows = [_package(name, "pip install ehps") for name in BASE]
    for extra, names in EXTRAS.items():
        rows += [_package(name, f"pip install 'ehps[{extra}]'") for name in names]
    return list(dict.fromkeys(rows))


def _package(name: str, remedy: str) -> Row:
    try:
        return name, "ok", importlib.metadata.version(name), ""
    except importlib.metadata.PackageNotFoundError:
        return name, "missing", "not installed", remedy


def _bodies(given: Path | None) -> list[Row]:
    from ehps.body.model_folder import ENVIRONMENT, body_models_folder, inventory

    folder = body_models_folder(given)
    if folder is None:
        sites = "smpl-x.is.tue.mpg.de, smpl.is.tue.mpg.de, mano.is.tue.mpg.de"
        remedy = f"pass --body-models DIR or set {ENVIRONMENT}; register at {sites}"
        return [("body models", "missing", "no folder given", remedy)]
    return [_body_file(found) for found in inventory(folder)]


def _body_file(found: Found) -> Row:
    from ehps.body.model_folder import release

    way = "register at" if found.model else "get it from"
    if found.path is None:
        return found.name, "missing", f"needed for {found.used_for}", f"{way} {found.source}"
    try:
        words, remedy = release(found)
    except EhpsError as error:
        return found.name, "damaged", f"{found.path}: {error.what}", f"download it again from {found.source}"
    return found.name, "ok", f"{found.path}{f' ({words})' if words else ''}", remedy
