"""What several tables have in common, so that their rows can be put together without losing what the rows mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ehps.errors import PassportError
from ehps.genders import GENDERS
from ehps.humandata.passport import Passport
from ehps.humandata.strings import Strings, Vocabulary
from ehps.humandata.table import Table

GENDER = "meta/gender"  # of the body model
SUBJECT = "meta/subject_gender"  # of the person
PER_INSTANCE = "per-instance"

AnyTable = TypeVar("AnyTable", bound=Table)


def common_misc(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Facts that hold in every part."""
    return {key: value for key, value in parts[0].items() if all(key in part and part[key] == value for part in parts)}


def common_columns(parts: Sequence[Sequence[str]]) -> list[str]:
    """Names that every part has, in the order of the first."""
    return [name for name in parts[0] if all(name in part for part in parts)]


def need_gender_rows(passports: Sequence[Passport]) -> bool:
    """Whether each row must name the gender of its body model once the tables of these passports are one: they differ
    in it, or say that rows name it."""
    stated = {passport.gender for passport in passports}
    return len(stated) > 1 or stated == {PER_INSTANCE}


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
        raise PassportError(
            f"does not say which gender's body model its parameters belong to (its passport says {gender})",
            path=table.source,
            fix=f"add a column {GENDER} with male, female or neutral for every row",
        )
    columns = {GENDER: Strings(np.zeros(len(table), np.int32), Vocabulary.of([gender]))}
    if GENDER in table and not table[GENDER].equals(gender).all():
        columns[SUBJECT] = table[GENDER]
    return table.with_columns(columns)
