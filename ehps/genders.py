"""The genders that body models have, and the letters that files shorten them to."""

from __future__ import annotations

GENDERS = ("neutral", "male", "female")
BY_LETTER = {gender[0]: gender for gender in GENDERS}
BY_WORD = BY_LETTER | {gender: gender for gender in GENDERS}
