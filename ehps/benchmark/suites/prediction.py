"""Running a checkpoint over a test set. What comes out is HumanData, to be scored, drawn or exported like any
other.

Predictions live in the virtual camera of each person's box, written as a full-image camera: focal 5000/192 w,
5000/256 h for SMPL-X (the SMPLer-X convention), 5000/224 of the side of a square box for SMPL (SPIN's), principal point
the box centre. Their depths are not metric.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

import ehps
from ehps.arrays import Array
from ehps.benchmark import models
from ehps.benchmark.crop_boxes import virtual_camera
from ehps.benchmark.training import checkpoints
from ehps.benchmark.training.samples import CropView, HumanDataset, collate, to_device
from ehps.benchmark.training.specs import SetSpec
from ehps.body.models import BodyModels
from ehps.errors import DataError
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport
from ehps.progress import over
from ehps.worker_processes import sharing_context

Crop = Literal["exact", "warp"]


def predict(
    checkpoint: Path,
    test: SetSpec,
    out: Path,
    body_models: BodyModels,
    *,
    rows: Array | None = None,
    batch_size: int = 32,
    workers: int = 0,
    device: str | None = None,
    box_ratio: float | None = None,
    crop: Crop = "exact",
    model: str | None = None,
    progress: bool | None = None,
) -> HumanData:
    """Predict the rows of a test set and write them to ``out`` (``.h5``).

    Parameters
    ----------
    rows : rows of the test set, all by default. Rows whose box has no area in its image are left out.
    box_ratio : scale of the stored boxes; the checkpoint's training value by default.
    crop : ``exact`` as the model's card says, or ``warp``, one affine map of each box.
    model : the model that the file must be of; what the file itself tells by default.
    progress : print how far this is; as the program wants it by default.

    Returns
    -------
    HumanData, one row a person: ``smplx/*`` or ``smpl/*`` in the virtual camera, ``meta/truth_row`` (the row of the
    test file), ``meta/score``, ``meta/focal_length``, ``meta/principal_point``, ``bbox_xywh`` (the box as
    cropped), and ``meta/track_id`` where the test file has it.

    Raises
    ------
    DataError : an image is missing, damaged or of another size than its rows say.
    """
    net, content = checkpoints.load_model(checkpoint, body_models, model=model)
    card = models.card(content["model"]["name"])
    ratio = content["box_ratio"] if box_ratio is None else box_ratio
    view = CropView.of(net, card, ratio=ratio, training=crop == "warp")
    dataset = HumanDataset(test.data, test.images, view, rows=rows, with_targets=False, folders=test.folders)
    if not len(dataset):
        raise DataError("has no row to test with a box inside its image", path=test.data)
    dataset.require_images(show=progress)
    columns = run(net, dataset, batch_size=batch_size, workers=workers, device=device, progress=progress)
    hd = as_humandata(columns, dataset, body_models, card.body)
    hd.misc["checkpoint_sha256"] = content["weights_sha256"]
    hd.misc["crop"] = crop
    out.parent.mkdir(parents=True, exist_ok=True)
    hd.save(out)
    return HumanData.open(out)


def run(
    net: nn.Module,
    dataset: HumanDataset,
    *,
    batch_size: int = 32,
    workers: int = 0,
    device: str | None = None,
    progress: bool | None = None,
) -> dict[str, Array]:
    """Axis-angle parameters of every row of ``dataset``, in its order, float32."""
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    net = net.to(where).eval()
    context = sharing_context(HumanDataset.__module__) if workers else None
    loader = DataLoader(
        dataset, batch_size=batch_size, num_workers=workers, multiprocessing_context=context, collate_fn=collate
    )
    parts: dict[str, list[Array]] = {}
    with torch.inference_mode():
        for batch in over(loader, "predicting batches", show=progress):
            out = net(to_device(batch, where)["image"]).float()
            for name, value in (out.axis_angle() | {"cam_trans": out.cam_trans}).items():
                parts.setdefault(name, []).append(value.cpu().numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}


def as_humandata(
    parameters: dict[str, Array], dataset: HumanDataset, body_models: BodyModels, body: str = "smplx"
) -> HumanData:
    """Predictions of parameters of ``body`` (smplx or smpl) with what is needed to draw and score them."""
    truth, rows, boxes = dataset.hd, dataset.rows, dataset.boxes
    columns: dict[str, Any] = {
        "image_path": truth["image_path"][rows],
        **seen_columns(parameters, boxes, dataset.view.frame, body),
        "meta/truth_row": rows.astype(np.int64),
        "meta/score": np.ones(len(rows), np.float32),
    }
    for name in ("meta/height", "meta/width", "meta/track_id"):
        if name in truth:
            columns[name] = truth[name][rows]
    passport = Passport(
        **predicted_by("prediction", parameters, body_models, body),
        dataset=truth.passport.dataset,
        split=truth.passport.split,
        sampling=truth.passport.sampling,
    )
    return HumanData(columns, passport=passport)


def seen_columns(parameters: dict[str, Array], boxes: Array, frame: tuple[int, int], body: str) -> dict[str, Any]:
    """Columns of N predictions in the virtual cameras of their boxes: parameters, camera, box, gender.

    Parameters
    ----------
    parameters : as :func:`run` gives them.
    boxes : (N, 4) x, y, w, h, as they were cropped.
    frame : of the crop's view, see :class:`CropView`.
    body : smplx or smpl.
    """
    n = len(boxes)
    focal, centre = virtual_camera(boxes, frame)
    predicted = {f"{body}/{name}": value for name, value in parameters.items() if name not in ("cam_trans", "camera")}
    if body == "smplx":
        predicted |= {f"smplx/{eye}_pose": np.zeros((n, 3), np.float32) for eye in ("leye", "reye")}
    return {
        "bbox_xywh": np.concatenate((boxes, np.ones((n, 1), np.float32)), axis=1),
        **predicted,
        f"{body}/transl": parameters["cam_trans"],
        "meta/focal_length": focal,
        "meta/principal_point": centre,
        "meta/gender": ["neutral"] * n,
    }


def predicted_by(what: str, parameters: dict[str, Array], body_models: BodyModels, body: str) -> dict[str, Any]:
    """Fields of a passport that say what predictions are; ``what`` made them."""
    return {
        "body_model": body,
        "body_model_version": body_models.get(body, "neutral").version,
        "num_betas": parameters["betas"].shape[1],
        "gender": "neutral",
        "flat_hand_mean": False if body == "smplx" else None,
        "focal": "virtual",
        "converter": f"ehps {ehps.__version__} {what}",
    }
