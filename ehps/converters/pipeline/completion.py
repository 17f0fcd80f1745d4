"""From what a dataset has to what the format wants: the same steps for every dataset.

Rows that cannot be used are dropped and counted; body parameters move to the camera frame with the pelvis
correction; joints, their projections and the boxes follow from the body model; what cannot be made (no body model,
no camera) is left out with a reason. Every row gets its quality.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.body.models import BodyModels
from ehps.converters.base import ODD_ROWS, DatasetCard, Instances
from ehps.converters.pipeline import direct_columns, quality_measures
from ehps.converters.pipeline.camera_frame import Posed, before_camera, enough_joints, faceless, pose
from ehps.converters.pipeline.image_sizes import count_scaled, matched
from ehps.converters.pipeline.rows import Account, as_values, per_row, take, unusable
from ehps.converters.readers.images import ImageIndex
from ehps.errors import DataError
from ehps.humandata import HumanData, boxes
from ehps.humandata.keypoints import point_names

BLOCK = 4096
BOXLESS = "rows without 2D points have no box (bbox_xywh with confidence 0): their joints could not be projected"
SHOWN_PROBLEMS = 3
PART_BOXES = {"face_bbox": "face_bbox_xywh", "lhand_bbox": "lhand_bbox_xywh", "rhand_bbox": "rhand_bbox_xywh"}


@dataclass(frozen=True)
class Context:
    """What holds for the whole conversion.

    Attributes
    ----------
    card : of the dataset.
    split : that is converted.
    models : None when there are no body models.
    strict_images : an image that is missing or cannot be read is an error.
    uncut : images have to be made out of the raw files (``--frames``), and this was not asked for.
    """

    card: DatasetCard
    split: str
    models: BodyModels | None = None
    strict_images: bool = False
    uncut: bool = False


@dataclass
class Completed:
    """Rows of one unit in the format (None when nothing was kept), rows found, and what was left out."""

    data: HumanData | None
    found: int
    account: Account


def complete(rows: Instances, context: Context, images: ImageIndex, limit: int | None = None) -> Completed:
    """Bring one unit into the format, in blocks of :data:`BLOCK` rows.

    Parameters
    ----------
    limit : stop as soon as that many rows are kept.

    Raises
    ------
    DataError : lengths disagree; none of the images can be read, or most are not those that were labelled; images are
        missing or cannot be read with ``strict_images``.
    BodyModelError : a body model that rows need is not in the folder.
    """
    account = Account(
        {reason: list(names) for reason, names in rows.dropped.items()}, {}, list(rows.notes), dict(rows.counts)
    )
    out = Completed(None, len(rows) + sum(map(len, rows.dropped.values())), account)
    if not len(rows):
        return out
    rows = matched(per_row(rows), images, account, strict=context.strict_images, uncut=context.uncut)
    rows = take(rows, account.drop(rows.image_path, unusable(rows))) if len(rows) else rows
    parts: list[HumanData] = []
    for block in _blocks(rows):
        part = checked(_complete_block(block, context, account), account)
        parts += [part] if len(part) else []
        if limit is not None and sum(map(len, parts)) >= limit:
            break
    if parts:
        out.data = HumanData.concat(parts) if len(parts) > 1 else parts[0]
        out.data = _with_overlap(out.data, account) if rows.overlap else out.data
        if limit is not None and len(out.data) > limit:
            out.data = out.data[:limit]
        count_scaled(out.data, account)
    return out


def _with_overlap(hd: HumanData, account: Account) -> HumanData:
    """The rows with ``meta/overlap``."""
    if "bbox_xywh" not in hd:
        account.absent["meta/overlap"] = "there are no body boxes"
        return hd
    found = boxes.largest_overlaps(np.asarray(hd["bbox_xywh"]), np.asarray(hd["image_path"].codes))
    return hd.with_columns({"meta/overlap": found.astype(np.float32)})


def checked(hd: HumanData, account: Account) -> HumanData:
    """Rows that the schema has nothing against; the others are dropped and counted.

    Raises
    ------
    DataError : something is wrong with a whole column, or with most of the rows: then it is no odd row, but data of
        another kind than the converter takes them for.
    """
    if not len(hd):
        return hd
    problems = hd.validate()
    bad: dict[str, Mask] = {}
    for problem in problems:
        mask = np.zeros(len(hd), bool)
        mask[problem.rows] = True
        bad[f"{problem.column} {problem.what}"] = mask
    wrong = [str(p) for p in problems if not p.count or p.count > ODD_ROWS * len(hd)]
    if wrong:
        raise DataError(f"what was read contradicts the format: {'; '.join(wrong[:SHOWN_PROBLEMS])}")
    keep = account.drop(list(hd["image_path"]), bad)
    return hd if keep.all() else hd[keep]


def _blocks(rows: Instances) -> Iterator[Instances]:
    for start in range(0, len(rows), BLOCK):
        yield take(rows, slice(start, start + BLOCK))


def _complete_block(rows: Instances, context: Context, account: Account) -> HumanData:
    posed = enough_joints(pose(rows, context.models, account), account)
    posed = before_camera(posed, context.models, account)
    box, source = _body_box(posed, account)
    if box is not None:
        pointless = _pointless(posed)
        boxless = pointless & (posed.body is not None or posed.rows.keypoints3d is not None)
        empty = {"no joints of a body model and no 2D points to make a body box of": pointless & ~boxless}
        empty |= {"body box empty or outside the image": (box[:, 4] <= 0) & ~boxless}
        if boxless.any():
            account.note(BOXLESS)
        keep = account.drop(posed.rows.image_path, empty)
        posed, box = posed.kept(keep), box[keep]
    if not len(posed.rows):
        return HumanData({})
    rows, body, names = posed.rows, posed.body, posed.names
    columns: dict[str, Any] = {"image_path": list(rows.image_path)}
    keypoint_names: dict[str, tuple[str, ...]] = {}
    if box is not None:
        columns["bbox_xywh"] = box
    columns |= _part_boxes(posed, account)
    for name, points in (("keypoints2d", posed.points2d), ("keypoints3d", posed.points3d)):
        if points is not None:
            columns[f"{name}_{posed.model_type}"] = points
            keypoint_names[f"{name}_{posed.model_type}"] = names
    for name, own in (("keypoints2d_original", rows.keypoints2d), ("keypoints3d_original", rows.keypoints3d)):
        if own is not None:
            columns[name] = own.points.astype(np.float32)
            keypoint_names[name] = point_names(own.convention)
    if body is not None:
        made = direct_columns.body_columns(body)
        columns |= {name: value for name, value in made.items() if name not in account.absent}
    columns |= direct_columns.meta(rows, body)
    columns |= {name: as_values(value, name) for name, value in rows.columns.items()}
    columns |= quality_measures.measure(posed, box, approximate=context.card.reprojection != "exact")
    hd = HumanData(
        columns,
        keypoint_names=keypoint_names,
        passport=direct_columns.passport(rows, body, context.card, context.split, context.models),
        misc=direct_columns.misc(rows, body, source, context.card, context.split),
    )
    if body is None and posed.points3d is None:
        hd = hd.with_columns(quality_measures.without_bodies(hd))
    return hd


def _body_box(posed: Posed, account: Account) -> tuple[Array | None, str]:
    """(N, 5) body boxes with margin, clipped, and where they come from."""
    rows, size, scale = posed.rows, np.asarray(posed.rows.size), direct_columns.box_scale(posed.rows)
    if rows.bbox is not None:
        box = boxes.clip(boxes.scale(rows.bbox, scale), size)
        return np.where(box[:, 4:] > 0, box, 0).astype(np.float32), "provided_by_dataset"
    if posed.points2d is not None:
        return boxes.from_keypoints(posed.points2d, size, scale), f"keypoints2d_{posed.model_type}"
    if rows.keypoints2d is not None:
        return boxes.from_keypoints(rows.keypoints2d.points, size, scale), "keypoints2d_original"
    account.absent["bbox_xywh"] = "the dataset has no boxes and no 2D points, and joints could not be projected"
    return None, ""


def _pointless(posed: Posed) -> Mask:
    """(N,) rows whose box can only be made of their own 2D points, none of which is seen."""
    rows = posed.rows
    if rows.bbox is not None or posed.points2d is not None or rows.keypoints2d is None:
        return np.zeros(len(rows), bool)
    return np.asarray(~(rows.keypoints2d.points[..., 2] > 0).any(axis=1))


def _part_boxes(posed: Posed, account: Account) -> dict[str, Array]:
    """Face and hand boxes (N, 5): the dataset's own, else around joints; confidence 0 where there is none."""
    rows, size = posed.rows, np.asarray(posed.rows.size)
    made: dict[str, Array] = {}
    if posed.points2d is not None:
        made = boxes.part_boxes(posed.points2d, posed.names, size)
    elif rows.keypoints2d is not None:
        made = boxes.part_boxes(rows.keypoints2d.points, point_names(rows.keypoints2d.convention), size)
    found: dict[str, Array] = {}
    for name, column in PART_BOXES.items():
        own = getattr(rows, name)
        if own is not None:
            clipped = boxes.clip(own, size)
            found[column] = np.where(clipped[:, 4:] > 0, clipped, 0).astype(np.float32)
        elif column in made:
            found[column] = made[column]
        else:
            account.absent[column] = "the dataset has no such boxes, and joints could not be projected"
    if rows.face_bbox is None and posed.body is not None and faceless(posed.body):
        found["face_bbox_xywh"] = np.zeros((len(rows), 5), np.float32)
    return found
