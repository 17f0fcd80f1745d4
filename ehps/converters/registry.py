"""Which converters there are: one module a dataset in this package, and those of other installed packages.

``datasets.NAMES`` lists them. A module defines ``CARD`` and, once the dataset can be converted, a
:class:`~ehps.converters.base.Converter` with that card. Other packages register converter classes under the entry point
group ``ehps.converters``. A dataset's module is loaded when it is asked for, so that a wrong id is told at once.
"""

from __future__ import annotations

import importlib
import re
import warnings
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from ehps.converters import datasets
from ehps.errors import UsageError

if TYPE_CHECKING:
    from ehps.converters.base import Converter, DatasetCard

GROUP = "ehps.converters"


def ids() -> list[str]:
    """Ids of all datasets, sorted."""
    return sorted({**datasets.NAMES, **_plugins()})


def cards() -> list[DatasetCard]:
    """All dataset cards, sorted by id."""
    return [_find(name)[0] for name in ids()]


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
        ready = ", ".join(filter(available, ids()))
        raise UsageError(f"{found.name} cannot be converted yet", fix=f"these can: {ready}")
    return cls


def find(dataset_id: str) -> str:
    """The id of a dataset that is given by its id or its name, upper or lower case.

    Raises
    ------
    UsageError : no such dataset.
    """
    known = datasets.NAMES | {name: card.name for name, (card, _) in _plugins().items()}
    if dataset_id in known:
        return dataset_id
    words = {_letters(word): name for name, title in known.items() for word in (title, name)}
    key = _letters(dataset_id)
    if key in words:
        return words[key]
    near = get_close_matches(key, words, n=3, cutoff=0.5)
    suggestions = list(dict.fromkeys(words[word] for word in near))
    fix = f"did you mean {' or '.join(suggestions)}?" if suggestions else "`ehps datasets` lists them all"
    raise UsageError(f"unknown dataset {dataset_id!r}", fix=fix)


def _find(dataset_id: str) -> tuple[DatasetCard, type[Converter] | None]:
    name = find(dataset_id)
    return _own(name) if name in datasets.NAMES else _plugins()[name]


def _letters(word: str) -> str:
    """What of an id or a name tells it from others: ``gtahumanii`` of ``GTA-Human II``."""
    return re.sub(r"[\W_]", "", word.lower())


@cache
def _own(name: str) -> tuple[DatasetCard, type[Converter] | None]:
    """Card and converter of one module of :mod:`ehps.converters.datasets`."""
    from ehps.converters.base import Converter

    module = importlib.import_module(f"{datasets.__name__}.{name}")
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Converter) and value.__module__ == module.__name__:
            return value.card, value
    return module.CARD, None


@cache
def _plugins() -> dict[str, tuple[DatasetCard, type[Converter] | None]]:
    """Converters of other packages; one that cannot be loaded must not take the others down."""
    found: dict[str, tuple[DatasetCard, type[Converter] | None]] = {}
    for point in entry_points(group=GROUP):
        from ehps.converters.base import Converter

        try:
            loaded: Any = point.load()
        except Exception as error:
            warnings.warn(f"converter {point.name} of {point.value} cannot be loaded: {error}", stacklevel=2)
            continue
        if not (isinstance(loaded, type) and issubclass(loaded, Converter) and hasattr(loaded, "card")):
            warnings.warn(f"{point.value} is registered as a converter but is none", stacklevel=2)
        elif loaded.card.id in datasets.NAMES or loaded.card.id in found:
            warnings.warn(f"{point.name} registers the dataset {loaded.card.id} a second time; ignored", stacklevel=2)
        else:
            found[loaded.card.id] = (loaded.card, loaded)
    return found
