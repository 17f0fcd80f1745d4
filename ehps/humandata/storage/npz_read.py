"""The members of a HumanData file, whatever generation wrote it, as columns.

Facts: mmhuman3d's class (main and convertors), its files of 2021, and what shipped converters write beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.genders import BY_LETTER
from ehps.humandata.keypoints import CONVENTIONS
from ehps.humandata.passport import Passport
from ehps.humandata.storage.former_names import current, current_summary
from ehps.humandata.storage.npz_values import as_rows, has_rows, numeric, to_plain
from ehps.humandata.storage.npz_write import BODY, is_keypoints
from ehps.humandata.strings import Strings
from ehps.humandata.table import Column, Table

CONSTANTS_UP_TO = 16  # a misc value of N items is per-row data only when N is beyond the size of such constants
TAILS = {
    "global_orient": (3,),
    "transl": (3,),
    "left_hand_pose": (15, 3),
    "right_hand_pose": (15, 3),
    "jaw_pose": (3,),
    "leye_pose": (3,),
    "reye_pose": (3,),
    "betas_extra": (1,),
}
SPELLINGS = {
    "prespective": "perspective",
    "nerual_annot": "neural_annot",
    "provide_by_dataset": "provided_by_dataset",
}


def from_members(values: Mapping[str, Any], where: str) -> Table:
    """Columns, constants and passport of a file's members (0-d arrays already unwrapped).

    Raises
    ------
    DataError : the members are not those of a HumanData file, or contradict each other.
    """
    try:
        return _Reader(values, where).read()
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise DataError(f"holds values that no HumanData file has ({error})", path=where) from error


class _Reader:
    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.where = where
        self.values = {name: value for name, value in values.items() if value is not None}
        optional = self.values.pop("optional", None)
        if isinstance(optional, Mapping):
            self.values.update(optional)
        self.columns: dict[str, Column] = {}
        self.points: dict[str, tuple[str, ...]] = {}
        self.misc: dict[str, Any] = {}
        self.top_level: list[str] = []
        self.n = self._count()

    def fail(self, what: str) -> DataError:
        return DataError(what, path=self.where)

    def read(self) -> Table:
        for name, value in self.values.items():
            if name.startswith("__") or name == "frame_range" or self._belongs_to_points(name):
                continue
            if is_keypoints(name) and isinstance(value, np.ndarray) and value.ndim == 3 and len(value) == self.n:
                self._keypoints(name, value)
            elif name in BODY and isinstance(value, Mapping):
                self._body(name, value)
            elif name == "misc" and isinstance(value, Mapping):
                self._misc(value)
            else:
                self._other(name, value)
        self._frame_range()
        if self.top_level:
            self.misc["ehps_top_level"] = self.top_level
        passport, quality = self._passport()
        self.columns = {current(name): column for name, column in self.columns.items()}
        try:
            return Table(
                self.columns,
                keypoint_names=self.points,
                passport=passport,
                misc=self.misc,
                quality=quality,
            )
        except DataError as error:
            raise self.fail(error.what) from None

    # -- how many ---------------------------------------------------------------------------------------

    def _count(self) -> int:
        for value in self._countable():
            if isinstance(value, np.ndarray | list | tuple) and np.ndim(value) > 0:
                return len(value)
        for name in ("__instance_num__", "__data_len__", "__temporal_len__"):
            if isinstance(self.values.get(name), int) and self.values[name] >= 0:
                return int(self.values[name])
        raise DataError(
            f"holds no bbox_xywh, keypoints, body parameters or image_path; there are: {', '.join(self.values)}",
            path=self.where,
            fix="check that it is a HumanData file",
        )

    def _countable(self) -> Iterator[Any]:
        yield self.values.get("bbox_xywh")
        yield from (value for name, value in self.values.items() if is_keypoints(name))
        for model_type in ("smplx", "smpl", "smplh"):
            body = self.values.get(model_type)
            yield body.get("betas") if isinstance(body, Mapping) else None
        yield self.values.get("image_path")

    # -- keypoints --------------------------------------------------------------------------------------

    def _belongs_to_points(self, name: str) -> bool:
        """Whether this is the mask or the convention of keypoints, which are read together with them."""
        if name == "mask":  # files of 2021 have one for all
            return np.ndim(self.values[name]) == 1 and any(map(is_keypoints, self.values))
        if name in ("keypoints2d_mask", "keypoints3d_mask", "keypoints2d_convention", "keypoints3d_convention"):
            return True
        for ending in ("_mask", "_convention"):
            owner = name.removesuffix(ending)
            if owner != name and is_keypoints(owner) and np.ndim(self.values[name]) <= 1:
                return owner in self.values or ending == "_mask"
        return False

    def _keypoints(self, name: str, value: Array) -> None:
        value = numeric(value)
        width = value.shape[1]
        mask = self._mask(name, width)
        names = self._point_names(name, len(mask) if mask is not None else width)
        if mask is None:
            present = np.asarray((value[..., -1] > 0).any(axis=0))
            there: Array = present if names is not None and present.any() else np.ones(width, bool)
        else:
            there = np.asarray(mask == 1)
        if width == len(there):
            picked = value if there.all() else value[:, there]
        elif width == there.sum():
            picked = value
        else:
            raise self.fail(f"{name} has {width} points, its mask {int(there.sum())} of {len(there)}")
        self.columns[name] = picked
        if names is not None:
            self.points[name] = tuple(point for point, there_is in zip(names, there, strict=True) if there_is)

    def _mask(self, name: str, width: int) -> Array | None:
        for key in (f"{name}_mask", f"{name[: len('keypoints2d')]}_mask", "mask"):
            mask = self.values.get(key)
            if mask is not None and np.ndim(mask) == 1:
                mask = np.asarray(mask)
                if key == f"{name}_mask" or len(mask) == width:
                    return mask
        return None

    def _point_names(self, name: str, width: int) -> tuple[str, ...] | None:
        convention = str(self.values.get(f"{name}_convention", "human_data")).lower()
        layout = CONVENTIONS["human_data"]
        if convention in CONVENTIONS and len(CONVENTIONS[convention]) == width:
            return CONVENTIONS[convention]
        if width in (len(layout), 144):  # files of 2021 have the first 144 slots
            return layout[:width]
        return None

    # -- dicts ------------------------------------------------------------------------------------------

    def _body(self, model_type: str, value: Mapping[str, Any]) -> None:
        for key, item in value.items():
            name = f"{model_type}/{key}"
            if isinstance(item, list | tuple):
                item = np.asarray(item)
            if not isinstance(item, np.ndarray) or item.ndim == 0:
                self.misc[name] = to_plain(item)
                continue
            if len(item) != self.n:
                raise self.fail(f"{name} has {len(item)} rows, the file {self.n}")
            column = as_rows(item)
            tail = TAILS.get(key) or ((23 if model_type == "smpl" else 21, 3) if key == "body_pose" else None)
            if tail and isinstance(column, np.ndarray) and column.size == self.n * int(np.prod(tail)):
                column = column.reshape(self.n, *tail)
            self.columns[name] = column

    def _misc(self, value: Mapping[str, Any]) -> None:
        for key, item in value.items():
            if has_rows(item, self.n) and self.n > CONSTANTS_UP_TO:
                self.columns[f"misc/{key}"] = as_rows(item)
            else:
                plain = to_plain(item)
                key = "cam_param_type" if key == "camera_param_type" else str(key)
                self.misc[key] = SPELLINGS.get(plain, plain) if isinstance(plain, str) else plain

    def _other(self, name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                self._other(f"{name}/{key}", item)
        elif name == "config":
            self.misc["config"] = str(value)
        elif has_rows(value, self.n):
            column = as_rows(value)
            if name.endswith("bbox_xywh") and isinstance(column, np.ndarray) and column.shape[1:] == (4,):
                column = np.concatenate([column, np.ones((self.n, 1), column.dtype)], axis=1)
            if name == "meta/gender" and isinstance(column, Strings):
                column = Strings.of(BY_LETTER.get(word.lower(), word) for word in column)
            self.columns[name] = column
        else:
            self.misc[name] = to_plain(value)
            if not name.startswith("meta/"):
                self.top_level.append(name)

    # -- what the numbers mean --------------------------------------------------------------------------

    def _frame_range(self) -> None:
        """Rows of each image; kept as a column only when it says more than ``image_path`` does."""
        if "frame_range" not in self.values:
            return
        ranges = np.asarray(self.values["frame_range"])
        if ranges.ndim != 2 or ranges.shape[1:] != (2,) or ranges.dtype.kind not in "iu":
            raise self.fail("frame_range is not (F, 2) integers")
        starts, ends = ranges[:, 0] - ranges[:1, 0].sum(), ranges[:, 1] - ranges[:1, 0].sum()
        if len(ranges) == 0 or (starts[1:] != ends[:-1]).any() or (ends < starts).any() or ends[-1] != self.n:
            raise self.fail(f"frame_range does not divide its {self.n} instances into images")
        image = np.repeat(np.arange(len(ranges), dtype=np.int32), ends - starts)
        paths = self.columns.get("image_path")
        if isinstance(paths, Strings) and self.n:
            changes = np.concatenate([[0], np.cumsum(np.diff(Strings.of(paths).codes) != 0)])
            if np.array_equal(changes, image):
                return
        self.columns["meta/image_index"] = image

    def _passport(self) -> tuple[Passport, dict[str, Any]]:
        flat = self.misc.pop("flat_hand_mean", None)
        stated = self.misc.pop("ehps_passport", None)
        quality = self.misc.pop("ehps_certificate", None)
        self.misc.pop("ehps_format", None)
        try:
            summary = current_summary(json.loads(quality)) if quality else {}
            passport = Passport.from_dict(json.loads(stated)) if stated else self._inferred()
        except (TypeError, ValueError, AttributeError):
            raise self.fail("its ehps_passport or ehps_certificate is not JSON") from None
        return passport if flat is None else passport.with_(flat_hand_mean=bool(flat)), summary

    def _inferred(self) -> Passport:
        model_type = next(
            (model_type for model_type in ("smplx", "smplh", "smpl") if f"{model_type}/betas" in self.columns), None
        )
        betas = self.columns.get(f"{model_type}/betas")
        return Passport(
            body_model=model_type,
            body_model_version="unknown" if model_type else None,
            num_betas=betas.shape[1] if isinstance(betas, np.ndarray) and betas.ndim == 2 else None,
            gender=("per-instance" if "meta/gender" in self.columns else "unknown") if model_type else None,
            dataset=self.misc.get("config", "unknown"),
        )
