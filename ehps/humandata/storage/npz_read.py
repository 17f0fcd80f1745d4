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
from ehps.genders import BY_LETTER, BY_WORD
from ehps.humandata.frames import one_for_all
from ehps.humandata.keypoints import CONVENTIONS
from ehps.humandata.passport import PER_INSTANCE, UNKNOWN, Passport
from ehps.humandata.storage.former_names import current, current_summary
from ehps.humandata.storage.header_form import PASSPORT
from ehps.humandata.storage.npz_values import as_rows, has_rows, numeric, to_plain
from ehps.humandata.storage.npz_write import BODY, COPIES, FRAME_RANGE, is_keypoints
from ehps.humandata.strings import BACKSLASH, Strings, with_slashes
from ehps.humandata.table import Column, Table
from ehps.json_files import misfit

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
COEFFICIENTS = ("betas", "betas_neutral", "expression")
VIRTUAL_CAMERAS = ("predicted_camera", "eft_camera")
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
    reader = _Reader(values, where)
    try:
        return reader.read()
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise reader.fail(f"holds values in {reader.member} that no HumanData file has there") from error


class _Reader:
    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.where, self.member = where, "its members"
        self.values = {name: value for name, value in values.items() if value is not None}
        optional = self.values.pop("optional", None)
        self.ranges = "top"
        if isinstance(optional, Mapping):
            self.ranges = "optional" if "frame_range" in optional else "top"
            self.values.update(optional)
        for name in self.values:
            self.member = name
            self.values[name] = self._by_key(name)
        self.columns: dict[str, Column] = {}
        self.points: dict[str, tuple[str, ...]] = {}
        self.misc: dict[str, Any] = {}
        self.top_level: list[str] = []
        self.n = 0

    def fail(self, what: str) -> DataError:
        return DataError(what, path=self.where)

    def read(self) -> Table:
        self.n = self._count()
        for name, value in self.values.items():
            self.member = name
            if name.startswith("__") or name == "frame_range" or self._belongs_to_points(name):
                continue
            if is_keypoints(name) and isinstance(value, np.ndarray) and value.ndim == 3 and len(value) == self.n:
                self._keypoints(name, value)
            elif name in BODY and isinstance(value, Mapping):
                self._body(name, value)
            elif name == "misc":
                self._misc(value)
            else:
                self._other(name, value)
        self.member = "frame_range"
        self._frame_range()
        self.member = "misc"
        if self.top_level:
            self.misc["ehps_top_level"] = self.top_level
        if "ehps_passport" in self.misc:
            self._drop_copies()
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

    def _by_key(self, name: str) -> Any:
        """A member as it is, or as one dict of lists when it is a list of dicts, one a row."""
        value = self.values[name]
        rows = value if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim) else ()
        odd = next((row for row, item in enumerate(rows) if not isinstance(item, Mapping)), None)
        if odd is not None and name in BODY:
            raise self.fail(f"{name} is neither a dict of arrays nor one dict a row: row {odd} has none")
        if odd is not None or not len(rows):
            return value
        keys = list(dict.fromkeys(key for item in value for key in item))
        for key in keys if name in BODY else ():
            lacking = [row for row, item in enumerate(value) if item.get(key) is None]
            if lacking:
                raise self.fail(f"{name} is one dict a row, and that of row {lacking[0]} has no {key}, as others have")
        return {str(key): [item.get(key) for item in value] for key in keys}

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
            if not isinstance(item, list | tuple | np.ndarray) or (isinstance(item, np.ndarray) and item.ndim == 0):
                self.misc[name] = to_plain(item)
                continue
            if len(item) != self.n:
                raise self.fail(f"{name} has {len(item)} rows, the file {self.n}")
            column = as_rows(item) if len(item) else np.asarray(item)
            if isinstance(column, Strings) and not all(isinstance(value, str) for value in item):
                raise self.fail(f"{name} is not an array of numbers of one shape for all rows")
            tail = TAILS.get(key) or ((23 if model_type == "smpl" else 21, 3) if key == "body_pose" else None)
            if tail and isinstance(column, np.ndarray) and column.size == self.n * int(np.prod(tail)):
                column = column.reshape(self.n, *tail)
            elif key in COEFFICIENTS and isinstance(column, np.ndarray) and column.shape[1:-1] == (1,):
                column = column[:, 0]
            self.columns[name] = column

    def _misc(self, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise self.fail(f"misc holds a {type(value).__name__}, not a dict of facts")
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
        elif has_rows(value, self.n) and not one_for_all(name, value):
            column = as_rows(value)
            if name.endswith("bbox_xywh") and isinstance(column, np.ndarray) and column.shape[1:] == (4,):
                column = np.concatenate([column, np.ones((self.n, 1), column.dtype)], axis=1)
            if name == "image_path" and isinstance(column, Strings) and (column.vocabulary.blob == BACKSLASH).any():
                column = Strings.of(map(with_slashes, column))
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
        last = int(ends[-1]) if len(ends) else 0
        if (starts[1:] != ends[:-1]).any() or (ends < starts).any() or last != self.n:
            raise self.fail(f"frame_range does not divide its {self.n} instances into images")
        self.misc[FRAME_RANGE] = self.ranges
        image = np.repeat(np.arange(len(ranges), dtype=np.int32), ends - starts)
        paths = self.columns.get("image_path")
        if isinstance(paths, Strings) and self.n:
            changes = np.concatenate([[0], np.cumsum(np.diff(Strings.of(paths).codes) != 0)])
            if np.array_equal(changes, image):
                return
        self.columns["meta/image_index"] = image

    def _drop_copies(self) -> None:
        """Leave out what our writer stores a second time under the names that other programs look for."""
        for copy, name in COPIES.items():
            again, points = self.columns.get(copy), self.columns.get(name)
            if not isinstance(again, np.ndarray) or not isinstance(points, np.ndarray):
                continue
            if np.array_equal(again, points, equal_nan=True) and self.points.get(copy) == self.points.get(name):
                del self.columns[copy]
                self.points.pop(copy, None)

    def _passport(self) -> tuple[Passport, dict[str, Any]]:
        flat = self.misc.pop("flat_hand_mean", None)
        if flat not in (None, True, False):
            raise self.fail(f"flat_hand_mean is {flat!r}, neither True nor False")
        stated = self.misc.pop("ehps_passport", None)
        quality = self.misc.pop("ehps_certificate", None)
        self.misc.pop("ehps_format", None)
        try:
            summary = current_summary(json.loads(quality)) if quality else {}
            values = json.loads(stated) if stated else {}
            if wrong := misfit(values, PASSPORT, "its ehps_passport"):
                raise self.fail(wrong)
            passport = Passport.from_dict(values) if stated else self._inferred()
        except (TypeError, ValueError, AttributeError):
            raise self.fail("its ehps_passport or ehps_certificate is not what ehps writes") from None
        return passport if flat is None else passport.with_(flat_hand_mean=bool(flat)), summary

    def _inferred(self) -> Passport:
        """What a file of others shows of its meaning; the rest is unknown."""
        model_type = next(
            (model_type for model_type in ("smplx", "smplh", "smpl") if f"{model_type}/betas" in self.columns), None
        )
        betas = self.columns.get(f"{model_type}/betas")
        gender = BY_WORD.get(str(self.misc.get("meta/gender")).lower(), UNKNOWN)
        return Passport(
            body_model=model_type,
            body_model_version=UNKNOWN if model_type else None,
            num_betas=betas.shape[1] if isinstance(betas, np.ndarray) and betas.ndim == 2 else None,
            gender=(PER_INSTANCE if "meta/gender" in self.columns else gender) if model_type else None,
            frame=UNKNOWN,
            units=UNKNOWN,
            focal="virtual" if self.misc.get("cam_param_type") in VIRTUAL_CAMERAS else UNKNOWN,
            dataset=str(self.misc.get("config", UNKNOWN)),
            sampling=0,
        )
