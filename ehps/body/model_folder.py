"""Body-model files: where they are and what is missing.

SMPL-family files are licensed to each user and cannot be shipped. They lie in one folder, laid out as the
``smplx`` package expects (``FOLDER/smplx/SMPLX_NEUTRAL.npz``); other usual names are accepted.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ehps.body.helper_files import (
    HELPERS,
    extra_regressor,
    find_helper,
    h36m_regressor,
    j14_regressor,
    kid_template,
    read_helper,
    smplx_to_smpl,
    vertex_ids,
)
from ehps.body.model_file import BodyModel, read_model
from ehps.body.topology import GENDERS, NAMES, SITES, TOPOLOGY
from ehps.errors import BodyModelError

__all__ = [
    "BodyModel",
    "BodyModels",
    "Found",
    "body_models_folder",
    "extra_regressor",
    "h36m_regressor",
    "j14_regressor",
    "kid_template",
    "read_model",
    "smplx_to_smpl",
    "vertex_ids",
]

ENVIRONMENT = "EHPS_BODY_MODELS"
ALIASES = {
    "smplx": ("SMPLX_{upper}.npz", "SMPLX_{upper}.pkl", "SMPLX_{upper}_2020.npz"),
    "smplh": ("SMPLH_{upper}.pkl", "SMPLH_{upper}.npz", "{lower}/model.npz", "{lower}/model.pkl"),
    "smpl": (
        "SMPL_{upper}.pkl",
        "SMPL_{upper}.npz",
        "basicmodel_{short}_lbs_10_207_0_v1.1.0.pkl",
        "basicmodel_{short}_lbs_10_207_0_v1.0.0.pkl",
    ),
}
SHORT = {"male": "m", "female": "f", "neutral": "neutral"}


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


class BodyModels:
    """The body models of one folder; each file is read at most once."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._read: dict[tuple[str, str], BodyModel] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "_read": {}}

    def find(self, model_type: str, gender: str) -> Path | None:
        """The file of that model under its usual or an accepted other name; None when there is none."""
        short = SHORT[gender]
        names = [alias.format(upper=gender.upper(), lower=gender, short=short).lower() for alias in ALIASES[model_type]]
        for place in (self.folder / model_type, self.folder / "models" / model_type, self.folder):
            there = _files_below(place)
            for name in names:
                if name in there:
                    return there[name]
        return None

    def get(self, model_type: str, gender: str) -> BodyModel:
        """The model of that model type and gender.

        Raises
        ------
        BodyModelError : there is no such file, or it holds another model type.
        """
        key = (model_type, gender)
        if key not in self._read:
            self._read[key] = self.read(model_type, gender)
        return self._read[key]

    def read(self, model_type: str, gender: str) -> BodyModel:
        """As :meth:`get`, without keeping the (hundred megabytes of) arrays for the next caller."""
        if (model_type, gender) in self._read:
            return self._read[model_type, gender]
        path = self.find(model_type, gender)
        if path is None:
            raise self._missing(model_type, gender)
        return read_model(path, model_type, gender=gender)

    def has(self, model_type: str, gender: str) -> bool:
        return self.find(model_type, gender) is not None

    def inventory(self) -> list[Found]:
        """All model and helper files that ehps can use, found or not."""
        lines = []
        for model_type in TOPOLOGY:
            for gender in GENDERS:
                title, path = f"{NAMES[model_type]} {gender}", self.find(model_type, gender)
                lines.append(Found(title, path, f"{model_type} bodies", SITES[model_type], (model_type, gender)))
        for key, helper in HELPERS.items():
            path = find_helper(self.folder, key)
            lines.append(Found(helper.names[0], path, helper.used_for, helper.source))
        return lines

    def check(self, found: Found) -> str:
        """The release of a model file of the inventory, which is read for this; empty for a helper file.

        Raises
        ------
        BodyModelError, DataError, UnsafeFileError : it cannot be used.
        """
        if found.model is None:
            if found.path is not None:
                read_helper(found.path)
            return ""
        return self.read(*found.model).version

    def _missing(self, model_type: str, gender: str) -> BodyModelError:
        have = [f"{k} {g}" for k in TOPOLOGY for g in GENDERS if self.find(k, g)]
        usual = ALIASES[model_type][0].format(upper=gender.upper(), lower=gender, short=SHORT[gender])
        there = f"there are {', '.join(have)}" if have else "there is no body model at all"
        return BodyModelError(
            f"no {gender} {NAMES[model_type]} model here; {there}",
            path=self.folder,
            fix=f"register and download it at {SITES[model_type]}, and put it at {self.folder / model_type / usual}",
        )


def _files_below(place: Path) -> dict[str, Path]:
    """Files of a folder and of its direct subfolders, by lower-case relative name."""
    if not place.is_dir():
        return {}
    files = [p for p in sorted(place.glob("*")) if p.is_file()]
    files += [p for p in sorted(place.glob("*/model.*")) if p.is_file()]
    return {p.relative_to(place).as_posix().lower(): p for p in files}
