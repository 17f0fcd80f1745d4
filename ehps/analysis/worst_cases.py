"""Where a model is wrong: the instances of each benchmark with the largest errors, truth beside prediction.

Errors are those that the evaluation stored, one an instance; predictions are the files beside them. What cannot be
drawn (a test file or an image that is no longer there, no body models) is said in place of the drawing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ehps.analysis.benchmarks import ERROR_COLUMNS, Benchmark, require
from ehps.analysis.ranking import benchmarks_of
from ehps.arrays import Array
from ehps.errors import DataError, EhpsError
from ehps.humandata.core import HumanData
from ehps.json_files import read_json
from ehps.moved_files import place_of

if TYPE_CHECKING:
    from ehps.body.models import BodyModels
    from ehps.humandata.drawing.persons import Image

WORST = 3
SIDE = 360
"""Longer side of a drawing, pixels."""

_TESTS = {"tests?": {str: {"data": str, "images": str}}}


@dataclass(frozen=True)
class Case:
    """One instance: how wrong the prediction is, and both drawn on its image.

    Attributes
    ----------
    benchmark : its label, test set and measure.
    train_set, model : whose prediction it is.
    place : ``median``, or ``worst`` with its number where there are several.
    row : of the test file.
    image_path, sequence : as the errors have them.
    value : of the error, mm.
    truth, prediction : drawings of the same part of the image, None where ``fault`` says why there are none.
    """

    benchmark: str
    train_set: str
    model: str
    place: str
    row: int
    image_path: str
    sequence: str
    value: float
    truth: Image | None = None
    prediction: Image | None = None
    fault: str = ""


def find(errors: pd.DataFrame, ranked: pd.DataFrame, *, worst: int = WORST) -> pd.DataFrame:
    """The median instance and the worst ones of the best training set, on each benchmark; of its first seed.

    Neighbouring frames fail alike: of each sequence one instance is taken, of each image where there are not enough
    sequences, before there are two of one.

    Parameters
    ----------
    errors : of ``results.load_errors``, with ``truth_row`` and ``image_path``.
    ranked : of ``ranking.rank``; its first row is the best training set.

    Returns
    -------
    frame ``benchmark, train_set, model, test_set, place, truth_row, image_path, sequence, value``, by benchmark, the
    median first, then from the largest error down. Empty when the best set has no errors.
    """
    require(errors, (*ERROR_COLUMNS, "truth_row", "image_path"), "errors")
    best = ranked.iloc[0]
    own = errors[errors["train_set"] == best["train_set"]]
    if "model" in own:
        own = own[own["model"] == best["model"]]
    if "seed" in own and own["seed"].notna().any():
        own = own[own["seed"] == own["seed"].min()]
    parts = [_of_benchmark(b, b.rows(own), worst) for b in benchmarks_of(ranked)]
    names = ["benchmark", "train_set", "model", "test_set", "place", "truth_row", "image_path", "sequence", "value"]
    found = pd.concat([p for p in parts if len(p)], ignore_index=True) if any(map(len, parts)) else pd.DataFrame()
    return found.assign(model=best["model"]).reindex(columns=names)


def drawn(cases: pd.DataFrame, results: pd.DataFrame, folder: str | Path, body_models: BodyModels | None) -> list[Case]:
    """The cases of :func:`find`, drawn.

    Parameters
    ----------
    results : of ``results.load`` of the same folder: which run a case is from.
    folder : of the runs.
    body_models : to draw predictions, which are stored as parameters.
    """
    return list(_drawn(cases, results, Path(folder), body_models))


def _drawn(cases: pd.DataFrame, results: pd.DataFrame, folder: Path, body_models: BodyModels | None) -> Iterator[Case]:
    first = results.sort_values("seed", kind="stable") if "seed" in results else results
    once = first.drop_duplicates(["train_set", "model", "test_set"])
    where = {(r.train_set, r.model, r.test_set): (str(r.run), str(r.test_label)) for r in once.itertuples()}
    for case in cases.itertuples(index=False):
        said = Case(
            *(str(case.benchmark), str(case.train_set), str(case.model), str(case.place), int(case.truth_row)),  # type: ignore[arg-type]
            *(str(case.image_path), str(case.sequence), float(case.value)),  # type: ignore[arg-type]
        )
        try:
            if body_models is None:
                raise DataError("no body models were given, which predictions are drawn with")
            run, label = where[case.train_set, case.model, case.test_set]
            truth, prediction = _pair(folder / run, label, said.row, body_models)
        except (EhpsError, KeyError) as error:
            yield Case(
                **{**vars(said), "fault": error.what if isinstance(error, EhpsError) else "its run is not there"}
            )
        else:
            yield Case(**{**vars(said), "truth": truth, "prediction": prediction})


def _of_benchmark(benchmark: Benchmark, rows: pd.DataFrame, worst: int) -> pd.DataFrame:
    rows = rows[np.isfinite(rows["value"].astype(float))].sort_values("value", ascending=False, kind="stable")
    if not len(rows):
        return rows
    middle = rows.iloc[[len(rows) // 2]].assign(place="median")
    first = ~rows.duplicated("sequence")
    second = ~first & ~rows.duplicated("image_path")
    chosen = np.concatenate([np.flatnonzero(part) for part in (first, second, ~first & ~second)])[:worst]
    top = rows.iloc[np.sort(chosen)]
    top = top.assign(place=[f"worst {i}" if len(top) > 1 else "worst" for i in range(1, len(top) + 1)])
    return pd.concat([middle, top]).assign(benchmark=benchmark.label)


def _pair(run: Path, label: str, row: int, body_models: BodyModels) -> tuple[Image, Image]:
    """The truth and the prediction of a row, each drawn on the same part of its image.

    Raises
    ------
    DataError : the test file, the predictions or the image are not there, or do not fit each other.
    """
    from ehps.body.projected import ProjectedBodies
    from ehps.humandata.drawing.overlays import SKELETON_COLUMNS
    from ehps.humandata.drawing.persons import draw_keypoints, person_colour
    from ehps.humandata.image_files import ImageFolder, read_pixels

    tests = read_json(run / "manifest.json", _TESTS).get("tests", {})
    if label not in tests:
        raise DataError(f"does not say where the test set {label} is", path=run / "manifest.json")
    truth = HumanData.open(place_of("data", tests[label], run))
    predictions = HumanData.open(run / f"predictions_{label}.h5")
    if row >= len(truth):
        raise DataError(f"has no row {row}; it is not the file that was tested", path=Path(tests[label]["data"]))
    own = np.flatnonzero(predictions["meta/truth_row"] == row)
    if not len(own):
        raise DataError(f"has no prediction of row {row}", path=run / f"predictions_{label}.h5")
    image = read_pixels(ImageFolder(place_of("images", tests[label], run)).locate(truth["image_path"][row], row))
    column = next((name for name in SKELETON_COLUMNS if name in truth), None)
    true = np.zeros((0, 3)) if column is None else np.array(truth[column][row], np.float64)
    bodies = ProjectedBodies(predictions, body_models)
    guessed = np.asarray(bodies.joints(own[:1].tolist())[0], np.float64)
    window = _window(true, guessed, truth["bbox_xywh"][row], image.shape)
    part, factor = _cut(image, window)
    truly = draw_keypoints(part.copy(), _moved(true, window, factor), truth.keypoint_names[column]) if column else part
    surface = bodies.painted(part, bodies.surfaces(own[:1].tolist()), [person_colour(0)], window[:2], factor)
    return truly, draw_keypoints(surface, _moved(guessed, window, factor), bodies.convention)


def _window(true: Array, guessed: Array, box: Array, shape: tuple[int, ...]) -> Array:
    """x0, y0, x1, y1 around the box and both bodies, inside the image."""
    seen = np.concatenate([p[(p[:, 2] > 0) & np.isfinite(p).all(axis=1), :2] for p in (true, guessed)])
    corners = np.concatenate([seen, box[None, :2], box[None, :2] + box[None, 2:4]])
    # A prediction can be far off; what is shown is at most three boxes wide.
    middle, most = box[:2] + box[2:4] / 2, 1.5 * max(box[2:4])
    corners = np.clip(corners, middle - most, middle + most)
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = 0.08 * (high - low).max() + 4
    height, width = shape[:2]
    window = np.concatenate([np.floor(low - margin), np.ceil(high + margin)])
    window = np.clip(window, 0, (width, height, width, height)).astype(int)
    empty = (window[2:] - window[:2] < 8).any()
    return np.array([0, 0, width, height]) if empty else window


def _cut(image: Image, window: Array) -> tuple[Image, float]:
    """The part of an image inside the window, at a readable size, and how many times as large it is."""
    from ehps.humandata.drawing.pages import resized

    x0, y0, x1, y1 = window.tolist()
    part = np.ascontiguousarray(image[y0:y1, x0:x1])
    factor = SIDE / max(part.shape[:2])
    return resized(part, factor), factor


def _moved(points: Array, window: Array, factor: float) -> Array:
    """Points (J, 3) of the image on what :func:`_cut` gives."""
    moved = points.copy()
    moved[:, :2] = (moved[:, :2] - window[:2] + 0.5) * factor - 0.5
    return moved
