"""Every setting of a training and a test: its kind, its range, its words. Suites, options and configurations are read
by this table, which needs no torch.

A number may stand as text: YAML takes ``5e-4`` for one.
"""

from __future__ import annotations

import datetime
import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any


@dataclass(frozen=True)
class Setting:
    """What one setting takes.

    Attributes
    ----------
    kind : int, float, bool, str, dict, or tuple for several texts.
    low, high : the least and the greatest number.
    above_low : whether the least number itself is too small.
    words : the texts that are taken, any where empty.
    optional : whether null is a value, for "not given".
    counted : of a float, whether whole numbers are read as int, so that they are written as before.
    """

    kind: type
    low: float = -math.inf
    high: float = math.inf
    above_low: bool = False
    words: tuple[str, ...] = ()
    optional: bool = False
    counted: bool = False

    @property
    def expected(self) -> str:
        """In words, for people: ``a whole number of 1 or more``."""
        if self.words:
            return f"one of: {', '.join(self.words)}"
        if self.kind not in (int, float):
            return _KINDS[self.kind]
        name = "a whole number" if self.kind is int else "a number"
        high = "" if math.isinf(self.high) else f"{self.high:,.0f}" if self.high >= 1000 else f"{self.high:g}"
        if math.isinf(self.low):
            return name
        if self.above_low:
            return f"{name} above {self.low:g}" + (f", at most {high}" if high else "")
        return f"{name} from {self.low:g} to {high}" if high else f"{name} of {self.low:g} or more"

    def read(self, value: Any) -> Any:
        """``value`` as the kind that the setting has.

        Raises
        ------
        ValueError : it is another; the message says what it is and what is expected.
        """
        if value is None and self.optional:
            return None
        read = self._as_kind(value)
        if read is None:
            raise ValueError(f"is {described(value)}, not {self.expected}")
        return read

    def _as_kind(self, value: Any) -> Any:
        """None where it is not of the kind, or out of range."""
        if self.kind in (int, float):
            number = _number(value, whole=self.kind is int)
            if number is None or not self._in_range(number):
                return None
            return int(number) if self.counted and number.is_integer() else number
        if self.words and value not in self.words:
            return None
        if self.kind is tuple:
            listed = value.split(",") if isinstance(value, str) else value
            sound = isinstance(listed, list | tuple) and all(isinstance(one, str) and one.strip() for one in listed)
            return tuple(one.strip() for one in listed) if sound else None
        if self.kind is dict:
            return value if isinstance(value, Mapping) and all(isinstance(name, str) for name in value) else None
        return value if isinstance(value, self.kind) and value != "" else None

    def _in_range(self, number: float) -> bool:
        return self.low <= number <= self.high and math.isfinite(number) and not (self.above_low and number == self.low)


_KINDS = {bool: "true or false", str: "a text", dict: "a mapping of names to values", tuple: "a list of names"}


def _number(value: Any, *, whole: bool) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, Integral | float | str):
        return None
    if isinstance(value, str):
        try:
            value = int(value) if value.strip().lstrip("+-").isdecimal() else float(value)
        except ValueError:
            return None
    if whole:
        return int(value) if isinstance(value, Integral) or value.is_integer() else None
    try:
        return float(value)
    except OverflowError:
        return None


SETTINGS: Mapping[str, Setting] = {
    "model": Setting(str),
    "model_args": Setting(dict),
    "steps": Setting(int, 1, 1e9),
    "epochs": Setting(float, 0, 1e6, above_low=True, optional=True),
    "batch_size": Setting(int, 1, 65_536),
    "accumulate": Setting(int, 1, 65_536),
    "parts": Setting(int, 1, 65_536, optional=True),
    "lr": Setting(float, 0, 10, above_low=True),
    "lr_min": Setting(float, 0, 10),
    "warmup": Setting(int, 0, 1e9),
    "seed": Setting(int, 0, 2**32 - 1),
    "strategy": Setting(str, words=("concat", "balance", "mixture")),
    "total_length": Setting(int, 1, 1e12, optional=True),
    "augment": Setting(bool),
    "box_ratio": Setting(float, 0, 100, above_low=True),
    "loss": Setting(dict),
    "precision": Setting(str, words=("no", "bf16", "fp16")),
    "clip": Setting(float, 0, 1e9, above_low=True, optional=True),
    "ema": Setting(float, 0, 0.999999, above_low=True, optional=True),
    "freeze": Setting(tuple),
    "compile": Setting(bool),
    "init": Setting(str, optional=True),
    "checkpoint_every": Setting(int, 1, 1e9),
    "log_every": Setting(int, 1, 1e9),
    "keep_mb": Setting(float, 0, 1e9),
    "workers": Setting(int, 0, 1024),
    "skip_bad_batches": Setting(int, 0, 1e9),
    "skip_bad_images": Setting(int, 0, 1e9),
    "tensorboard": Setting(bool),
    "sheet_every": Setting(int, 1, 1e9),
}
"""Of a training, see :class:`ehps.benchmark.training.specs.TrainConfig`."""

_WEIGHT = Setting(float, 0, 1e6)
_TERMS = (
    *("pose", "shape", "expression", "joints", "part_joints", "projection"),
    *("image_points", "model_image_points", "left_hand_box", "right_hand_box", "face_box"),
    *("root", "hand_roots", "hand_chains"),
)
LOSS: Mapping[str, Setting] = {
    **dict.fromkeys(_TERMS, _WEIGHT),
    "rotation_form": Setting(str, words=("matrix", "axis-angle")),
    "hand_depth": Setting(str, words=("wrist", "pelvis")),
    "projection_trains": Setting(str, words=("everything", "camera")),
}
"""Weights of the loss terms."""

SET: Mapping[str, Setting] = {
    "data": Setting(str),
    "images": Setting(str),
    "interval": Setting(float, 1, 1e9, counted=True),
    "weight": Setting(float, 0, 1e9, above_low=True),
    "protocol": Setting(str),
    "exclude": Setting(str, optional=True),
}
"""Of a training or test set."""


def read_settings(
    values: Any,
    table: Mapping[str, Setting],
    faults: list[str],
    *,
    place: str = "",
    label: Callable[[str], str] = str,
    others: Iterable[str] = (),
) -> dict[str, Any]:
    """The values that can be used, as their kinds; what is wrong with the others is appended to ``faults``.

    Parameters
    ----------
    place : where they stand, ending in a dot: ``train.bedlam.``.
    label : what a setting is called to the user: ``--batch-size``.
    others : names beside those of the table, which the caller reads.
    """
    if not isinstance(values, Mapping):
        whole = place.rstrip(".") if place.endswith(".") else f"{place}it"
        faults.append(f"{whole} is {described(values)}, not a mapping of names to values")
        return {}
    read, known = {}, [*table, *others]
    for name, value in values.items():
        if name in table:
            try:
                read[name] = table[name].read(value)
            except ValueError as error:
                faults.append(f"{place}{label(name)} {error}")
        elif name not in known:
            faults.append(f"{place}{name} is no setting; {nearest(name, known)}")
    return read


def nearest(name: object, known: Iterable[str]) -> str:
    """``did you mean steps?``, or all names where none is near."""
    listed = list(dict.fromkeys(known))
    near = difflib.get_close_matches(str(name), listed, n=1)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(listed))}"


def described(value: Any) -> str:
    """A value of a file in words: short, and never a whole structure."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple | set):
        return "a list"
    if isinstance(value, datetime.date | bytes):
        return f"a {type(value).__name__}"
    text = repr(value) if isinstance(value, str) else str(value) if _printable(value) else "a huge number"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _printable(value: Any) -> bool:
    """Python refuses to write whole numbers of thousands of digits."""
    return not isinstance(value, int) or value.bit_length() < 4096
