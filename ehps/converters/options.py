"""Options of a converter (``--option name=value``): declared on its card, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ehps.errors import UsageError

OptionType = Literal["choice", "names", "number", "text"]
ALL = "all"


@dataclass(frozen=True)
class Option:
    """One option of a dataset.

    Attributes
    ----------
    name : as on the command line.
    meaning : what it chooses, a sentence without a full stop.
    default : as it would be written on the command line, or one for each split.
    type : ``choice`` is one of ``choices``; ``names`` are some of ``choices`` with commas between them, or ``all``;
        ``number`` is a whole number from 1 on; ``text`` is anything.
    choices : what there is to choose from, or that of each split; empty for names that only the files know.
    """

    name: str
    meaning: str
    default: str | Mapping[str, str]
    type: OptionType = "choice"
    choices: tuple[str, ...] | Mapping[str, tuple[str, ...]] = ()

    def choices_of(self, split: str) -> tuple[str, ...]:
        return self.choices if isinstance(self.choices, tuple) else self.choices[split]

    def default_of(self, split: str) -> str:
        return self.default if isinstance(self.default, str) else self.default[split]

    def values_of(self, split: str) -> str:
        """In words, what may be given."""
        choices = self.choices_of(split)
        known = ", ".join(choices)
        if len(choices) > 4 and choices[0].isdecimal():
            run = range(int(choices[0]), int(choices[0]) + len(choices))
            known = f"{choices[0]} to {choices[-1]}" if choices == tuple(map(str, run)) else known
        if self.type == "number":
            return "a whole number from 1 on"
        if self.type == "names":
            return f"all, or some of {known}" if known else "names"
        return known or "a text"

    def parse(self, text: str, dataset: str, split: str, there: Sequence[str] = ()) -> Any:
        """The value that a text stands for: a text, a whole number, or a tuple of names.

        Parameters
        ----------
        text : what was given.
        dataset : name of the dataset, for errors.
        split : the split that is converted.
        there : the names that there are, where only the files know them.

        Raises
        ------
        UsageError : there is no such value.
        """
        choices, given = self.choices_of(split), f"{self.name}={text}"
        if self.type == "number":
            if not text.isdecimal() or int(text) < 1:
                raise UsageError(f"{given}: a whole number from 1 on is needed")
            return int(text)
        if self.type == "choice" and text not in choices:
            raise UsageError(f"{given}: {dataset} ({split}) has {', '.join(choices)}")
        if self.type != "names":
            return text
        known = tuple(choices or there)
        wanted = [word.strip() for word in text.split(",") if word.strip()]
        if not wanted and self.default_of(split):
            raise UsageError(f"{given}: names are needed, with commas between them")
        if not known:
            return tuple(wanted)
        if wanted == [ALL]:
            return known
        if unknown := [word for word in wanted if word not in known]:
            raise UsageError(f"{given}: {dataset} ({split}) has no {unknown[0]!r}, but {', '.join(known)}")
        return tuple(word for word in known if word in wanted)


def interval(meaning: str, default: str | Mapping[str, str] = "1") -> Option:
    """The option ``interval=N`` of videos; ``meaning`` says which frames it keeps."""
    return Option("interval", meaning, default, "number")


def cameras(choices: Sequence[str], meaning: str, default: str | Mapping[str, str] = ALL) -> Option:
    """The option ``cameras=a,b`` of multi-view recordings."""
    return Option("cameras", meaning, default, "names", tuple(choices))
