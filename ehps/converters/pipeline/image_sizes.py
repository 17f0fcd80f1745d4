"""Rows and the images on the disk: is each there, can it be read, and is it the one that the labels are for?

Labels (camera, points, boxes) are for an image of a certain size. Copies at another size are common: where the aspect
is the same, labels are scaled to the image, and ``meta/image_scale`` says by how much; where it is not, the row is left
out. Stored pixels are what counts: labels that are for the image as its EXIF orientation turns it are left out too.
A dataset that states no size is believed as long as its own points lie in the images.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.converters import ranges
from ehps.converters.base import Instances, Keypoints
from ehps.converters.pipeline.rows import BOXES, Account, take
from ehps.converters.readers.images import QUARTER_TURN, ImageIndex, scale_between
from ehps.errors import DataError
from ehps.humandata import HumanData

MISSING, UNREADABLE = "image missing", "image cannot be read"
OTHER_ASPECT = "image has another aspect than the one that was labelled"
TOO_SMALL = "points outside the image, as when it is smaller than the one that was labelled"
SCALED = (
    "rows are of images at another size than the labelled ones: camera, points and boxes are scaled to them "
    "(meta/image_scale)"
)
SPELLED = "rows are of images whose names have another ending or letter case than the annotation says"
TURNED = (
    "images have an EXIF orientation, and nothing says whether their labels are for the stored or the turned image: "
    "they are taken for the stored pixels"
)
MISC_IN_PIXELS = {"image_shape", "focal_length", "principal_point"}
MOST = 0.5  # of a unit's rows
FEW = 0.2  # of the images of a unit without stated sizes that are too small: then the others are so too
BEYOND = 0.05  # of the image's size: points that far outside are no matter of rounding
OUTSIDE = 0.2  # of a row's points
LISTED_SIZES = 3


def matched(
    rows: Instances, images: ImageIndex, account: Account, *, strict: bool = False, uncut: bool = False
) -> Instances:
    """The rows whose image can be used, with labels for it as it is stored.

    Parameters
    ----------
    rows : per row, as :func:`ehps.converters.pipeline.rows.per_row` gives them.
    strict : an image that is missing or cannot be read is an error.
    uncut : images have to be made out of the raw files, and this was not asked for.

    Raises
    ------
    DataError : none of the images can be read, or most of them are not those that were labelled; one is missing or
        cannot be read with ``strict``.
    """
    absent = images.missing(rows.image_path)
    if absent and strict:
        raise DataError(
            f"{len(absent)} images are missing, the first is {absent[0]}",
            fix="unpack them, or convert without --strict-images to leave their rows out",
        )
    stated = np.zeros((len(rows), 2), int) if rows.size is None else np.maximum(np.asarray(rows.size), 0)
    if absent and uncut and (stated > 0).all() and images.none_below(rows.image_path):
        account.note("no image is there: rows are kept without (--frames DIR makes them from the raw files)")
        return _for_frames(rows, account)
    if absent:
        keep = account.drop(rows.image_path, {MISSING: ~images.present(rows.image_path)})
        rows, stated = take(rows, keep), stated[keep]
    rows = _as_spelled(rows, images, account)
    unreadable = np.array([bool(images.header(path).unreadable) for path in rows.image_path], bool)
    if unreadable.any() and (strict or unreadable.all()):
        raise _unreadable(rows, images, unreadable)
    keep = account.drop(rows.image_path, {UNREADABLE: unreadable})
    rows, stated = (take(rows, keep), stated[keep]) if unreadable.any() else (rows, stated)
    return _for_sizes(rows, stated, images, account)


def count_scaled(data: HumanData, account: Account) -> None:
    """Count the rows that are written with scaled labels."""
    if "meta/image_scale" in data:
        account.count(SCALED, int((data["meta/image_scale"] != 1).sum()))


def scaled(rows: Instances, scale: Array, size: Array) -> Instances:
    """The rows with labels for images of another size.

    Parameters
    ----------
    scale : (N,) pixels of the images per pixel of the labels.
    size : (N, 2) height and width of the images.
    """

    def grown(value: Any) -> Any:
        value = np.asarray(value)
        made = value * scale.reshape(-1, *[1] * (value.ndim - 1))
        return made.astype(value.dtype) if value.dtype.kind == "f" else made

    out = replace(rows, size=size)
    if rows.camera is not None:
        focal, centre = grown(rows.camera.focal), grown(rows.camera.principal_point)
        out.camera = replace(rows.camera, focal=focal, principal_point=centre)
    if rows.keypoints2d is not None:
        points = rows.keypoints2d.points.copy()
        points[..., :2] = grown(points[..., :2])
        out.keypoints2d = replace(rows.keypoints2d, points=points)
    for name in BOXES:
        if (box := getattr(rows, name)) is not None:
            setattr(out, name, np.column_stack([grown(box[:, :4]), box[:, 4:]]))
    out.meta = rows.meta | {name: grown(rows.meta[name]) for name in rows.meta_in_pixels if name in rows.meta}
    out.meta["image_scale"] = scale.astype(np.float32)
    out.misc = _misc_for(rows.misc, scale, size)
    return out


def _misc_for(misc: dict[str, Any], scale: Array, size: Array) -> dict[str, Any]:
    """Facts of the whole file for images of another size; without those in pixels where images are of several."""
    if not (size == size[0]).all():
        return {name: fact for name, fact in misc.items() if name not in MISC_IN_PIXELS}
    in_pixels = MISC_IN_PIXELS & misc.keys()
    found = {name: (scale[0] * np.asarray(misc[name])).tolist() for name in in_pixels if name != "image_shape"}
    if "image_shape" in in_pixels:
        found["image_shape"] = size[0].tolist()
    return {name: found.get(name, fact) for name, fact in misc.items()}


def _for_frames(rows: Instances, account: Account) -> Instances:
    """Rows without images, with labels for the frames that will be cut out of the video."""
    if rows.frame_size is None:
        return rows
    size = np.broadcast_to(np.asarray(rows.frame_size, int), (len(rows), 2))
    return _scaled_where_needed(rows, np.asarray(rows.size), size, account)


def _as_spelled(rows: Instances, images: ImageIndex, account: Account) -> Instances:
    """Rows with their images' names as they are on the disk."""
    on_disk = {path: images.path_on_disk(path) for path in dict.fromkeys(rows.image_path)}
    paths = [on_disk[path] for path in rows.image_path]
    account.count(SPELLED, sum(path != own for path, own in zip(paths, rows.image_path, strict=True)))
    return replace(rows, image_path=paths)


def _unreadable(rows: Instances, images: ImageIndex, unreadable: Mask) -> DataError:
    name = rows.image_path[int(unreadable.argmax())]
    why = images.header(name).unreadable
    if unreadable.all():
        many = len(set(rows.image_path))
        what = f"none of its {many} images can be read: {name} {why}" if many > 1 else f"image {name} {why}"
    else:
        what = f"image {name} cannot be read: it {why}"
    return DataError(what, path=images.locate(name), fix="download or unpack the images again")


def _for_sizes(rows: Instances, stated: Array, images: ImageIndex, account: Account) -> Instances:
    """Rows whose image is the one that was labelled, in the stored orientation, with labels for its size."""
    size = images.sizes(rows.image_path)
    turn = np.array([images.header(path).orientation for path in rows.image_path], int)
    known = np.asarray((stated > 0).all(axis=1))
    fits = scale_between(stated, size) > 0
    quarter = turn >= QUARTER_TURN
    upright = known & ~fits & quarter & (scale_between(stated, size[:, ::-1]) > 0)
    other = known & ~fits & ~upright
    if other.sum() > MOST * len(rows):
        raise _other_aspects(rows, stated, size, other, images)
    too_small, turned, as_stored = _by_points(rows, size, ~known, quarter)
    upright |= turned
    _raise_if_most(rows, size, too_small, images)
    square = size[:, 0] == size[:, 1]
    undecided = (turn > 1) & ~upright & (square | ~quarter | ~known) & ~as_stored & ~too_small & ~other
    account.count(TURNED, len({rows.image_path[i] for i in np.flatnonzero(undecided).tolist()}))
    reasons = {
        f"image is stored turned (EXIF orientation {k}), its labels are for it upright": upright & (turn == k)
        for k in np.unique(turn[upright]).tolist()
    }
    if other.any():
        account.note(_both_sizes(rows, stated, size, other))
    keep = account.drop(rows.image_path, reasons | {OTHER_ASPECT: other, TOO_SMALL: too_small})
    rows, stated, size = (rows, stated, size) if keep.all() else (take(rows, keep), stated[keep], size[keep])
    rows = _scaled_where_needed(rows, stated, size, account)
    return _without_points_at_borders(rows) if rows.points_end_at_border else rows


def _scaled_where_needed(rows: Instances, stated: Array, size: Array, account: Account) -> Instances:
    known = (stated > 0).all(axis=1)
    between = scale_between(stated, size)
    scale = np.where(known & (between > 0), between, 1)
    needed = scale != 1
    if not needed.any():
        return replace(rows, size=size)
    pairs = np.unique(np.hstack([stated, size])[needed], axis=0).tolist()
    for h, w, height, width in pairs[:LISTED_SIZES]:
        account.note(f"labels are for {w} x {h} pixels, images have {width} x {height}")
    return scaled(rows, scale, size)


def _without_points_at_borders(rows: Instances) -> Instances:
    """Confidence 0 for own 2D points on or outside the border of their image."""
    if rows.keypoints2d is None:
        return rows
    points = rows.keypoints2d.points.copy()
    inside = (points[..., :2] > 0) & (points[..., :2] < np.asarray(rows.size)[:, None, ::-1])
    points[~inside.all(axis=2), 2] = 0
    return replace(rows, keypoints2d=Keypoints(points, rows.keypoints2d.convention))


# -- sizes that nobody states --------------------------------------------------------------------------------


def _by_points(rows: Instances, size: Array, asked: Mask, quarter: Mask) -> tuple[Mask, Mask, Mask]:
    """Of rows whose size is not stated, (N,) each: the image is too small for the points; they fit it only when it is
    turned as its EXIF orientation says; they fit it only as it is stored.

    Images in which the points fit either way follow the others of the unit.
    """
    none = np.zeros(len(rows), bool)
    if not asked.any():
        return none, none, none
    x, y, used = _places(rows)
    groups = np.unique(rows.image_path, return_inverse=True)[1]

    def out(size: Array, beyond: float, share: float) -> Mask:
        """(N,) rows of images in which a share of the points lies beyond the right or the lower border."""
        height, width = size.T[:, :, None] * (1 + beyond) + 1
        outside = used & ((x > width) | (y > height))
        bad = outside.sum(axis=1) > share * used.sum(axis=1)
        if rows.least_size is not None:
            bad |= (rows.least_size > size * (1 + beyond) + 1).any(axis=1)
        return np.asarray(np.bincount(groups, bad, groups.max(initial=0) + 1)[groups] > 0)

    stored, turned = out(size, 0, 0), out(size[:, ::-1], 0, 0)
    upright = asked & quarter & stored & ~turned
    as_stored = asked & quarter & ~stored & turned
    if upright.sum() > as_stored.sum():
        upright |= asked & quarter & ~stored & ~turned
    return asked & out(size, BEYOND, OUTSIDE) & ~upright, upright, as_stored


def _places(rows: Instances) -> tuple[Array, Array, Mask]:
    """x and y (N, K) of places that must lie in the image, and which of them count: the dataset's own 2D points, or the
    corners of the inner half of a box where a person has none that must."""
    n = len(rows)
    x, y = np.zeros((n, 0)), np.zeros((n, 0))
    used: Mask = np.zeros((n, 0), bool)
    if rows.keypoints2d is not None and not rows.points_beyond_image:
        x, y = rows.keypoints2d.points[..., 0], rows.keypoints2d.points[..., 1]
        used = (rows.keypoints2d.points[..., 2] > 0) & (x > 0) & (y > 0) & (np.maximum(x, y) <= ranges.PIXELS)
    if rows.bbox is not None:
        left, top, width, height = np.nan_to_num(ranges.within(rows.bbox[:, :4], ranges.PIXELS)).T[..., None]
        share = np.array([0.25, 0.75, 0.25, 0.75]), np.array([0.25, 0.25, 0.75, 0.75])
        alone = np.broadcast_to(~np.asarray(used.any(axis=1))[:, None], (n, 4))
        x, y = np.hstack([x, left + width * share[0]]), np.hstack([y, top + height * share[1]])
        used = np.hstack([used, alone])
    return x, y, used


def _raise_if_most(rows: Instances, size: Array, too_small: Mask, images: ImageIndex) -> None:
    """Raise when that many images of a unit are too small that all must be taken for such."""
    bad = {rows.image_path[i] for i in np.flatnonzero(too_small).tolist()}
    every = len(set(rows.image_path))
    if not len(bad) > MOST * every and not (len(bad) > 1 and len(bad) >= FEW * every):
        return
    i = int(too_small.argmax())
    name, (height, width) = rows.image_path[i], size[i].tolist()
    x, y, used = _places(rows)
    right, bottom = (float(np.where(used[i], v[i], 0).max(initial=0)) for v in (x, y))
    if rows.least_size is not None:
        bottom, right = max(bottom, rows.least_size[i, 0]), max(right, rows.least_size[i, 1])
    raise DataError(
        f"{len(bad)} of {every} images are smaller than those that were labelled: {name} has {width} x {height} "
        f"pixels, and its labels reach to ({right:.0f}, {bottom:.0f})",
        path=images.locate(name),
        fix="take the images in the size that the dataset has them; it does not state it, so labels cannot be scaled",
    )


# -- words ---------------------------------------------------------------------------------------------------


def _both_sizes(rows: Instances, stated: Array, size: Array, which: Mask) -> str:
    i = int(which.argmax())
    (h, w), (height, width) = stated[i].tolist(), size[i].tolist()
    return f"{rows.image_path[i]} has {width} x {height} pixels, its labels are for {w} x {h}"


def _other_aspects(rows: Instances, stated: Array, size: Array, other: Mask, images: ImageIndex) -> DataError:
    return DataError(
        f"{other.sum()} of {len(rows)} rows are of images that are not those that were labelled: "
        f"{_both_sizes(rows, stated, size, other)}",
        path=images.locate(rows.image_path[int(other.argmax())]),
        fix="take the images as the dataset has them, or whole copies at another size: crops cannot be used",
    )
