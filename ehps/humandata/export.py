"""HumanData files where SMPLer-X, SMPLest-X and AiOS look for them, in the form that their loaders assume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError, UsageError
from ehps.humandata import export_tables, frames
from ehps.humandata.core import HumanData
from ehps.humandata.export_tables import OWN_FILES, TALKSHOW_SPEAKERS, Recipe
from ehps.humandata.storage import npz
from ehps.humandata.strings import Strings

TARGETS = {"smpler-x": "SMPLer-X", "smplest-x": "SMPLest-X", "aios": "AiOS"}
BETAS = 10  # all three evaluate the body model with ten


def recipe_for(hd: HumanData, target: str) -> Recipe:
    """File names, image folder and form that ``target`` expects of the dataset and split in the file's passport.

    Raises
    ------
    UsageError : an unknown target, or a dataset or split that the program has no reader for.
    """
    dataset, split = hd.passport.dataset, hd.passport.split
    if target not in TARGETS:
        raise UsageError(f"unknown target {target!r}", fix=f"known: {', '.join(TARGETS)}")
    if target == "smplest-x":
        return export_tables.smplest_x(dataset, split)
    found = export_tables.smpler_x(dataset, split) if target == "smpler-x" else export_tables.aios(dataset, split)
    if found is not None:
        return found
    program = TARGETS[target]
    if target == "smpler-x" and dataset in OWN_FILES:
        raise UsageError(
            f"{program} reads {dataset} from the dataset's own annotation files, not from HumanData",
            path=hd.source,
            fix="give it those, or export for another program",
        )
    known = export_tables.splits_for(target, dataset)
    raise UsageError(
        f"{program} has no reader for {dataset} {split}",
        path=hd.source,
        fix=f"it reads the splits {', '.join(known)} of {dataset}" if known else "save it as .npz instead",
    )


def export_for(hd: HumanData, target: str, folder: str | Path) -> list[Path]:
    """Write ``hd`` for ``target`` and return the files.

    The rows, boxes and keypoints stay as they are. Betas have ten columns; hand poses are taken as they are and the
    file says in ``misc["flat_hand_mean"]`` which they are, so they must already be what the program assumes (it may
    subtract the mean hand itself): :func:`recipe_for` tells, ``ehps.body.variants.with_hand_mean`` converts.

    Parameters
    ----------
    target : ``smpler-x``, ``smplest-x`` or ``aios``.
    folder : where the program's paths start: its data folder (SMPLer-X, SMPLest-X) or its checkout (AiOS). The images
        belong at ``folder / recipe_for(hd, target).images``.

    Raises
    ------
    UsageError : no such target, no reader for the dataset, or hand poses of the other kind.
    DataError : something that the program cannot do without is missing, or the file cannot be written.
    PassportError : the bodies are not known to be in the camera frame.
    """
    recipe = recipe_for(hd, target)
    _check(hd, target, recipe)
    hd = _prepared(hd, target, recipe)
    written = []
    for name, part in _parts(hd, recipe):
        path = Path(folder) / name
        if target == "aios":  # decompresses only some of the keypoint columns that it then uses
            part, frame_range = by_image(part)
            npz.write(part, path, compressed_keypoints=False, frame_range=frame_range)
        else:
            npz.write(part, path)
        written.append(path)
    return written


# -- what must be there -----------------------------------------------------------------------------------


def _check(hd: HumanData, target: str, recipe: Recipe) -> None:
    program = TARGETS[target]
    frames.required(hd, program)
    frames.require_full_head(hd, program)
    missing = [name for name in ("image_path", "bbox_xywh") if name not in hd]
    model_type = hd.body_model
    if model_type is None:
        missing.append("body parameters")
    if not any(name.startswith("keypoints2d") for name in hd.columns):
        missing.append("keypoints2d_*")
    if recipe.size is None and not {"meta/height", "meta/width"} <= set(hd.columns):
        missing.append("meta/height and meta/width")
    if target == "aios" and hd.passport.dataset == "ubody":
        flags = ("face_valid", "lefthand_valid", "righthand_valid", "valid_label", "iscrowd")
        missing += [f"meta/{flag}" for flag in flags if f"meta/{flag}" not in hd]
    if missing:
        raise DataError(f"lacks {', '.join(missing)}, which {program} needs", path=hd.source)
    if any(f"{model_type}/{side}_hand_pose" in hd for side in ("left", "right")):
        _check_hands(hd, program, recipe)
    if recipe.size is not None and {"meta/height", "meta/width"} <= set(hd.columns):
        sizes = np.stack([hd["meta/height"], hd["meta/width"]], axis=1)
        odd = np.flatnonzero((sizes != recipe.size).any(axis=1))
        if len(odd):
            h, w = sizes[odd[0]].tolist()
            raise DataError(
                f"{len(odd)} of {len(hd)} images are not {recipe.size[1]}x{recipe.size[0]}, which {program} insists on "
                f"(the first, {hd['image_path'][int(odd[0])]}, is {w}x{h})",
                path=hd.source,
                fix="convert the images in the size that its authors used",
            )


def _check_hands(hd: HumanData, program: str, recipe: Recipe) -> None:
    stated = hd.passport.flat_hand_mean
    if stated == recipe.flat_hand_mean:
        return
    assumed = "absolute (flat_hand_mean=True)" if recipe.flat_hand_mean else "relative to the mean hand"
    problem = "the file does not say which its are" if stated is None else "the file's are not"
    raise UsageError(
        f"{program} takes the hand poses of {hd.passport.dataset} for {assumed}, {problem}",
        path=hd.source,
        fix="say so: `ehps humandata convert FILE --declare flat_hand_mean=true|false --out NEW`"
        if stated is None
        else "pass --body-models DIR, which converts them "
        f"(in Python: ehps.body.variants.with_hand_mean(hd, {recipe.flat_hand_mean}, models))",
    )


# -- what it becomes --------------------------------------------------------------------------------------


def _prepared(hd: HumanData, target: str, recipe: Recipe) -> HumanData:
    dataset, n = hd.passport.dataset, len(hd)
    hd = hd.without([name for name in hd.columns if name.startswith("quality/")])
    columns: dict[str, Any] = {}
    points: dict[str, tuple[str, ...]] = {}
    for name in hd.columns:
        if name.endswith(("/betas", "/betas_neutral")):
            columns[name] = ten_columns(hd[name])
    if recipe.path_prefix:
        prefix = recipe.path_prefix
        columns["image_path"] = Strings.of(
            path if path.startswith(prefix) else prefix + path for path in hd["image_path"]
        )
    if target == "smplest-x":
        columns |= _smplest_x_meta(hd)
        if dataset == "ubody" and hd.body_model == "smplx":  # removes these without asking whether they are there
            eyes = [f"smplx/{side}eye_pose" for side in "lr"]
            columns |= {name: np.zeros((n, 3), np.float32) for name in eyes if name not in hd}
    if target == "aios":
        alias = {"ubody": "keypoints2d_ubody", "mscoco": "keypoints2d_ori"}.get(dataset)
        if alias and "keypoints2d_original" in hd:
            columns[alias] = hd["keypoints2d_original"]
            points[alias] = hd.keypoint_names["keypoints2d_original"]
        if "meta/occlusion" in hd:
            columns["meta/occ"] = hd["meta/occlusion"]
    out = hd.with_columns(columns, keypoint_names=points)
    out.passport = out.passport.with_(num_betas=BETAS)
    return out


def ten_columns(betas: Array) -> Array:
    """(N, B) as (N, 10): further components are left out, missing ones are zero."""
    out = np.zeros((len(betas), BETAS), betas.dtype)
    width = min(BETAS, betas.shape[1])
    out[:, :width] = betas[:, :width]
    return out


def _smplest_x_meta(hd: HumanData) -> dict[str, Array]:
    """Columns that SMPLest-X takes for granted when ``iscrowd`` or ``valid_label`` is there."""
    columns: dict[str, Array] = {}
    if "meta/valid_label" in hd and "meta/iscrowd" not in hd:
        columns["meta/iscrowd"] = np.zeros(len(hd), np.int64)
    if ("meta/iscrowd" in hd or columns) and "meta/num_keypoints" not in hd:
        first = next(name for name in hd.columns if name.startswith("keypoints2d"))
        columns["meta/num_keypoints"] = (hd[first][..., -1] > 0).sum(axis=1)
    return columns


def _parts(hd: HumanData, recipe: Recipe) -> list[tuple[str, HumanData]]:
    if recipe.by_speaker:
        paths = hd["image_path"]
        speaker = np.array([_speaker(path) for path in paths])
        if (speaker < 0).any():
            odd = paths[int(np.flatnonzero(speaker < 0)[0])]
            raise DataError(f"no speaker in the image path {odd}", path=hd.source)
        rows = [np.flatnonzero(speaker == i) for i in range(len(TALKSHOW_SPEAKERS))]
    else:
        rows = np.array_split(np.arange(len(hd)), len(recipe.files))
        if len(recipe.files) > 1 and len(hd) < len(recipe.files):
            raise DataError(f"has {len(hd)} rows for the {len(recipe.files)} files that are read", path=hd.source)
    if len(recipe.files) == 1:
        return [(recipe.files[0], hd)]
    return [(name, hd[part]) for name, part in zip(recipe.files, rows, strict=True)]


def _speaker(path: str) -> int:
    folders = path.split("/")
    return next((i for i, name in enumerate(TALKSHOW_SPEAKERS) if name in folders), -1)


def by_image(hd: HumanData) -> tuple[HumanData, Array]:
    """The rows with those of one image together, in order of first appearance, and (F, 2) the rows of each image."""
    first: dict[str, int] = {}
    image = np.array([first.setdefault(path, len(first)) for path in hd["image_path"]], np.int64)
    order = np.argsort(image, kind="stable")
    ends = np.cumsum(np.bincount(image, minlength=len(first)))
    frame_range = np.stack([np.concatenate([[0], ends[:-1]]) if len(ends) else ends, ends], axis=1)
    if (order == np.arange(len(hd))).all():
        return hd, frame_range.astype(np.int64)
    return hd[order], frame_range.astype(np.int64)
