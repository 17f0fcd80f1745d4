"""Body-model files: where they are and what is missing.

SMPL-family files are licensed to each user and cannot be shipped. They lie in one folder, laid out as the
``smplx`` package expects (``FOLDER/smplx/SMPLX_NEUTRAL.npz``); other usual names are accepted.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ehps.body.helper_files import HELPERS, find_helper, read_helper
from ehps.body.model_file import HANDLESS, read_model
from ehps.body.topology import NAMES, SITES, TOPOLOGY
from ehps.errors import BodyModelError
from ehps.genders import GENDERS

ENVIRONMENT = "EHPS_BODY_MODELS"
ALIASES = {
    "smplx": (
        "SMPLX_{upper}.npz",
        "SMPLX_{upper}.pkl",
        "SMPLX_{upper}_2020.npz",
        "{lower}/model.npz",
        "{lower}/model.pkl",
    ),
    "smplh": ("SMPLH_{upper}.pkl", "SMPLH_{upper}.npz", "{lower}/model.npz", "{lower}/model.pkl"),
    "smpl": (
        "SMPL_{upper}.pkl",
        "SMPL_{upper}.npz",
        "basicmodel_{short}_lbs_10_207_0_v1.1.0.pkl",
        "basicmodel_{short}_lbs_10_207_0_v1.0.0.pkl",
    ),
}


LOCKED_HEAD = "models_lockedhead"
"""Folder that ``smplx_lockedhead_20230207.zip`` unpacks to, laid out as a folder of body models itself."""


@dataclass(frozen=True)
class Found:
    """A line of the inventory: a file that may be needed, where it is (None: missing), where to get it."""

    name: str
    path: Path | None
    used_for: str
    source: str
    model: tuple[str, str] | None = None  # model type and gender; None for helper files


def body_models_folder(given: Path | str | None = None) -> Path | None:
    """The folder of body models: ``given``, else the environment's EHPS_BODY_MODELS, else None.

    Raises
    ------
    BodyModelError : a folder was named but does not exist.
    """
    name = given if given is not None else os.environ.get(ENVIRONMENT)
    if not name:
        return None
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise BodyModelError(
            "is not a folder",
            path=folder,
            fix=f"pass --body-models DIR or set {ENVIRONMENT}",
        )
    return folder


def find_model(folder: Path, model_type: str, gender: str) -> Path | None:
    """The file of that model under its usual or an accepted other name; None when there is none."""
    names = [name.lower() for name in _usual_names(model_type, gender)]
    for place in (folder / model_type, folder / "models" / model_type, folder):
        there = _files_below(place)
        for name in names:
            # Folders called by gender right below are those of SMPL-H, as AMASS has it.
            if name in there and not (place == folder and "/" in name and model_type != "smplh"):
                return there[name]
    return None


def locked_head_folder(folder: Path) -> Path | None:
    """Where the locked-head release of SMPL-X lies: :data:`LOCKED_HEAD` in ``folder``, or in a folder in it, or
    ``folder`` itself where it is called so; None when there is none."""
    if folder.name == LOCKED_HEAD:
        return folder
    found = [place for place in (folder / LOCKED_HEAD, *sorted(folder.glob(f"*/{LOCKED_HEAD}"))) if place.is_dir()]
    return found[0] if found else None


def require_locked_head(folder: Path) -> Path:
    """The folder of the locked-head release.

    Raises
    ------
    BodyModelError : it is not there; the message says where to get it.
    """
    place = locked_head_folder(folder)
    if place is not None and any(find_model(place, "smplx", gender) for gender in GENDERS):
        return place
    raise BodyModelError(
        "no SMPL-X model of the locked-head release here, to which these bodies belong; SMPL-X 1.1 has another head "
        "and another shape space",
        path=folder,
        fix=f"download smplx_lockedhead_20230207.zip at {SITES['smplx']} and unpack it here: "
        f"{LOCKED_HEAD}/smplx/SMPLX_NEUTRAL.npz",
    )


def require_model(folder: Path, model_type: str, gender: str) -> Path:
    """The file of that model.

    Raises
    ------
    BodyModelError : there is none; the message says what is there, and where to get it.
    """
    path = find_model(folder, model_type, gender)
    if path is not None:
        return path
    have = [f"{known} {g}" for known in TOPOLOGY for g in GENDERS if find_model(folder, known, g)]
    there = f"there are {', '.join(have)}" if have else "there is no body model at all"
    usual = folder / model_type / _usual_names(model_type, gender)[0]
    raise BodyModelError(
        f"no {gender} {NAMES[model_type]} model here; {there}",
        path=folder,
        fix=f"register and download it at {SITES[model_type]}, and put it at {usual}",
    )


def inventory(folder: Path) -> list[Found]:
    """All model and helper files that ehps can use, found or not."""
    lines = []
    for model_type in TOPOLOGY:
        for gender in GENDERS:
            title, path = f"{NAMES[model_type]} {gender}", find_model(folder, model_type, gender)
            lines.append(Found(title, path, f"{model_type} bodies", SITES[model_type], (model_type, gender)))
    place = locked_head_folder(folder)
    locked = None if place is None else find_model(place, "smplx", "neutral")
    title = f"{NAMES['smplx']} neutral, locked head"
    lines.append(Found(title, locked, "bodies of BEDLAM2", SITES["smplx"], ("smplx", "neutral")))
    for key, helper in HELPERS.items():
        lines.append(Found(helper.names[0], find_helper(folder, key), helper.used_for, helper.source))
    return lines


def release(found: Found) -> tuple[str, str]:
    """The release of a model file of the inventory, in words, and what to do where it has no hands; empty for a helper
    file. The file is read for this.

    Raises
    ------
    BodyModelError, DataError, UnsafeFileError : it cannot be used.
    """
    if found.path is None:
        return "", ""
    if found.model is None:
        read_helper(found.path, sparse=True)
        return "", ""
    model_type, gender = found.model
    model = read_model(found.path, model_type, gender=gender)
    if TOPOLOGY[model_type].left_hand is None or model.has_hands:
        return model.version, ""
    words, fix = HANDLESS[model_type]
    return f"{model.version}, {words}", f"enough where hand poses are absolute; for others, {fix}"


def _usual_names(model_type: str, gender: str) -> list[str]:
    short = gender if gender == "neutral" else gender[0]
    return [alias.format(upper=gender.upper(), lower=gender, short=short) for alias in ALIASES[model_type]]


def _files_below(place: Path) -> dict[str, Path]:
    """Files of a folder and of its direct subfolders, by lower-case relative name."""
    if not place.is_dir():
        return {}
    files = [p for p in sorted(place.glob("*")) if p.is_file()]
    files += [p for p in sorted(place.glob("*/model.*")) if p.is_file()]
    return {p.relative_to(place).as_posix().lower(): p for p in files}
