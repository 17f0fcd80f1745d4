"""The ``README.md`` of a folder of Parquet shards, as the Hugging Face hub reads it: made from the passport."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ehps.converters import registry
from ehps.errors import UsageError
from ehps.exchange import hub_features
from ehps.humandata import schema as fields
from ehps.humandata.core import HumanData

if TYPE_CHECKING:
    from ehps.converters.base import DatasetCard

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
MANY = "1M<n<10M"
TASKS = ["image-to-3d", "keypoint-detection"]
ANSWERS = {True: "yes", False: "no", None: "not established"}


def cards_of(hd: HumanData) -> list[DatasetCard]:
    """The cards of the datasets that the rows come from, as far as they are known."""
    found = []
    for name in dict.fromkeys(hd.passport.dataset.split("+")):
        try:
            found.append(registry.card(name))
        except UsageError:
            continue
    return found


def dataset_card(hd: HumanData, split: str, schema: Any, shards: Sequence[Path]) -> str:
    """The page: a head in YAML that the hub reads, and what the columns mean.

    Parameters
    ----------
    schema : of the shards, as pyarrow has it.
    """
    import yaml

    cards = cards_of(hd)
    passport = hd.passport
    name = " + ".join(card.name for card in cards) or passport.dataset
    nbytes = sum(path.stat().st_size for path in shards)
    head: dict[str, Any] = {
        "pretty_name": f"{name} ({passport.split})",
        "license": "other",
        "license_name": _slug("-".join(card.licence for card in cards)) or "unknown",
    }
    if len(cards) == 1:
        head["license_link"] = cards[0].homepage
    head |= {
        "task_categories": TASKS,
        "size_categories": [next((size for most, size in SIZES if len(hd) < most), MANY)],
        "tags": [tag for tag in ("human-mesh-recovery", passport.body_model, *(card.id for card in cards)) if tag],
        "configs": [{"config_name": "default", "data_files": [{"split": split, "path": f"data/{split}-*"}]}],
        "dataset_info": {
            "features": [{"name": field.name, **hub_features.written(field.name, field.type)} for field in schema],
            "splits": [{"name": split, "num_bytes": nbytes, "num_examples": len(hd)}],
            "download_size": nbytes,
            "dataset_size": nbytes,
        },
    }
    front = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{front}---\n\n# {name}\n\n{_text(hd, cards)}"


def _text(hd: HumanData, cards: Sequence[DatasetCard]) -> str:
    facts = {key: value for key, value in hd.passport.to_dict().items() if value is not None}
    parts = [
        f"{len(hd):,} persons, one row each, as [HumanData](https://github.com/open-mmlab/mmhuman3d) columns.",
        "\n".join(["| passport | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts.items())]),
    ]
    for card in cards:
        passed_on = f"Redistribution: {ANSWERS[card.redistribution]}; commercial use: {ANSWERS[card.commercial_use]}."
        parts.append(f"## {card.name}\n\n{card.licence}. {passed_on}\n\n{card.paper}\n\n{card.homepage}")
    parts.append("## Columns\n\n" + _columns(hd))
    return "\n\n".join(parts) + "\n"


def _columns(hd: HumanData) -> str:
    lines = ["| column | unit | meaning |", "|---|---|---|"]
    for name in hd.columns:
        known = fields.field(name)
        lines.append(f"| `{name}` | {known.unit if known else ''} | {known.meaning if known else ''} |")
    return "\n".join(lines)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
