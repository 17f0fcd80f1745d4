"""Prediction files of AGORA's server, see :mod:`ehps.benchmark.suites.agora_files`: one pickle a person."""

from __future__ import annotations

from pathlib import Path

from ehps.benchmark.suites import agora_export, agora_files
from ehps.body.topology import POSE_PARTS
from ehps.errors import DataError
from ehps.exchange.forms import Sources, Stated, Written, not_held
from ehps.exchange.skeletons import need_models
from ehps.humandata.core import HumanData

HELD = {"image_path", "meta/person_id", "meta/gender", agora_files.GIVEN}


def recognise(path: Path) -> bool:
    """Whether a folder has files with such names."""
    folders = (path, path / "predictions") if path.is_dir() else ()
    return any(agora_files.NAME.fullmatch(file.name) for folder in folders for file in folder.glob("*.pkl"))


def read(path: Path, stated: Stated, images: Path | None = None) -> HumanData:
    """All persons of a folder.

    Parameters
    ----------
    images : folder of the images that they are of, by whose names images are then called.

    Raises
    ------
    DataError : as :func:`ehps.benchmark.suites.agora_files.read`, or the files hold meshes, which are no parameters.
    """
    del stated
    known = [] if images is None else sorted(file.relative_to(images).as_posix() for file in images.rglob("*.png"))
    hd, meshes = agora_files.read(path, known)
    if meshes is not None:
        raise DataError(
            "holds meshes and no parameters", path=path, fix="`ehps benchmark score` compares them with a test set"
        )
    return hd


def write(hd: HumanData, out: Path, sources: Sources) -> Written:
    """Write all rows of ``hd`` as files in the folder ``out``.

    Raises
    ------
    UsageError, DataError : as :func:`ehps.benchmark.suites.agora_export.export`.
    """
    agora_export.export(hd, out, need_models(sources.body_models, "an AGORA file"))
    body = hd.body_model or ""
    names = (*POSE_PARTS.get(body, ()), "betas", "betas_extra", "transl", "expression")
    held = HELD | {f"{body}/{name}" for name in names}
    return Written([out / name for name in agora_export.file_names(hd)], not_held(hd, held))
