"""HumanData: N person instances as columns. One object, two storages (``.h5`` and ``.npz``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ehps.errors import UsageError
from ehps.humandata import merging, quality
from ehps.humandata.quality_table import COLUMNS
from ehps.humandata.strings import Strings
from ehps.humandata.table import Column, Table

if TYPE_CHECKING:
    import pandas as pd

    from ehps.humandata.validation import Problem


class HumanData(Table):
    """N person instances, one row each, as named columns.

    Columns have flat names: ``image_path``, ``bbox_xywh``, ``smplx/body_pose``, ``keypoints2d_smplx``,
    ``meta/gender``; :mod:`ehps.humandata.schema` states shape, unit and meaning of each. Texts are
    :class:`~ehps.humandata.strings.Strings`, everything else numpy arrays whose first axis is the instance.

    Keypoint columns are (N, K, 3) or (N, K, 4), confidence last, and carry the names of their K points in
    ``keypoint_names``; conversion between conventions is by name only.

    Parameters
    ----------
    columns : name -> array (N, ...), ``Strings``, or list of str.
    keypoint_names : keypoint column -> its K point names.
    passport : what the numbers mean; see :class:`~ehps.humandata.passport.Passport`.
    misc : facts that hold for the whole file (``bbox_source``, ...), JSON-able values.
    quality : summary of what was measured on conversion, JSON-able.

    Examples
    --------
    >>> hd = HumanData({"image_path": ["a.jpg", "b.jpg"], "bbox_xywh": np.ones((2, 5), np.float32)})
    >>> len(hd), hd["image_path"][1], hd[[1]]["bbox_xywh"].shape
    (2, 'b.jpg', (1, 5))
    """

    __slots__ = ()

    @staticmethod
    def concat(parts: Sequence[HumanData]) -> HumanData:
        """All rows of ``parts``, in order; columns that every part with rows has.

        Raises
        ------
        PassportError : the parts' passports give their numbers different meanings, or the genders of their body
            models differ and one does not say which it has.
        """
        if not parts:
            raise UsageError("nothing to concatenate")
        parts = [part for part in parts if len(part)] or parts[:1]
        passport = merging.joint_passport([merging.Outline.of(part) for part in parts])
        if merging.need_gender_rows([part.passport for part in parts]):
            parts = [merging.with_gender_rows(part) for part in parts]
        if kids := next((name for part in parts for name in part.columns if name.endswith(merging.KID)), None):
            parts = [merging.with_kid_weights(part, kids) for part in parts]
        if bent := merging.distortions(parts):
            parts = [merging.with_distortion(part, bent) for part in parts]
        points: dict[str, tuple[str, ...]] = {}
        columns: dict[str, Column] = {}
        for name in merging.common_columns([part.columns for part in parts]):
            values = [part[name] for part in parts]
            if name in parts[0].keypoint_names:
                points[name] = tuple(dict.fromkeys(p for part in parts for p in part.keypoint_names[name]))
                if any(part.keypoint_names[name] != points[name] for part in parts):
                    values = [part.keypoints(name, points[name]) for part in parts]
            columns[name] = Strings.concat(values) if isinstance(values[0], Strings) else np.concatenate(values)
        return HumanData(
            columns,
            keypoint_names=points,
            passport=passport,
            misc=merging.common_misc([part.misc for part in parts]),
            quality=quality.of_rows(parts),
        )

    # -- files --------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, path: str | Path) -> HumanData:
        """Open an ``.h5`` (memory-mapped: nothing is read until a column is touched), an ``.npz``, or a ``.pkl`` that
        mmhuman3d's class wrote with ``dump_by_pickle``.

        Raises
        ------
        DataError : the file is absent, damaged, or of none of these formats.
        UnsafeFileError : a pickle in it asks for anything but plain data.
        """
        if Path(path).suffix.lower() == ".pkl":
            from ehps.humandata.storage.npz import read_pickle_dump

            table = read_pickle_dump(path)
        else:
            table = _storage(path).read(Path(path))
        return cls._trusted(table._columns, len(table), table)

    def save(self, path: str | Path) -> Path:
        """Write to ``path`` (``.h5`` or ``.npz``), atomically: a temporary file beside it, then a rename.

        The summary of quality is made anew when it is of other rows than these.
        """
        storage, hd = _storage(path), self
        summarised = self.quality.get("rows", self._length)
        if summarised != self._length and all(name in self for name in COLUMNS):
            hd = self[:]
            hd.quality = quality.of_rows([self])
        storage.write(hd, Path(path))
        return Path(path)

    def validate(self, images: str | Path | None = None) -> list[Problem]:
        """Everything that contradicts the schema; empty when there is nothing.

        Parameters
        ----------
        images : folder that ``image_path`` is relative to; images that are not there, cannot be read, or have another
            size than their rows say are named too.
        """
        from ehps.humandata.validation import problems

        return problems(self, images)

    def to_frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A pandas frame, one row an instance; an array becomes columns ``name.0``, ``name.1`` ....

        Without ``columns``: everything but keypoints and body parameters.
        """
        from ehps.humandata.dataframe import to_frame

        return to_frame(self, columns)


def _storage(path: str | Path) -> Any:
    suffix = Path(path).suffix.lower()
    if suffix == ".h5":
        from ehps.humandata.storage import h5

        return h5
    if suffix == ".npz":
        from ehps.humandata.storage import npz

        return npz
    raise UsageError("a HumanData file ends in .h5 or .npz", path=path)
