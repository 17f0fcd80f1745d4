"""Views of the dataset cards: the table of all, one dataset whole, and the pages under ``docs/datasets``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ehps.converters import registry
from ehps.converters.base import DatasetCard

if TYPE_CHECKING:
    import pandas as pd

INDEX = """# Datasets

One page each, written by `python -m ehps.converters.cards` from the cards in `ehps/converters/datasets/`. The same is
shown by `ehps datasets ID`. The first split is the default.

| dataset | id | splits | annotation | bodies | data | scene | converts |
|---|---|---|---|---|---|---|---|
"""
UNCERTAIN = "Uncertain: no document that could be read states this number under the dataset's name."
MANY_SPLITS = 6  # beyond which needs that differ by the split's name only are said once
MISTAKEN = "These do not convert; `ehps doctor DISK` tells them apart by what they hold:"


def rows() -> list[dict[str, Any]]:
    """One a dataset.

    Its id, name, published instances of the first split, whether they are certain, splits, how it is annotated, in
    which bodies (in words), appearance, scene, and whether it can be converted.
    """
    return [
        {
            "id": card.id,
            "name": card.name,
            "instances": card.splits[card.default_split],
            "count": _sureness(card),
            "splits": " ".join(card.splits),
            "annotation": card.annotation,
            "bodies": card.annotation_note,
            "data": card.appearance,
            "scene": card.scene,
            "converts": "yes" if registry.available(card.id) else "not yet",
        }
        for card in registry.cards()
    ]


def overview() -> pd.DataFrame:
    """:func:`rows` as a frame."""
    import pandas as pd

    return pd.DataFrame(rows()).astype({"instances": "Int64"})


def _sureness(card: DatasetCard) -> str:
    if card.splits[card.default_split] is None:
        return ""
    return "uncertain" if card.default_split in card.uncertain else "stated"


def as_dict(dataset: str) -> dict[str, Any]:
    """Everything a card says, JSON-able, and whether the dataset can be converted."""
    card = registry.card(dataset)
    return json.loads(json.dumps(asdict(card))) | {"available": registry.available(dataset)}


def page(dataset: str) -> str:
    """The dataset's page in Markdown: facts, counts, raw layout, how to get and convert it."""
    card = registry.card(dataset)
    command = f"ehps convert {card.id} RAW --split {card.default_split} --out {card.id}.h5"
    if card.body_model is not None:
        command += " --body-models DIR"
    if registry.available(dataset) and callable(getattr(registry.converter(dataset), "extract_frames", None)):
        command += " --frames FRAMES"
    parts = [
        f"# {card.name}",
        _facts(card),
        "## Splits\n\n" + _splits(card),
        f"## Raw layout\n\n```\n{card.layout.strip()}\n```",
        f"**Needed:** {_needs(card)}\n\n**Get it:** {card.get}.",
    ]
    if card.variants:
        parts.append(f"## Other releases\n\n{MISTAKEN}\n\n{_variants(card)}")
    if registry.available(dataset):
        parts.append(f"## Convert\n\n```\n{command}\n```")
    else:
        parts.append("## Convert\n\nThere is no converter for this dataset yet.")
    if card.options:
        parts.append("Options, given as `--option NAME=VALUE`:\n\n" + _options(card))
    if card.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in card.notes))
    return "\n\n".join(parts) + "\n"


def _facts(card: DatasetCard) -> str:
    answer = {True: "yes", False: "no", None: "not established"}
    made_by = "its authors" if card.body_source == "authors" else card.body_source
    scene = f"{card.scene} ({card.scene_note})" if card.scene_note else card.scene
    facts = {
        "id": f"`{card.id}`",
        "homepage": card.homepage,
        "licence": card.licence,
        "commercial use": answer[card.commercial_use],
        "redistribution": answer[card.redistribution],
        "use of weights trained on it": answer[card.derived_weights],
        "paper": card.paper,
        "annotation": card.annotation,
        "bodies": f"{card.annotation_note}; by {made_by}",
        "data": f"{card.appearance}, {scene}; {card.persons} annotated in an image",
    }
    if card.fps is not None:
        kept = f", every {card.sampling}th frame is kept" if card.sampling > 1 else ""
        facts["video"] = f"{card.fps:g} fps{kept}"
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts.items())])


def _splits(card: DatasetCard) -> str:
    rows = [f"| {split} | {_count(card, split)} |" for split in card.splits]
    said = ["The first is the default."] + ([UNCERTAIN] if card.uncertain else [])
    return "\n".join(["| split | instances published |", "|---|---|", *rows, "", *said])


def _count(card: DatasetCard, split: str) -> str:
    count = card.splits[split]
    return "not published" if not count else f"{count:,}" + (" (uncertain)" if split in card.uncertain else "")


def _variants(card: DatasetCard) -> str:
    """A line for each meaning, with all paths that have it."""
    paths: dict[str, list[str]] = {}
    for path, meaning in card.variants.items():
        paths.setdefault(meaning, []).append(f"`{path}`")
    return "\n".join(f"- {', '.join(found)}: {meaning}." for meaning, found in paths.items())


def _options(card: DatasetCard) -> str:
    rows = [
        f"| {option.name} | {_by_split(option.values_of, card)} | {_by_split(option.default_of, card)} | "
        f"{option.meaning} |"
        for option in card.options
    ]
    return "\n".join(["| option | values | default | meaning |", "|---|---|---|---|", *rows])


def _by_split(words: Callable[[str], str], card: DatasetCard) -> str:
    """What is said of every split, once where it is the same for all."""
    said = {split: words(split) or "-" for split in card.splits}
    if len(set(said.values())) == 1:
        return said[card.default_split]
    return "; ".join(f"{split}: {text}" for split, text in said.items())


def _needs(card: DatasetCard) -> str:
    needs = [f"`{need}`" for need in card.needs]
    many = len(card.splits) > MANY_SPLITS
    splits_of: dict[str, list[str]] = {}
    for split, need in ((split, need) for split, paths in card.split_needs.items() for need in paths):
        if many:
            splits_of.setdefault(need.replace(split, "<split>"), []).append(split)
        else:
            needs.append(f"`{need}` ({split})")
    for need, splits in splits_of.items():
        needs.append(f"`{need}` ({'each split' if len(splits) == len(card.splits) else ', '.join(splits)})")
    return ", ".join(needs) or "-"


def write_pages(folder: Path) -> None:
    """Write every dataset's page and an index into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for card in registry.cards():
        (folder / f"{card.id}.md").write_text(page(card.id))
    columns = ("splits", "annotation", "bodies", "data", "scene", "converts")
    lines = [
        f"| [{row['name']}]({row['id']}.md) | `{row['id']}` | {' | '.join(row[name] for name in columns)} |"
        for row in rows()
    ]
    (folder / "README.md").write_text(INDEX + "\n".join(lines) + "\n")


if __name__ == "__main__":
    write_pages(Path("docs/datasets"))
