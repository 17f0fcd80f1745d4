"""Genders of body models as files spell them."""

import pytest

from ehps.body.params import genders


def test_words_and_first_letters_of_any_case_are_genders() -> None:
    assert genders(["Male", "f", "N", " female "], 4).tolist() == ["male", "female", "neutral", "female"]
    assert genders("m", 2).tolist() == ["male", "male"]


@pytest.mark.parametrize("word", ["mystery", "", "0", "none"])
def test_other_words_are_refused_whatever_they_begin_with(word: str) -> None:
    with pytest.raises(ValueError, match="unknown gender"):
        genders([word], 1)
