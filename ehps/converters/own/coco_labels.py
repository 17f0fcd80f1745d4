"""One's own images and 2D points: a COCO-style json, one file a split, with any skeleton.

Annotation tools write this form; they leave out much of what COCO has. Boxes are computed from the points where there
are none, labelled points are counted, sizes are read from the images where the file does not say them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.converters import ranges
from ehps.converters.base import Converter, DatasetCard, Instances, Keypoints, Unit, filter_records, no_instances
from ehps.converters.options import Option
from ehps.converters.own import skeletons
from ehps.converters.pipeline import convert
from ehps.converters.pipeline.report import Report
from ehps.converters.readers import coco, opened, raw_files
from ehps.errors import DataError, UsageError

LABELS = "coco"
CARD = DatasetCard(
    id=LABELS,
    name="COCO-style labels",
    homepage="https://cocodataset.org/#format-data",
    licence="your own",
    paper="none",
    annotation="fit to 2D points",
    annotation_note="no bodies; 2D points of any skeleton",
    body_model=None,
    appearance="real",
    scene="in the wild",
    persons="several",
    splits={"train": None, "val": None, "test": None},
    layout="FILE.json and a folder of images",
    options=(
        Option("labels", "the json file", "", "text"),
        Option("skeleton", "names of the points, a convention, or a file of names", "", "text"),
    ),
)


def convert_labels(
    labels: Path | str, images: Path | str | None, skeleton: str | None = None, split: str | None = None, **options: Any
) -> Report:
    """Convert a COCO-style json of one's own.

    Parameters
    ----------
    labels : the file.
    images : folder that its ``file_name`` are relative to.
    skeleton : names of the points, a convention, or a file of names, as :func:`.skeletons.skeleton` reads them; those
        that the file's first category names when None.
    split : train, val or test: what the file is for; train when None.
    options : of :func:`ehps.converters.pipeline.convert`: ``out``, ``jobs``, ``limit``, ...

    Raises
    ------
    UsageError : there is no folder of images, or the skeleton is not known.
    DataError : the file is missing, not COCO-style, or nothing is left of it.
    """
    path = Path(labels)
    if images is None:
        raise UsageError(f"convert {LABELS} needs the folder of the images", fix="pass --images DIR")
    if not raw_files.is_file(path):
        raise DataError("no such file", path=path, fix="give the COCO-style json of the labels")
    asked = dict(options.pop("options", {})) | {"labels": str(path.resolve())}
    if skeleton is not None:
        asked["skeleton"] = json.dumps(skeletons.skeleton(skeleton))
    return convert(CocoLabels, images, split, options=asked, **options)


class CocoLabels(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        return coco.units(Path(self.option("labels")), self.split)

    def read(self, unit: Unit) -> Instances:
        names, others = skeleton_of(unit.path, self.option("skeleton"))
        left_out: dict[str, list[str]] = {}
        annotations, images = coco.read(unit, left_out)
        check_counts([a for a in annotations if a.get("category_id") not in others], len(names), unit.path)
        people, dropped = filter_records(annotations, lambda a: self._unusable(a, images, len(names), others))
        dropped |= left_out
        if not people:
            return no_instances(dropped)
        own = [images[a["image_id"]] for a in people]
        points = np.array([triples(a["keypoints"], len(names)) for a in people])
        points[..., 2] = np.clip(points[..., 2], 0, 1) * ranges.labelled(points[..., 2])
        given = np.array([box_of(a.get("bbox")) for a in people])
        computed = given[:, 2] <= 0
        given[computed] = extents(points[computed])
        rows = Instances(
            image_path=[below(image["file_name"], self.root) for image in own],
            size=coco.stated_sizes(own),
            keypoints2d=Keypoints(points, names),
            bbox=given,
            meta={
                "annotation_id": ids([a["id"] for a in people]),
                "image_id": ids([a["image_id"] for a in people]),
                "num_keypoints": (points[..., 2] > 0).sum(axis=1),
                "bbox_computed": computed,
            },
            misc={"bbox_source": SOURCES[bool(computed.any()), bool(computed.all())]},
            dropped=dropped,
        )
        if all(isinstance(a.get("track_id"), int) for a in people):
            rows.meta["track_id"] = raw_files.column(people, "track_id")
        return rows

    def _unusable(self, a: dict[str, Any], images: dict[Any, Any], count: int, others: Sequence[Any]) -> str:
        """Why an annotation is left out, or nothing."""
        if a.get("iscrowd"):
            return "crowd region"
        if a.get("category_id") in others:
            return "category with another skeleton"
        points = triples(a.get("keypoints"), count)
        if points is None:
            return "no points" if not a.get("keypoints") else f"keypoints are not {count} finite x, y, v"
        if not (points[:, 2] > 0).any():
            return "no labelled point"
        return (
            "" if below(images[a["image_id"]].get("file_name"), self.root) else "image path leaves the folder of images"
        )


SOURCES = {
    (False, False): "provided_by_dataset",
    (True, False): "provided_by_dataset, where absent keypoints2d_original",
    (True, True): "keypoints2d_original",
}
"""Where boxes come from, by whether some and all of them were computed."""


@opened.remembered(2)
def skeleton_of(path: Path, given: str) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Names of the points, and ids of the categories whose people have other ones.

    Parameters
    ----------
    given : as :func:`.skeletons.skeleton` reads it; the points of the file's first category that has some when empty.

    Raises
    ------
    DataError : nobody names the points, or no category has as many as are given.
    """
    categories = [c for c in coco.listed(path, "categories") if isinstance(c, dict) and c.get("keypoints")]
    described = [(c.get("id"), c["keypoints"]) for c in categories if isinstance(c["keypoints"], list)]
    if given:
        names = skeletons.skeleton(given)
        others = tuple(key for key, points in described if len(points) != len(names))
        if described and len(others) == len(described):
            what = f"has {len(described[0][1])} points in categories[0].keypoints, but the skeleton names {len(names)}"
            raise DataError(what, path=path, fix="name all points, or leave out --skeleton")
        return names, others
    if not described:
        what = "does not name its points (categories[0].keypoints)"
        raise DataError(what, path=path, fix="pass --skeleton NAMES, in the order of the points")
    first = described[0][1]
    return skeletons.known(first, path), tuple(key for key, points in described if points != first)


def check_counts(annotations: Sequence[dict[str, Any]], count: int, path: Path) -> None:
    """Raise unless most people with points have ``count`` of them.

    Raises
    ------
    DataError : they have not.
    """
    labelled = [a["keypoints"] for a in annotations if a.get("keypoints")]
    odd = [points for points in labelled if triples(points, count) is None]
    if len(odd) <= len(labelled) / 2:
        return
    first = len(odd[0]) if isinstance(odd[0], list) else 0
    what = f"{len(odd)} of {len(labelled)} people have not {count} points x, y, v as the skeleton"
    raise DataError(
        f"{what}; the first has {first} numbers", path=path, fix="name all points with --skeleton, in order"
    )


def triples(value: Any, count: int) -> Array | None:
    """(count, 3) x, y, v, however nested; None where it is something else."""
    try:
        points = np.asarray(value, float).reshape(count, 3)
    except (TypeError, ValueError):
        return None
    return points if np.isfinite(points).all() else None


def box_of(value: Any) -> Array:
    """(4,) x, y, w, h of a box; zeros where there is none."""
    try:
        box = np.asarray(value, float).reshape(4)
    except (TypeError, ValueError):
        return np.zeros(4)
    return box if np.isfinite(box).all() and (box[2:] > 0).all() else np.zeros(4)


def extents(points: Array) -> Array:
    """(N, 4) boxes x, y, w, h of the labelled points (N, J, 3)."""
    seen = points[..., 2:] > 0
    low = np.where(seen, points[..., :2], np.inf).min(axis=1)
    high = np.where(seen, points[..., :2], -np.inf).max(axis=1)
    return np.hstack([low, high - low])


def ids(values: Sequence[Any]) -> Array | list[str]:
    """Integers, or texts where one is a text."""
    whole = all(isinstance(value, int) and abs(value) < 2**63 for value in values)
    return np.array(values, np.int64) if whole else [str(value) for value in values]


def below(name: Any, root: Path) -> str:
    """A ``file_name`` relative to ``root``; nothing where it is none, or leads elsewhere."""
    if not isinstance(name, str):
        return ""
    path = name.replace("\\", "/")
    if PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute():
        base = root.resolve().as_posix()
        path = path[len(base) :] if path.startswith(f"{base}/") else ""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "" if ".." in parts or "\0" in path else "/".join(parts)
