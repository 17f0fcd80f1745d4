"""Packages that only some commands need, and the extra of ``ehps`` that each is installed with."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping

from ehps.errors import UsageError

EXTRAS: Mapping[str, tuple[str, str]] = {
    "accelerate": ("accelerate", "train"),
    "yaml": ("pyyaml", "train"),
    "simplejpeg": ("simplejpeg", "train"),
    "pyarrow": ("pyarrow", "train"),
    "umap": ("umap-learn", "analysis"),
    "sklearn": ("scikit-learn", "analysis"),
    "jinja2": ("jinja2", "analysis"),
    "av": ("av", "video"),
    "cdflib": ("cdflib", "cdf"),
    "distributed": ("dask[distributed]", "dask"),
    "ray": ("ray", "ray"),
    "pycocotools": ("pycocotools", "coco"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "submitit": ("submitit", "slurm"),
    "safetensors": ("safetensors", "safetensors"),
    "onnxruntime": ("onnxruntime", "onnx"),
    "rerun": ("rerun-sdk", "rerun"),
    "mhr": ("mhr", "mhr"),
}
"""Module -> package that has it, and an extra with that package."""

BACKEND_MODULES: Mapping[str, tuple[str, ...]] = {"dask": ("distributed",), "ray": ("ray",)}
"""What the parallel backends other than the usual one are made of."""


def need(task: str, *modules: str) -> None:
    """See that optional modules are installed, without importing them.

    Parameters
    ----------
    task : what they are for, as the beginning of a sentence: ``training``.
    modules : of :data:`EXTRAS`.

    Raises
    ------
    UsageError : some are not; it names them and the extras that install them.
    """
    missing = [name for name in modules if not installed(name)]
    if missing:
        packages = " and ".join(EXTRAS[name][0] for name in missing)
        extras = ",".join(dict.fromkeys(EXTRAS[name][1] for name in missing))
        verb = "is" if len(missing) == 1 else "are"
        raise UsageError(
            f"{task} needs {packages}, which {verb} not installed", fix=f"run pip install 'ehps[{extras}]'"
        )


def installed(module: str) -> bool:
    """Whether a module is there to be imported."""
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # of a parent, or by whoever stands in the place of the import system
        return False
