"""The settings of one training as a command line gives them: a file, options and ``--set KEY=VALUE``, in this order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ehps.benchmark.training.settings import LOSS, SET, SETTINGS, read_settings
from ehps.errors import SettingsError, UsageError

OF_A_RUN = ("train_set", "sets")  # in the config.yaml of a run folder, which may be given: its sets are not taken
_TABLE = {**SETTINGS, "interval": SET["interval"]}
GROUPS = ("loss", "model_args")
"""Settings that have settings of their own."""


def read_given(options: Mapping[str, Any], assigned: Sequence[str], config: tuple[Path, Any] | None) -> dict[str, Any]:
    """Settings by name; those that nobody gave are absent.

    Parameters
    ----------
    options : by the names of their settings, None where one was not given.
    assigned : ``KEY=VALUE``; ``loss.KEY`` and ``model_args.KEY`` are settings of these groups.
    config : a file of settings as they stand in a suite, or the ``config.yaml`` of a run folder, and its content.

    Raises
    ------
    SettingsError : settings that do not exist, values of another kind or out of range: all of them.
    """
    faults: list[str] = []
    values = {} if config is None else _of_file(*config, faults)
    given = {name: value for name, value in options.items() if value is not None}
    values |= read_settings(given, _TABLE, faults, label=lambda name: f"--{name.replace('_', '-')}")
    for text in assigned:
        _assign(values, text, faults)
    here = {*given, *(text.partition("=")[0] for text in assigned)}
    if "steps" in here and values.get("epochs") is not None:
        if "epochs" in here:
            faults.append("steps and epochs are both given; each says how long is trained")
        del values["epochs"]  # of the file
    if faults:
        raise SettingsError(faults)
    return values


def _of_file(path: Path, content: Any, faults: list[str]) -> dict[str, Any]:
    values = read_settings(content, _TABLE, faults, place=f"{path}: ", others=OF_A_RUN)
    if "loss" in values:
        values["loss"] = read_settings(values["loss"], LOSS, faults, place=f"{path}: loss.")
    if values.get("init") is not None:
        values["init"] = str(path.parent / values["init"])
    return values


def _assign(values: dict[str, Any], text: str, faults: list[str]) -> None:
    name, equals, value = text.partition("=")
    if not equals:
        faults.append(f"--set {text} is not KEY=VALUE")
        return
    group, dot, inner = name.partition(".")
    if not dot:
        values |= read_settings({name: _value(name, value)}, _TABLE, faults, place="--set ")
    elif group not in GROUPS:
        faults.append(f"--set {name}: only {' and '.join(GROUPS)} have settings of their own")
    else:
        one = {inner: _parsed(value)}
        read = read_settings(one, LOSS, faults, place="--set loss.") if group == "loss" else one
        values[group] = {**values.get(group, {}), **read}


def _value(name: str, text: str) -> Any:
    """A text stays one where the setting is a text or names."""
    kept = name in _TABLE and _TABLE[name].kind in (str, tuple) and text != "null" and not text.startswith("[")
    return text if kept else _parsed(text)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def folders_of_each(images: Sequence[str], count: int) -> list[Sequence[str]]:
    """The image folders of each of several files: one for all, or one each in their order.

    Raises
    ------
    UsageError : another number of them, or labels of a merged file.
    """
    if count == 1 or not images:
        return [images] * count
    if any("=" in word and not Path(word).is_dir() for word in images):
        what = f"--images LABEL=DIR is of one merged file, and there are {count} files"
        raise UsageError(what, fix="give one DIR for each file, or write the sets into a suite")
    if len(images) not in (1, count):
        raise UsageError(
            f"--images is given {len(images)} times for {count} files", fix="give one for all, or one each"
        )
    return [[word] for word in images] if len(images) == count else [images] * count


def joint_name(files: Sequence[Path]) -> str:
    """What a mix of files is called in results.

    Raises
    ------
    UsageError : they are too many for a name.
    """
    name = "+".join(dict.fromkeys(file.stem for file in files))
    if len(name) > 100:
        raise UsageError(f"a training on {len(files)} files needs a name", fix="pass --name NAME")
    return name
