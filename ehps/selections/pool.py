"""Files that may be trained on, and why others may not: licences, disks, test sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ehps.analysis import ranking
from ehps.analysis.benchmarks import MPE_BENCHMARKS
from ehps.converters import registry
from ehps.converters.pipeline.whole_disk import findings_on
from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.passport import UNKNOWN


@dataclass(frozen=True)
class Pool:
    """Files that may be trained on.

    Attributes
    ----------
    files, sizes, licences : dataset -> its file, instances in it, what its card says of its licence.
    own : datasets that are the training split of a test set.
    barred : dataset, or file -> why it may not be trained on.
    """

    files: dict[str, Path]
    sizes: dict[str, int]
    licences: dict[str, str]
    own: frozenset[str]
    barred: dict[str, str]


def pool_of(
    files: Sequence[Path],
    *,
    tests: Sequence[Path] = (),
    tested: Iterable[str] = (),
    licence: str = "research",
    have: Path | None = None,
) -> Pool:
    """Look at files.

    Parameters
    ----------
    tests : files of test sets; none of them is trained on.
    tested : datasets of test sets that have no file here.
    licence : ``commercial`` takes only sets whose card says that commercial use is allowed; ``research`` all.
    have : disk of raw datasets; sets that are not there whole are left out.

    Raises
    ------
    UsageError : two files of one dataset.
    DataError : no such disk, or nothing is left.
    """
    there: dict[str, Path] = {}
    sizes: dict[str, int] = {}
    splits: dict[str, str] = {}
    barred: dict[str, str] = {}
    test_sets = {file: HumanData.open(file) for file in tests}
    held = {(dataset_of(hd, file), hd.passport.split) for file, hd in test_sets.items()}
    for file in files:
        hd = HumanData.open(file)
        name = dataset_of(hd, file)
        if hd.passport.body_model is None:
            barred[str(file)] = "it has no body parameters to train on"
            continue
        if (name, hd.passport.split) in held and hd.passport.split != UNKNOWN:
            barred[str(file)] = "it is a test set"
            continue
        if name in there:
            raise UsageError(f"is a second file of {name}", path=file, fix="merge the two, or name one")
        there[name], sizes[name], splits[name] = file, len(hd), hd.passport.split
    licences = _licences(there)
    if licence == "commercial":
        barred |= {name: f"its licence ({text}) {why}" for name, (text, why) in licences.items() if why}
    if have is not None:
        barred |= _absent(splits, have)
    kept = [name for name in there if name not in barred]
    if there and not kept:
        raise DataError("no dataset may be used: " + "; ".join(f"{name}: {why}" for name, why in barred.items()))
    own = {dataset_of(hd, file) for file, hd in test_sets.items()} | set(tested)
    return Pool(
        {name: there[name] for name in kept},
        {name: sizes[name] for name in kept},
        {name: licences[name][0] for name in kept},
        frozenset(name for name in kept if own.intersection(name.split("+"))),  # a merged file has several
        barred,
    )


def dataset_of(hd: HumanData, file: Path) -> str:
    """What a file says it is, its name where it does not say."""
    return file.stem if hd.passport.dataset == UNKNOWN else hd.passport.dataset


def datasets_tested(ranked: pd.DataFrame) -> set[str]:
    """Datasets of the test sets that ranks rest on, those of the five where the ranks are published ones."""
    tests = ranking.benchmarks_of(ranked) or (MPE_BENCHMARKS if "identification" in ranked else ())
    return datasets_named(b.id for b in tests)


def datasets_named(tests: Iterable[str]) -> set[str]:
    """Datasets that ids of benchmarks begin with: ``agora`` of ``agora_validation``."""
    known = sorted(registry.ids(), key=len, reverse=True)
    return {next((name for name in known if f"{test}_".startswith(f"{name}_")), test) for test in tests}


def _licences(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Licence of each dataset, and why it may not be used commercially; empty where it may."""
    cards = {card.id: card for card in registry.cards()}
    use = {True: "", False: "does not allow commercial use", None: "is not known to allow commercial use"}
    found = {}
    for name in names:
        card = cards.get(name)
        found[name] = (card.licence, use[card.commercial_use]) if card else ("unknown", use[None])
    return found


def _absent(splits: Mapping[str, str], disk: Path) -> dict[str, str]:
    """Why datasets cannot be trained on with what a disk has."""
    found = {finding.card.id: finding for finding in findings_on(disk)}
    absent = {}
    for name, split in splits.items():
        finding = found.get(name)
        if finding is None:
            absent[name] = f"`ehps doctor` does not know it, so it is not known to be on {disk}"
        elif finding.state != "found":
            absent[name] = f"{finding.state} on {disk}" + (f": {finding.lacks}" if finding.lacks else "")
        elif split != UNKNOWN and split not in finding.splits:
            absent[name] = f"its split {split} is not complete on {disk} ({', '.join(finding.splits)} is)"
    return absent
