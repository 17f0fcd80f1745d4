"""Scoring predictions of any origin: a HumanData file beside a test set, without a run folder or a model."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.benchmark.protocols.catalogue import get
from ehps.benchmark.protocols.protocol import Protocol
from ehps.benchmark.protocols.scoring import TRUTH_ROW, Score, check_rows, score
from ehps.benchmark.protocols.summaries import printed
from ehps.benchmark.suites import agora_files
from ehps.benchmark.suites.runs import content_hash, write_json
from ehps.body.models import BodyModels
from ehps.errors import DataError, UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.instance_ids import place_in_image

TRACK = "meta/track_id"
ERRORS_SUFFIX = ".errors.parquet"


def score_files(
    predictions: str | Path | HumanData,
    truth: str | Path,
    protocol: str | Protocol,
    body_models: BodyModels,
    *,
    images: Path | None = None,
    device: str = "cpu",
    batch_size: int = 64,
) -> Score:
    """Compare a file of predictions with a test set.

    Parameters
    ----------
    predictions : HumanData, its file, or a folder of AGORA's prediction files. Its rows belong to the truth's by
        ``meta/truth_row`` where it has that, otherwise by image, and within an image in the order of rows; joints
        without bodies by frame and track.
    images : folder of the truth's files, for protocols whose true meshes are among them.
    device : where meshes are made.

    Raises
    ------
    DataError : the predictions are of another file, or what :func:`score` raises.
    UsageError : there is no such device here.
    """
    chosen = get(protocol)
    check_device(device)
    true, given = HumanData.open(truth), None
    if isinstance(predictions, HumanData):
        made = with_paths_of(predictions, true)
    elif agora_files.is_folder_of_predictions(Path(predictions)):
        made, given = agora_files.read(Path(predictions), list(dict.fromkeys(true["image_path"].tolist())))
    else:
        made = HumanData.open(predictions)
    check_rows(made, true)
    by_row = chosen.matching == "by-row"
    by_track = by_row and TRUTH_ROW not in made and TRACK in made
    by_track = by_track and (made.body_model is None or has_tracks_of(made, true))
    by_image = by_row and TRUTH_ROW not in made and not by_track
    if by_track:
        made, others = rows_by_track(made, true)
    elif by_image:
        made = made.with_columns({TRUTH_ROW: rows_by_image(made, true)})
    result = score(made, true, chosen, body_models, images=images, batch_size=batch_size, device=device, given=given)
    if by_image:
        result.remarks.append("predictions are paired with the truth by image and the order of people in it")
    if by_track and made.body_model is not None:
        result.remarks.append("predictions are paired with the truth by image and track")
    if by_track and others:
        result.remarks.append(f"{others} predictions are of nobody whom the truth lists, and do not count")
    return result


def rows_by_image(predictions: HumanData, truth: HumanData) -> Array:
    """(N,) the truth's row of each prediction, by image and place within the image.

    Raises
    ------
    DataError : the truth does not list an image, or an image has other numbers of people in the two.
    """
    names = np.array(truth["image_path"].tolist(), object)
    made = np.array(predictions["image_path"].tolist(), object)
    known, code = np.unique(names, return_inverse=True)
    at = np.minimum(np.searchsorted(known, made), len(known) - 1)
    strange = known[at] != made
    if strange.any():
        raise DataError(
            f"{int(strange.sum())} predictions are of images that {truth.source} does not list "
            f"(first: {made[strange][0]})",
            path=predictions.source,
            fix="write image_path as the truth does, or meta/truth_row",
        )
    people, guesses = np.bincount(code, minlength=len(known)), np.bincount(at, minlength=len(known))
    other = (guesses != people) & (guesses > 0)
    if other.any():
        first = int(np.flatnonzero(other)[0])
        raise DataError(
            f"{known[first]} has {guesses[first]} predictions and {people[first]} people "
            f"({int(other.sum())} such images)",
            path=predictions.source,
            fix="add meta/truth_row, the row of the truth that each prediction is of",
        )
    order = np.argsort(code, kind="stable")
    start = np.concatenate([[0], np.cumsum(people)[:-1]])
    return np.asarray(order[start[at] + place_in_image(at)])


def has_tracks_of(predictions: HumanData, truth: HumanData) -> bool:
    """Whether image and track of each prediction are those of one person of the truth: its tracks, not a tracker's."""
    if TRACK not in truth:
        return False
    there, made = _tracked(truth), _tracked(predictions)
    return set(made) <= set(there) and len(set(there)) == len(there) and len(set(made)) == len(made)


def _tracked(hd: HumanData) -> list[tuple[str, str]]:
    """Image and track of each row."""
    return list(zip(hd["image_path"].tolist(), map(str, hd[TRACK].tolist()), strict=True))


def rows_by_track(predictions: HumanData, truth: HumanData) -> tuple[HumanData, int]:
    """Predictions with the truth's row of each, by image and track, and how many were of nobody there.

    Raises
    ------
    DataError : the truth has no tracks, lists a person twice in an image, or the two have nobody in common.
    """
    if TRACK not in truth:
        raise DataError(f"has no {TRACK}, by which these predictions are paired", path=truth.source)
    there, made = _tracked(truth), _tracked(predictions)
    row_of = {key: row for row, key in enumerate(there)}
    for hd, keys in ((truth, there), (predictions, made)):
        if len(set(keys)) < len(keys):
            raise DataError("has one track twice in an image", path=hd.source)
    rows = np.array([row_of.get(key, -1) for key in made])
    kept = np.flatnonzero(rows >= 0)
    if not len(kept):
        said = f"has nobody of {truth.source} (the first is {made[0][1]} in {made[0][0]})"
        raise DataError(said, path=predictions.source, fix="score them beside the test set that they are of")
    return predictions[kept].with_columns({TRUTH_ROW: rows[kept]}), len(rows) - len(kept)


def with_paths_of(predictions: HumanData, truth: HumanData) -> HumanData:
    """Predictions whose images are called as the truth calls them, where the ends of their paths tell which they are.

    Of a path that the truth does not list, the longest end counts that is the end of one of the truth's only.
    """
    listed = list(dict.fromkeys(truth["image_path"].tolist()))
    ends: dict[tuple[str, ...], str | None] = {}
    for path in listed:
        parts = PurePosixPath(path).parts
        for start in range(len(parts)):
            ends[parts[start:]] = None if parts[start:] in ends else path
    called: dict[str, str] = dict(zip(listed, listed, strict=True))
    for path in dict.fromkeys(predictions["image_path"].tolist()):
        parts = PurePosixPath(path).parts
        found = next((ends[parts[start:]] for start in range(len(parts)) if parts[start:] in ends), None)
        called.setdefault(path, found or path)
    return predictions.with_columns({"image_path": [called[path] for path in predictions["image_path"].tolist()]})


def check_device(device: str) -> None:
    """
    Raises
    ------
    UsageError : tensors cannot be made there.
    """
    if device == "cpu":
        return
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"{device!r} is no device that can be used here ({reason})", fix="--device cpu") from None


def check_output(out: Path | None) -> None:
    """
    Raises
    ------
    UsageError : ``out`` is not called ``.json``, or a file or folder is in its way.
    """
    if out is None:
        return
    if out.suffix != ".json":
        raise UsageError("a score is written as .json", path=out, fix=f"--out {out.with_suffix('.json')}")
    if out.is_dir():
        raise UsageError("this is a folder", path=out, fix="give the name of a file")
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not above.is_dir():
        raise UsageError(f"{above} is a file, not a folder", path=out, fix="choose another folder")


def save_score(result: Score, out: Path, truth: str | Path) -> list[Path]:
    """Write a score as JSON, and errors of instances beside it (``NAME.errors.parquet``).

    Returns
    -------
    The files written.

    Raises
    ------
    UsageError : as :func:`check_output`.
    """
    check_output(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    cell = as_cell(result, truth)
    errors = out.with_name(out.stem + ERRORS_SUFFIX)
    result.errors.assign(test_set=cell["test_set"], protocol=cell["protocol"]).to_parquet(errors, index=False)
    write_json(out, {"cells": [cell]})
    return [out, errors]


def as_cell(result: Score, truth: str | Path) -> dict[str, Any]:
    """A score as ``metrics.json`` of run folders has it."""
    hd = HumanData.open(truth)
    return {
        "test_set": Path(truth).stem,
        "dataset": hd.passport.dataset,
        "split": hd.passport.split,
        "content": content_hash(Path(truth)),
        "protocol": result.protocol.id,
        "definition": result.protocol.to_dict(),
        "key": "",
        "metrics": result.metrics,
        "notes": result.notes,
        "not_computed": result.not_computed,
        "remarks": result.remarks,
        "printed": printed(result.metrics),
    }
