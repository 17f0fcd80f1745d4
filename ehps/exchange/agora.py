"""What AGORA's server takes: a folder of pickles, one a person; see :mod:`ehps.benchmark.suites.agora_files`."""

from __future__ import annotations

from pathlib import Path

from ehps.benchmark.suites import agora_export, agora_files
from ehps.body.topology import POSE_PARTS
from ehps.errors import DataError, UsageError
from ehps.exchange.forms import Sources, Stated, Written, not_held
from ehps.humandata.core import HumanData


def recognise(path: Path) -> bool:
    """Whether a folder, or ``predictions`` in it, holds such pickles."""
    folders = (path, path / "predictions")
    return any(agora_files.NAME.fullmatch(file.name) for folder in folders for file in folder.glob("*.pkl"))


def read(path: Path, stated: Stated, images: Path | None = None) -> HumanData:
    """People of such a folder, by image and number.

    Raises
    ------
    UsageError : the files hold meshes.
    DataError, UnsafeFileError : a file is none that the server takes.
    """
    del stated, images
    if not path.is_dir():
        raise DataError("is no folder of AGORA's prediction files", path=path, fix="give the folder of the pickles")
    hd, meshes = agora_files.read(path)
    if meshes is not None:
        raise UsageError(
            "holds meshes, and HumanData files hold parameters",
            path=path,
            fix="`ehps benchmark score` takes the folder",
        )
    return hd


def write(hd: HumanData, out: Path, sources: Sources) -> Written:
    """Write the people of a file as the server's pickles.

    Raises
    ------
    UsageError : body models are not known, or ``out`` has pickles already.
    DataError, PassportError : the server would refuse the people, or read something else in them.
    """
    if sources.body_models is None:
        raise UsageError("pixels of joints are made with body models", path=hd.source, fix="--body-models DIR")
    agora_export.export(hd, out, sources.body_models)
    model_type = hd.body_model or ""
    names = [*POSE_PARTS.get(model_type, ()), "betas", "betas_extra", "transl", "expression"]
    held = {"image_path", "meta/person_id", "meta/gender", agora_files.GIVEN, *(f"{model_type}/{n}" for n in names)}
    return Written(sorted(out.glob("*.pkl")), not_held(hd, held))
