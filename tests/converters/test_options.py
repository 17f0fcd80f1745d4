"""Options of a converter: what may be given, what it stands for, and what is said of anything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_dataset import CARD

from ehps.converters import cards, options, registry
from ehps.converters.base import Converter, Instances, Unit, no_instances
from ehps.converters.options import Option
from ehps.converters.pipeline import convert
from ehps.errors import UsageError

FITS = Option(
    "fits", "which fits", {"train": "eft", "test": "none"}, choices={"train": ("eft", "none"), "test": ("none",)}
)
OPTIONS = (
    FITS,
    options.cameras(("left", "right", "top"), "cameras to take"),
    options.interval("keeps every N-th frame", {"train": "5", "test": "64"}),
    Option("exclude", "recordings to leave out", "", "names"),
    Option("list", "a text file", "", "text"),
)


class Options(Converter):
    card = replace(CARD, options=OPTIONS)

    def units(self) -> list[Unit]:
        raise AssertionError("something was read")

    def read(self, unit: Unit) -> Instances:
        return no_instances()


def option(name: str, split: str = "train", there: tuple[str, ...] = (), **given: str) -> Any:
    return Options(Path(), split, given).option(name, there)


def test_an_option_that_is_not_given_has_the_default_of_the_split() -> None:
    assert [option("fits"), option("fits", "test")] == ["eft", "none"]
    assert [option("interval"), option("interval", "test")] == [5, 64]
    assert option("cameras") == ("left", "right", "top")
    assert [option("exclude"), option("list")] == [(), ""]


def test_names_come_in_the_order_of_what_there_is() -> None:
    assert option("cameras", cameras="top, left") == ("left", "top")
    assert option("exclude", there=("a", "b", "c"), exclude="c,a") == ("a", "c")
    assert option("exclude", there=("a", "b"), exclude="all") == ("a", "b")


@pytest.mark.parametrize(
    ("given", "split", "words"),
    [
        ({"fits": "spin"}, "train", r"fits=spin: Hall \(train\) has eft, none"),
        ({"fits": "eft"}, "test", r"fits=eft: Hall \(test\) has none"),
        ({"cameras": "left,down"}, "train", r"cameras=left,down: Hall \(train\) has no 'down', but left, right, top"),
        ({"cameras": ""}, "train", "cameras=: names are needed"),
        ({"interval": "0"}, "train", "interval=0: a whole number from 1 on"),
        ({"interval": "1.5"}, "train", "interval=1.5"),
        ({"colour": "red"}, "train", "Hall has no option colour. It has fits, cameras, interval, exclude, list"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_read(
    tmp_path: Path, given: dict[str, str], split: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        convert(Options, tmp_path / "nowhere", split, tmp_path / "x.h5", options=given, progress=False)


def test_names_that_only_the_files_know_are_checked_against_them() -> None:
    with pytest.raises(UsageError, match=r"exclude=b: Hall .* has no 'b', but a"):
        option("exclude", there=("a",), exclude="b")


def test_a_default_that_the_option_does_not_have_is_no_card() -> None:
    with pytest.raises(UsageError, match="fits=eft"):
        replace(CARD, options=(replace(FITS, default="eft"),))


def test_the_page_shows_values_defaults_and_meaning() -> None:
    page = cards.page("h36m")
    assert "| cameras | all, or some of 1, 2, 3, 4 | train: all; test: 4 | " in page
    assert "| interval | a whole number from 1 on | train: 5; test: 64 | takes every N-th frame " in page
    assert "| cameras | all, or some of 0 to 47 | all | " in cards.page("renbody")
    assert "| fits | train: eft; test: eft, none; val: none | " in cards.page("ochuman")
    assert "--option" not in cards.page("bedlam")
    assert cards.as_dict("h36m")["options"][0]["default"] == {"train": "all", "test": "4"}


@pytest.mark.parametrize("card", [card for card in registry.cards() if card.options], ids=lambda card: card.id)
def test_options_of_a_card_have_one_meaning_each(card: Any) -> None:
    names = [option.name for option in card.options]
    assert len(set(names)) == len(names)
    assert not any(option.meaning.endswith(".") or "default" in option.meaning for option in card.options)
