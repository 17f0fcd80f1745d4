"""What people marked in images beside predicted bodies: silhouettes, body parts and keypoints.

Predictions are drawn at the size of the label, through their own cameras. Facts: the evaluation code of SSP-3D, SPIN,
PyMAF and UP-3D, and COCO's definition of object keypoint similarity.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.benchmark.protocols.given_joints import named_points
from ehps.benchmark.protocols.measures import IN_IMAGE, Measure
from ehps.benchmark.protocols.point_errors import project
from ehps.benchmark.protocols.points import Bodies
from ehps.benchmark.protocols.protocol import Protocol
from ehps.benchmark.protocols.tables import Tables
from ehps.benchmark.protocols.vocabulary import AVERAGE_PRECISION
from ehps.errors import DataError, UsageError
from ehps.extras import need
from ehps.humandata.core import HumanData
from ehps.humandata.image_files import images_of, read_pixels

SILHOUETTE, PARTS, KEYPOINTS = "segmentation", "part_segmentation", "keypoints2d_original"
AREA, BOX, CROWD = "meta/area", "bbox_xywh", "meta/iscrowd"
COLUMNS = {"mask": (SILHOUETTE,), "parts": (PARTS,), "keypoints": (KEYPOINTS, AREA, BOX)}
"""Of the truth, by the form of a measure."""
CAMERA = ("meta/focal_length", "meta/principal_point")
IGNORED = 255  # label of pixels that are of no part in particular
PART_JOINTS = (  # of SMPL and SMPL-X; fingers, jaw and eyes follow their parents
    (15,),
    (0, 3, 6, 9, 12, 13, 14),
    (17, 19, 21, 23),
    (16, 18, 20, 22),
    (2, 5, 8, 11),
    (1, 4, 7, 10),
)
"""Joints of head, torso, right arm, left arm, right leg, left leg: labels 1 to 6 as in the annotations of UP-3D."""
SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
"""COCO's, by keypoint."""


def needed_columns(wanted: Sequence[Measure]) -> list[str]:
    """Columns of the truth that measures in the image read."""
    return list(dict.fromkeys(name for measure in wanted for name in COLUMNS.get(measure.form, ())))


@dataclass
class ImageLabels:
    """The labels of a test set, and what predictions that are compared with them add up to.

    Parameters
    ----------
    wanted : the measures; those in space are left out.
    predictions : whose cameras are used.
    truth : the test set.
    images : the folder that its masks are below.
    rows : (N,) those of the truth that are tested.
    at : (N,) the prediction of each.

    Raises
    ------
    DataError : a column is missing, or has values that are no cameras or no areas.
    UsageError : masks are wanted and there is no folder, or pycocotools is not installed.
    """

    wanted: Sequence[Measure]
    predictions: HumanData
    truth: HumanData
    protocol: Protocol
    tables: Tables
    images: Path | None
    rows: Array
    at: Array
    confusion: dict[str, Array] = field(default_factory=dict)
    """``silhouette`` and ``parts``: (C + 1, C) pixels of all images by true and predicted label, ignored last."""
    detections: list[tuple[Array, Array]] = field(default_factory=list)
    """Rows of the truth and the keypoints predicted for them."""

    def __post_init__(self) -> None:
        self.wanted = [measure for measure in self.wanted if measure.form in IN_IMAGE]
        for hd, names, why in (
            (self.truth, needed_columns(self.wanted), "with which predictions are compared"),
            (self.predictions, CAMERA if self.wanted else (), "by which bodies are seen in the image"),
        ):
            if absent := [name for name in names if name not in hd]:
                raise DataError(
                    f"has no {' and no '.join(absent)}, {why} under {self.protocol.id}",
                    path=hd.source,
                    fix="write masks as paths of images relative to the image folder, areas in square pixels, cameras "
                    "in pixels of the whole image",
                )
        if self.of("mask", "parts") and self.images is None:
            raise UsageError("the image folder is needed: the masks lie beside the images")
        if any(measure.metric in AVERAGE_PRECISION for measure in self.wanted):
            need("average precision", "pycocotools")
        if self.wanted:
            _check(self.predictions, CAMERA[0], self.at, (2,), "two numbers of pixels above 0", above=0)
            _check(self.predictions, CAMERA[1], self.at, (2,), "two numbers of pixels")
        if self.of("keypoints"):
            _check(self.truth, AREA, self.rows, (), "an area in square pixels", least=0)

    def of(self, *forms: str) -> list[Measure]:
        """The measures of some forms."""
        return [measure for measure in self.wanted if measure.form in forms]

    def errors(self, rows: Array, at: Array, bodies: Bodies) -> dict[tuple[str, str], Array]:
        """(part, metric) -> (N,) values of predictions ``at`` of ``rows``; average precision has none."""
        out: dict[tuple[str, str], Array] = {}
        if not self.wanted:
            return out
        camera = [np.asarray(self.predictions[name][at], np.float64) for name in CAMERA]
        for part in dict.fromkeys(measure.part for measure in self.of("mask", "parts")):
            metrics = [measure.metric for measure in self.wanted if measure.part == part]
            tables = self._drawn(part, rows, bodies.points("vertices/all"), *camera)
            self.confusion[part] = np.sum([*tables, self.confusion.get(part, np.zeros_like(tables[0]))], axis=0)
            out |= {(part, metric): np.array([of_pixels(metric, one) for one in tables]) for metric in metrics}
        if self.of("keypoints"):
            points = project(bodies.points("joints/body"), *camera)
            self.detections.append((rows, points))
            if any(measure.metric == "OKS" for measure in self.wanted):
                true = named_points(self.truth, KEYPOINTS, rows, "coco")
                values = similarity(points, true, np.asarray(self.truth[AREA][rows]))
                out["body", "OKS"] = np.where(self._crowd(rows), np.nan, values)
        return out

    def counted(self) -> int:
        """People of the truth that average precision is of: those with a labelled point that are no crowd."""
        if not self.of("keypoints"):
            return len(self.rows)
        labelled = named_points(self.truth, KEYPOINTS, self.rows, "coco")[..., 2] > 0
        return int((labelled.any(axis=1) & ~self._crowd(self.rows)).sum())

    def _crowd(self, rows: Array) -> Array:
        """(N,) bool: groups of people, of whom nobody is marked on his own."""
        return np.asarray(self.truth[CROWD][rows]) > 0 if CROWD in self.truth else np.zeros(len(rows), bool)

    def of_the_set(self) -> dict[tuple[str, str], float]:
        """Values of metrics that are made of all images together."""
        out = {}
        for measure in self.of("mask", "parts"):
            if measure.metric != "mIoU":
                out[measure.key] = of_pixels(measure.metric, self.confusion[measure.part])
        if any(measure.metric in AVERAGE_PRECISION for measure in self.wanted):
            rows, points = (np.concatenate(parts) for parts in zip(*self.detections, strict=True))
            names = np.array(self.truth["image_path"][rows].tolist())
            areas, boxes = (np.asarray(self.truth[name][rows], float) for name in (AREA, BOX))
            true = named_points(self.truth, KEYPOINTS, rows, "coco")
            values = average_precision(names, points, true, areas, boxes[:, :4], self._crowd(rows))
            out |= {measure.key: values[measure.metric] for measure in self.wanted if measure.metric in values}
        return out

    def _drawn(self, part: str, rows: Array, vertices: Array, focal: Array, centre: Array) -> list[Array]:
        """Pixels of each image by true and predicted label."""
        from ehps.body.rasteriser import rasterize

        assert self.images is not None
        body, column = self.protocol.body, PARTS if part == "parts" else SILHOUETTE
        faces = self.tables.models.faces(body)
        labels = self.tables.face_parts(body, PART_JOINTS) if part == "parts" else np.ones(len(faces), np.int64)
        classes = len(PART_JOINTS) + 1 if part == "parts" else 2
        folder = images_of(self.truth, self.images)
        pixels = project(vertices, focal, centre)
        out = []
        for i, name in enumerate(self.truth[column][rows].tolist()):
            path = folder.locate(name, int(rows[i]), column)
            true = read_mask(path, self._size(int(rows[i])), classes if part == "parts" else 0)
            face = rasterize(pixels[i : i + 1], vertices[i : i + 1, :, 2], faces, true.shape).face
            made = np.where(face >= 0, labels[face], 0)
            out.append(count(true, made, classes))
        return out

    def _size(self, row: int) -> tuple[int, int] | None:
        sides = [f"meta/{side}" for side in ("height", "width")]
        height, width = (int(self.truth[side][row]) if side in self.truth else 0 for side in sides)
        return (height, width) if height and width else None


def _check(
    hd: HumanData,
    name: str,
    rows: Array,
    shape: tuple[int, ...],
    what: str,
    *,
    above: float = -np.inf,
    least: float = -np.inf,
) -> None:
    values = hd[name]
    if values.shape[1:] != shape or not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        raise DataError(f"{name} is not {what} a row", path=hd.source)
    values = np.asarray(values[rows], np.float64).reshape(len(rows), -1)
    bad = ~(np.isfinite(values) & (values > above) & (values >= least)).all(axis=1)
    if bad.any():
        raise DataError(
            f"{name} is not {what} in {int(bad.sum())} of {len(rows)} rows (first: row {int(rows[bad][0])})",
            path=hd.source,
            fix="write it for every row that is tested",
        )


def read_mask(path: Path, size: tuple[int, int] | None, classes: int = 0) -> Array:
    """(H, W) labels of pixels: 1 where the image is not black, or with ``classes`` the label that is its grey.

    Raises
    ------
    DataError : it has another size than its image, or other labels.
    """
    pixels = read_pixels(path, deep=True)
    if size is not None and pixels.shape[:2] != size:
        held, wanted = ("{1}x{0}".format(*one) for one in (pixels.shape, size))
        raise DataError(f"is {held}, its image {wanted}", path=path, fix="write masks at the size of the image")
    grey = pixels.max(axis=2)
    if not classes:
        return (grey > 0).astype(np.int64)
    odd = (grey >= classes) & (grey != IGNORED) | (pixels.min(axis=2) != grey)
    if odd.any():
        raise DataError(
            f"has pixels of colour {pixels[odd][0].tolist()}",
            path=path,
            fix=f"write a grey image of labels 0 to {classes - 1}, and {IGNORED} where none is meant",
        )
    return grey.astype(np.int64)


def count(true: Array, made: Array, classes: int) -> Array:
    """(classes + 1, classes) pixels by true and predicted label, those to be ignored in the last row."""
    row = np.where(true == IGNORED, classes, true)
    return np.bincount((row * classes + made).ravel(), minlength=(classes + 1) * classes).reshape(classes + 1, classes)


def of_pixels(metric: str, table: Array) -> float:
    """Intersection over union of label 1, accuracy, or the mean F1 of all labels; NaN where there is nothing.

    Pixels to be ignored are background where accuracy is counted, and not there for the others.
    """
    known, ignored = table[:-1], table[-1]
    hits = np.diag(known)
    if metric == "accuracy":
        return float((hits.sum() + ignored[0]) / table.sum())
    either = known.sum(axis=0) + known.sum(axis=1)
    if metric == "mIoU":
        union = either[1] - hits[1]
        return float(hits[1] / union) if union else float("nan")
    if not either.any():
        return float("nan")
    shares = 2 * hits[either > 0] / either[either > 0]
    return float(shares.mean())


def similarity(made: Array, true: Array, area: Array) -> Array:
    """(N,) object keypoint similarity of (N, 17, 2) and labelled (N, 17, 3) pixels; NaN where nothing is labelled."""
    labelled = true[..., 2] > 0
    square = ((made - true[..., :2]) ** 2).sum(axis=-1)
    square = np.where(np.isnan(square), np.inf, square)  # behind the camera
    each = np.exp(-square / (2 * (2 * SIGMAS) ** 2 * (np.asarray(area, float)[:, None] + np.spacing(1))))
    number = labelled.sum(axis=1)
    return np.where(number > 0, (each * labelled).sum(axis=1) / np.maximum(number, 1), np.nan)


def average_precision(
    names: Array, made: Array, true: Array, area: Array, boxes: Array, crowd: Array
) -> dict[str, float]:
    """COCO's numbers, 0 to 1, of one prediction of score 1 a person.

    What is found at crowds and at people without a labelled point counts neither for nor against.

    Parameters
    ----------
    names : (N,) of the images.
    made : (N, 17, 2) pixels.
    true : (N, 17, 3) labelled pixels.
    area : (N,) square pixels of the person's mask.
    boxes : (N, 4) of the people.
    crowd : (N,) bool, groups of people.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    image = np.unique(names, return_inverse=True)[1]
    labelled = true[..., 2] > 0
    flags = np.where(labelled, 2, 0)
    given = np.concatenate([np.where(labelled[..., None], true[..., :2], 0), flags[..., None]], axis=-1)
    far = np.nan_to_num(np.concatenate([made, np.ones((*made.shape[:2], 1))], axis=-1), nan=-1e6)
    people: list[dict[str, Any]] = [
        {
            **{"id": i + 1, "image_id": int(image[i]), "category_id": 1, "iscrowd": int(crowd[i])},
            **{"keypoints": given[i].ravel().tolist(), "num_keypoints": int(labelled[i].sum())},
            **{"area": float(area[i]), "bbox": boxes[i].tolist()},
        }
        for i in range(len(names))
    ]
    found = [
        {"image_id": int(image[i]), "category_id": 1, "keypoints": far[i].ravel().tolist(), "score": 1.0}
        for i in range(len(names))
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": int(one)} for one in np.unique(image)],
            "annotations": people,
            "categories": [{"id": 1, "name": "person"}],
            "info": {},
        }
        truth.createIndex()
        test = COCOeval(truth, truth.loadRes(found), "keypoints")
        test.evaluate()
        test.accumulate()
        test.summarize()
    return {
        name: float(value) if value >= 0 else float("nan")
        for name, value in zip(AVERAGE_PRECISION, test.stats, strict=True)
    }
