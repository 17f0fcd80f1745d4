"""What several tables have in common, so that their rows can be put together without losing what the rows mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ehps.errors import DataError, PassportError
from ehps.genders import GENDERS
from ehps.humandata import frames
from ehps.humandata.passport import CAMERA, FRAME_FIX, PER_INSTANCE, UNITS, Passport, merged_passport
from ehps.humandata.schema import FISHEYE
from ehps.humandata.strings import Strings, Vocabulary
from ehps.humandata.table import Table

GENDER = "meta/gender"  # of the body model
SUBJECT = "meta/subject_gender"  # of the person
KID = "/betas_extra"  # weights of the kid template; a file without them has adults only
DISTORTION = "meta/dist_coeffs"
ROOT_ALIGNED = "kps3d_root_aligned"

AnyTable = TypeVar("AnyTable", bound=Table)


def common_misc(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Facts that hold in every part."""
    return {key: value for key, value in parts[0].items() if all(key in part and part[key] == value for part in parts)}


def common_columns(parts: Sequence[Sequence[str]]) -> list[str]:
    """Names that every part has, in the order of the first."""
    return [name for name in parts[0] if all(name in part for part in parts)]


@dataclass(frozen=True)
class Outline:
    """What is known of a table once it is closed again."""

    path: Path | None
    rows: int
    columns: tuple[str, ...]
    passport: Passport
    misc: dict[str, Any]
    extrinsics: tuple[str, ...]

    @classmethod
    def of(cls, table: Table) -> Outline:
        extrinsics = tuple(frames.extrinsic_names(table))
        return cls(table.source, len(table), table.columns, table.passport, table.misc, extrinsics)


def joint_passport(outlines: Sequence[Outline]) -> Passport:
    """What the numbers of all tables mean together.

    Raises
    ------
    PassportError : they have different meanings; or bodies of an unknown frame have extrinsics beside them, by which
        they could be moved to the camera and which do not all have; or some have 3D points that start at the root, or
        images of a fisheye lens.
    """
    passport = merged_passport([_comparable(outline) for outline in outlines], [outline.path for outline in outlines])
    _check_roots([outline for outline in outlines if any(name.startswith("keypoints3d") for name in outline.columns)])
    for outline in outlines[1:]:
        _check_lenses(outlines[0], outline)
        if passport.frame != CAMERA:
            _check_extrinsics(outlines[0], outline)
    return passport


def _check_roots(outlines: Sequence[Outline]) -> None:
    aligned = [outline for outline in outlines if outline.misc.get(ROOT_ALIGNED)]
    if len(aligned) not in (0, len(outlines)):
        named = ", ".join(str(outline.path) for outline in aligned if outline.path) or "some"
        raise PassportError(
            f"the 3D points of {named} start at the root ({ROOT_ALIGNED}), those of the others at the camera",
            fix="leave the keypoints3d columns of one of them out (HumanData.without)",
        )


def _check_extrinsics(one: Outline, other: Outline) -> None:
    """Raise when extrinsics, by which bodies of an unknown frame are moved to the camera, are not there in both."""
    if odd := sorted(set(one.extrinsics) ^ set(other.extrinsics)):
        raise PassportError(
            f"has no {odd[0]}, by which the others' bodies, whose frame is not known, are moved to the camera",
            path=(other if odd[0] in one.extrinsics else one).path,
            fix=FRAME_FIX,
        )
    for name in one.extrinsics:
        if one.misc.get(name) != other.misc.get(name):
            raise PassportError(
                f"{one.path} and {other.path} have different {name} for all their rows, and the frame of their bodies "
                "is not known",
                fix=FRAME_FIX,
            )


def _check_lenses(one: Outline, other: Outline) -> None:
    """Raise when only one has images of a fisheye lens: no coefficients of it say that there is none."""
    if (FISHEYE in one.columns) != (FISHEYE in other.columns):
        with_it, without = (one, other) if FISHEYE in one.columns else (other, one)
        raise PassportError(
            f"has images of a fisheye lens, {without.path or 'the others'} has none",
            path=with_it.path,
            fix="train on both files, which need not be one, or convert it for undistorted images",
        )


def _comparable(outline: Outline) -> Passport:
    """The passport of a table; one that has no numbers in any frame can be put to those of every frame."""
    if frames.posed_columns(outline.columns):
        return outline.passport
    return outline.passport.with_(frame=CAMERA, units=UNITS)


def need_gender_rows(passports: Sequence[Passport]) -> bool:
    """Whether each row must name the gender of its body model once the tables of these passports are one: they differ
    in it, or say that rows name it."""
    stated = {passport.gender for passport in passports}
    return len(stated) > 1 or stated == {PER_INSTANCE}


def unknown_gender(table: Table) -> PassportError:
    """The error of a file whose body parameters may belong to any gender's model."""
    return PassportError(
        f"does not say which gender's body model its parameters belong to (its passport says {table.passport.gender})",
        path=table.source,
        fix="if it is one for all rows, say so: `ehps humandata convert FILE --declare gender=neutral --out NEW`; "
        f"otherwise add a column {GENDER} with male, female or neutral for every row",
    )


def with_gender_rows(table: AnyTable) -> AnyTable:
    """``table`` with ``meta/gender`` of the body model that each row's parameters belong to.

    Where the passport states one gender for all rows it decides, and a ``meta/gender`` that says otherwise is that of
    the person: it becomes ``meta/subject_gender``.

    Raises
    ------
    PassportError : there are body parameters, but neither passport nor rows say of which gender's model.
    """
    gender = table.passport.gender
    if table.body_model is None or (gender not in GENDERS and GENDER in table):
        return table
    if gender not in GENDERS:
        raise unknown_gender(table)
    columns = {GENDER: Strings(np.zeros(len(table), np.int32), Vocabulary.of([gender]))}
    if GENDER in table and not table[GENDER].equals(gender).all():
        columns[SUBJECT] = table[GENDER]
    return table.with_columns(columns)


def with_kid_weights(table: AnyTable, name: str) -> AnyTable:
    """``table`` with the column ``name`` of kid template weights: 0, an adult, where it has none."""
    if name in table or f"{name.removesuffix(KID)}/betas" not in table:
        return table
    return table.with_columns({name: np.zeros((len(table), 1), np.float32)})


def distortions(tables: Iterable[Table]) -> int:
    """Most distortion coefficients a row that any of the tables has; 0 where none has any.

    Raises
    ------
    DataError : the column of one is no row of numbers each.
    """
    most = 0
    for table in tables:
        if DISTORTION in table:
            column = table[DISTORTION]
            if not isinstance(column, np.ndarray) or column.ndim != 2:
                raise DataError(f"{DISTORTION} is not one list of numbers a row", path=table.source)
            most = max(most, column.shape[1])
    return most


def with_distortion(table: AnyTable, count: int) -> AnyTable:
    """``table`` with ``count`` distortion coefficients a row: zeros, a pinhole, where it has fewer or none."""
    known = np.asarray(table[DISTORTION]) if DISTORTION in table else np.zeros((len(table), 0), np.float32)
    if known.shape[1] == count:
        return table
    return table.with_columns({DISTORTION: np.pad(known, ((0, 0), (0, count - known.shape[1])))})
