"""Columns and statements that follow from a unit's rows without any computation."""

from __future__ import annotations

from typing import Any

import numpy as np

import ehps
from ehps.arrays import Array
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.converters.base import DatasetCard, Instances
from ehps.converters.pipeline.rows import as_values
from ehps.humandata import Passport, boxes
from ehps.humandata.passport import LOCKED, UNKNOWN


def body_columns(body: BodyParams) -> dict[str, Array]:
    """``<model type>/<name>`` of parameters in the camera frame."""
    columns: dict[str, Array] = {}
    for name, value in body.arrays().items():
        if name == "betas_extra":
            value = value.reshape(len(body), 1)
        columns[f"{body.model_type}/{name}"] = np.ascontiguousarray(value, np.float32)
    return columns


def meta(rows: Instances, body: BodyParams | None) -> dict[str, Any]:
    """``meta/*``: image sizes, genders of the models, cameras, and what the converter adds."""
    size = np.asarray(rows.size)
    columns: dict[str, Any] = {
        "meta/height": size[:, 0].astype(np.int32),
        "meta/width": size[:, 1].astype(np.int32),
    }
    if body is not None:
        columns["meta/gender"] = [str(gender) for gender in body.gender]
    if rows.camera is not None:
        columns["meta/focal_length"] = np.ascontiguousarray(rows.camera.focal, np.float32)
        columns["meta/principal_point"] = np.ascontiguousarray(rows.camera.principal_point, np.float32)
        if rows.camera.distortion is not None:
            name = "dist_coeffs" if rows.camera.lens == "opencv" else f"{rows.camera.lens}_dist_coeffs"
            columns[f"meta/{name}"] = np.ascontiguousarray(rows.camera.distortion, np.float32)
    return columns | {f"meta/{key}": as_values(value, f"meta/{key}") for key, value in rows.meta.items()}


def box_scale(rows: Instances) -> float:
    """By how much body boxes are enlarged: those of the dataset that stay as they are, not at all."""
    return 1.0 if rows.bbox is not None and rows.bbox_padded else boxes.BODY_SCALE


def misc(rows: Instances, body: BodyParams | None, box_source: str, card: DatasetCard, split: str) -> dict[str, Any]:
    """Facts of the whole file; the converter's own win."""
    facts: dict[str, Any] = {
        "config": card.config.format(split=split) or card.id,
        "kps3d_root_aligned": False,
        "bbox_facehand_scale": boxes.PART_SCALE,
    }
    if box_source:
        facts |= {"bbox_source": box_source, "bbox_body_scale": box_scale(rows)}
    if body is not None and body.model_type != "smpl":
        facts["flat_hand_mean"] = bool(body.flat_hand_mean)
    if body is not None:
        facts[f"{body.model_type}_source"] = "original"
    if rows.camera is not None:
        facts["cam_param_type"] = "predicted_camera" if rows.camera.virtual else "perspective"
    return facts | rows.misc


def passport(
    rows: Instances, body: BodyParams | None, card: DatasetCard, split: str, models: BodyModels | None
) -> Passport:
    """What the numbers of these rows mean."""
    stated = Passport(
        dataset=card.id,
        split=split,
        sampling=card.sampling,
        converter=f"ehps {ehps.__version__}",
        focal=None if rows.camera is None else "virtual" if rows.camera.virtual else "image",
    )
    if body is None:
        return stated
    if models is None:
        version = LOCKED if body.locked_head else UNKNOWN
    else:
        version = models.of(body).version(body.model_type, body.gender)
    return stated.with_(
        body_model=body.model_type,
        body_model_version=version,
        num_betas=int(body.betas.shape[1]),
        gender="neutral" if (body.gender == "neutral").all() else "per-instance",
        flat_hand_mean=None if body.model_type == "smpl" else bool(body.flat_hand_mean),
    )
