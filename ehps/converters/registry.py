"""Which converters there are: one module a dataset in this package, and those of other installed packages.

A module here defines ``CARD`` and, once the dataset can be converted, a :class:`~ehps.converters.base.Converter`
with that card. Other packages register converter classes under the entry point group ``ehps.converters``.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import warnings
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from ehps.converters import datasets
from ehps.converters.base import Converter, DatasetCard
from ehps.errors import UsageError

GROUP = "ehps.converters"


def cards() -> list[DatasetCard]:
    """All dataset cards, sorted by id."""
    return [found[0] for _, found in sorted(_all().items())]


def card(dataset_id: str) -> DatasetCard:
    """The card of one dataset, by its id or its name, upper or lower case.

    Raises
    ------
    UsageError : no such dataset.
    """
    return _find(dataset_id)[0]


def available(dataset_id: str) -> bool:
    """Whether the dataset can be converted; False when only its card is there."""
    return _find(dataset_id)[1] is not None


def converter(dataset_id: str) -> type[Converter]:
    """The converter of one dataset.

    Raises
    ------
    UsageError : no such dataset, or it is described but cannot be converted yet.
    """
    found, cls = _find(dataset_id)
    if cls is None:
        ready = ", ".join(sorted(name for name, (_, c) in _all().items() if c is not None))
        raise UsageError(f"{found.name} cannot be converted yet", fix=f"these can: {ready}")
    return cls


def _find(dataset_id: str) -> tuple[DatasetCard, type[Converter] | None]:
    known = _all()
    if dataset_id in known:
        return known[dataset_id]
    words = {_letters(word): name for name, (c, _) in known.items() for word in (c.name, name)}
    key = _letters(dataset_id)
    if key in words:
        return known[words[key]]
    near = get_close_matches(key, words, n=3, cutoff=0.5)
    suggestions = list(dict.fromkeys(words[word] for word in near))
    fix = f"did you mean {' or '.join(suggestions)}?" if suggestions else "`ehps datasets` lists them all"
    raise UsageError(f"unknown dataset {dataset_id!r}", fix=fix)


def _letters(word: str) -> str:
    """What of an id or a name tells it from others: ``gtahumanii`` of ``GTA-Human II``."""
    return re.sub(r"[\W_]", "", word.lower())


@cache
def _all() -> dict[str, tuple[DatasetCard, type[Converter] | None]]:
    found: dict[str, tuple[DatasetCard, type[Converter] | None]] = {}
    for module in _modules():
        classes = [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, Converter)
            and value.__module__ == module.__name__
            and hasattr(value, "card")
        ]
        for cls in classes:
            found[cls.card.id] = (cls.card, cls)
        described = vars(module).get("CARD")
        if isinstance(described, DatasetCard):
            found.setdefault(described.id, (described, None))
    for name, cls in _plugins():
        if cls.card.id in found:
            warnings.warn(f"{name} registers the dataset {cls.card.id} a second time; ignored", stacklevel=2)
        else:
            found[cls.card.id] = (cls.card, cls)
    return found


def _modules() -> Iterator[ModuleType]:
    for info in pkgutil.iter_modules(datasets.__path__):
        yield importlib.import_module(f"{datasets.__name__}.{info.name}")


def _plugins() -> Iterator[tuple[str, type[Converter]]]:
    """Converters of other packages; one that cannot be loaded must not take the others down."""
    for point in entry_points(group=GROUP):
        try:
            loaded: Any = point.load()
        except Exception as error:
            warnings.warn(f"converter {point.name} of {point.value} cannot be loaded: {error}", stacklevel=2)
            continue
        if isinstance(loaded, type) and issubclass(loaded, Converter) and hasattr(loaded, "card"):
            yield point.name, loaded
        else:
            warnings.warn(f"{point.value} is registered as a converter but is none", stacklevel=2)
