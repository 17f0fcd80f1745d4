"""Training and test samples from a HumanData file and its images.

Rows are read from memory-mapped columns, one at a time: nothing is kept per row, workers share the file. No
body model is evaluated here (see :mod:`ehps.benchmark.training.targets`). What SMPL-X a row gives follows the SMPLer-X
data rules: first ten betas, ``betas_neutral`` preferred, shapes with any |beta| > 3 replaced by the mean
shape, which teaches nothing of shapes, SMPL and SMPL-H rows used for their first 21 body joints. Hands, face and shape
that a row lacks (no column, flagged invalid, not numbers; hands and shapes also where all are zero) are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ehps.arrays import Array, strided
from ehps.benchmark import crop_boxes
from ehps.benchmark.models.cards import ModelCard
from ehps.benchmark.models.outputs import CAMERA
from ehps.benchmark.protocols import true_bodies
from ehps.benchmark.training import crops, truncated_crops
from ehps.benchmark.training.pack_file import is_pack
from ehps.benchmark.training.packs import Pack, check_alone, content_of, require_sizes
from ehps.benchmark.training.smpl_targets import SmplRows
from ehps.benchmark.training.targets import SLICES, WIDTH
from ehps.benchmark.training.truncated_crops import Resize
from ehps.body.hands import mean_hands
from ehps.body.models import BodyModels
from ehps.body.projected import is_pinhole
from ehps.body.variants import genders_of, has_locked_head
from ehps.errors import DataError, PassportError, UsageError
from ehps.humandata import frames, keypoints
from ehps.humandata.core import HumanData
from ehps.humandata.image_checks import require_images
from ehps.humandata.image_files import OutsideError, images_of, stored_size
from ehps.humandata.validation import require_columns

AT_ONCE = 16_384  # rows whose boxes are computed at a time, which stay in a processor's cache
RESIZED: dict[str, Resize] = {"averaged": "bicubic", "bilinear": "bilinear"}
"""Sampling of a card's view -> how a window of whole pixels is resized."""


@dataclass(frozen=True)
class CropView:
    """How rows become crops.

    Attributes
    ----------
    size : (height, width) pixels.
    ratio : scale of the box, after it was widened to ``aspect``.
    antialias : whether large images are averaged down instead of sampled.
    augment : whether crops are augmented.
    aspect : width to height of the box, about the centre of the stored one: 3:4, for the virtual camera of SMPL-X, or
        any other, of which boxes are not cut at the image's edges, as the models for SMPL have it.
    resize : how a window of whole pixels becomes the crop, see :mod:`ehps.benchmark.training.truncated_crops`; None for
        one affine map, which is what augmented crops have.
    turned, colour : of the augmentation, see :func:`ehps.benchmark.training.crops.draw`.
    """

    size: tuple[int, int]
    ratio: float = 1.2 * 0.833
    antialias: bool = False
    augment: bool = False
    aspect: float = crop_boxes.ASPECT
    resize: Resize | None = None
    turned: float = 0.6
    colour: float = 0.2

    @classmethod
    def of(
        cls, net: nn.Module, card: ModelCard, *, ratio: float, training: bool = False, augment: bool = False
    ) -> CropView:
        """What a network of this card wants to see, in training or tested."""
        height, width = net.input_size  # type: ignore[misc]
        drawn = {} if card.view is None else {"turned": card.view.turned, "colour": card.view.colour}
        whole = card.view is not None and card.view.window == "whole pixels" and not training
        return cls(
            size=(height, width),
            ratio=ratio,
            antialias=bool(getattr(net, "antialias", False)),
            augment=augment,
            aspect=crop_boxes.ASPECT if card.body == "smplx" else width / height,
            resize=RESIZED[card.view.sampling] if whole and card.view is not None else None,
            **drawn,
        )

    @property
    def frame(self) -> tuple[int, int]:
        """(height, width) of the frame that targets are in: the virtual camera's, where the box has its aspect."""
        return CAMERA.size if self.aspect == crop_boxes.ASPECT else self.size


class HumanDataset(Dataset[dict[str, Any]]):
    """Crops and packed targets of the rows of one HumanData file.

    Parameters
    ----------
    source : path of the file (reopened in every worker) or an opened HumanData.
    images : folder that ``image_path`` is relative to, or a file of packed crops.
    view : how to crop.
    models : needed when hands are stored absolute (the mean hand is subtracted) and when shapes are gendered
        without ``betas_neutral`` (they are refitted to the neutral model).
    rows : which rows, all by default; every ``interval``-th of them is taken, see
        :func:`ehps.arrays.strided`.
    with_targets : False for prediction: only the image is read.
    seed : of the augmentation; the draw depends on seed, row and draw number alone.
    folders : image folders of a merged file by their labels, where they are not those that it names.
    body : whose parameters the targets are of, ``smplx`` or ``smpl``.

    An item is ``{"image": (3, h, w) uint8, "target": (WIDTH,) float32, "box": (4,), "row": int}``. An image
    that cannot be read gives ``{"error": DataError}``, which :func:`collate` passes on, so that worker
    processes keep the message.
    """

    def __init__(
        self,
        source: str | Path | HumanData,
        images: str | Path,
        view: CropView,
        *,
        models: BodyModels | None = None,
        rows: Array | None = None,
        interval: float = 1,
        with_targets: bool = True,
        seed: int = 0,
        keep_mb: float = 0,
        folders: Mapping[str, Path] | None = None,
        body: str = "smplx",
    ) -> None:
        self._path = None if isinstance(source, HumanData) else Path(source)
        self._hd = source if isinstance(source, HumanData) else None
        self.view = view
        check_alone(Path(images), folders or {})
        self.pack = Pack(Path(images)) if is_pack(Path(images)) else None
        self.folder = images_of(self.hd, images, folders)
        self.seed, self.with_targets = seed, with_targets
        self.kept = crops.Kept(keep_mb) if keep_mb else None
        hd = self.hd
        for name in ("image_path", "bbox_xywh"):
            if name not in hd:
                raise DataError(f"has no {name} column", path=self._path or hd.source, fix="convert it again")
        require_columns(hd, ("image_path", "bbox_xywh", "meta/height", "meta/width"))
        if self.pack is not None:
            require_sizes(hd)
        chosen = np.arange(len(hd)) if rows is None else np.asarray(rows)
        chosen = chosen[strided(len(chosen), interval)]
        self.boxes, valid = self._widened(chosen)
        self.rows = chosen
        if not valid.all():
            self.rows, self.boxes = chosen[valid], self.boxes[valid]
        self.left_out = int((~valid).sum())
        self._places = None if self.pack is None else self._packed(self.pack)
        self.hands_mean: tuple[Array, Array] | None = None
        self._neutral: Array | None = None
        self._smpl: SmplRows | None = None
        if with_targets and body == "smpl":
            frames.required(hd, "training")
            self._smpl = SmplRows(hd, models)
        elif with_targets:
            check_meaning(hd)
            self.model_type = training_model_type(hd)
            self._prepare(models)

    @property
    def hd(self) -> HumanData:
        if self._hd is None:
            assert self._path is not None
            self._hd = HumanData.open(self._path)
        return self._hd

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._path is not None:
            state["_hd"] = None  # the file is mapped again on the other side
        return state

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        position, number = index if isinstance(index, tuple) else (index, 0)
        row = int(self.rows[position])
        drawn = crops.NONE
        if self.view.augment:
            drawn = crops.draw(np.random.default_rng((self.seed, row, number)), self.view.turned, self.view.colour)
        box = self.boxes[position]
        try:
            pixels, matrix = self._crop(position, row, drawn)
        except OutsideError as error:
            return {"error": error}
        except DataError as error:
            return {"error": DataError(f"{error.what} (row {row})", path=error.path, fix=error.fix)}
        item: dict[str, Any] = {
            "image": torch.from_numpy(np.stack(cv2.split(pixels))),
            "box": torch.from_numpy(box),
            "row": row,
        }
        if self.with_targets:
            frame = np.array(self.view.frame, float) / np.array(self.view.size)
            matrix = matrix * frame[::-1, None]
            smpl = self._smpl
            packed = smpl.packed(self.hd, row, matrix, drawn) if smpl else self._target(row, matrix, drawn)
            item["target"] = torch.from_numpy(packed)
        return item

    def _crop(self, position: int, row: int, drawn: crops.Augmentation) -> tuple[Array, Array]:
        """(h, w, 3) pixels and the (2, 3) map from the full image."""
        box, size, antialias = self.boxes[position], self.view.size, self.view.antialias
        if self.pack is not None and self._places is not None:
            return self.pack.crop(int(self._places[position]), box, size, drawn, antialias=antialias)
        path = self.folder.locate(self.hd["image_path"][row], row)
        if self.view.resize is not None:
            return truncated_crops.crop(path, box, self.view.resize, size[0])
        return crops.crop(path, box, size, drawn, antialias=antialias, kept=self.kept)[:2]

    def _packed(self, pack: Pack) -> Array:
        """Where the rows are in the pack, which has all of them as the view wants them."""
        view = self.view
        if view.aspect != crop_boxes.ASPECT:
            what = f"holds crops of boxes that are {crop_boxes.ASPECT:g} times as wide as high, the model sees others"
            raise UsageError(what, path=pack.path, fix="give the image folder")
        return pack.require(
            content_of(self._path or self.hd),
            self.rows,
            self.boxes,
            size=view.size,
            ratio=view.ratio,
            antialias=view.antialias,
            augment=view.augment,
        )

    def require_images(self, *, show: bool | None = False) -> None:
        """See that the image of every row is there, has a sound header and the size that the row says; of packed crops
        that was seen when they were packed.

        Parameters
        ----------
        show : print how far this is.

        Raises
        ------
        DataError : some are not; it names their number and the first.
        """
        if self.pack is None:
            require_images(self.hd, self.folder, rows=self.rows, show=show)

    def _widened(self, rows: Array) -> tuple[Array, Array]:
        """Boxes (N, 4) of rows and (N,) bool, whether they have an area; made of some rows at a time."""
        hd = self.hd
        known: dict[str, Any] | None = None
        if "meta/height" not in hd or "meta/width" not in hd:
            paths = hd["image_path"][rows]
            known = {path: stored_size(self.folder.locate(path)) for path in paths.unique()}
        parts = []
        for start in range(0, max(len(rows), 1), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            boxes = hd["bbox_xywh"][some]
            if known is not None:
                sizes = np.array([known[path] for path in hd["image_path"][some]]).reshape(-1, 2)
            else:
                sizes = np.stack((hd["meta/height"][some], hd["meta/width"][some]), axis=1)
            if self.view.aspect == crop_boxes.ASPECT:
                parts.append(crop_boxes.widen(boxes, sizes, self.view.ratio))
            else:
                parts.append((crop_boxes.square(boxes, self.view.ratio), crop_boxes.with_area(boxes)))
        widened, valid = zip(*parts, strict=True)
        return np.concatenate(widened), np.concatenate(valid)

    def _prepare(self, models: BodyModels | None) -> None:
        hd = self.hd
        if hd.passport.flat_hand_mean and self.model_type in ("smplx", "smplh"):
            if models is None:
                raise UsageError(
                    "hand poses are stored without the mean hand, which only a body model knows",
                    fix="pass the folder of body models",
                )
            model = models.get("smplx", "neutral")
            mean = mean_hands(model).reshape(2, 45)
            self.hands_mean = (mean[0], mean[1])
        if self.model_type == "smplx" and "smplx/betas_neutral" not in hd:
            self._neutral = _refitted(hd, models)

    def _target(self, row: int, matrix: Array, drawn: crops.Augmentation) -> Array:
        hd, model_type = self.hd, self.model_type
        out = np.zeros(WIDTH, np.float32)

        def put(name: str, value: Any) -> None:
            out[SLICES[name]] = np.asarray(value, np.float32).reshape(-1)

        put("affine", matrix)
        put("rotation", drawn.rotation)
        put("flip", drawn.flip)
        put("global_orient", hd[f"{model_type}/global_orient"][row])
        put("body_pose", np.reshape(hd[f"{model_type}/body_pose"][row], (-1, 3))[:21])
        put("has_body", 1)
        if model_type != "smpl":
            self._put_hands(row, put)
        if model_type == "smplx":
            self._put_face_and_shape(row, put)
            self._put_camera(row, put)
        put("has_model", model_type == "smplx")
        if model_type != "smplx" or not out[SLICES["has_camera"]]:
            self._put_points(row, put)
        if not np.isfinite(out).all():
            out = np.nan_to_num(out, nan=0.0, posinf=0.0, neginf=0.0)
            for name in [n for n in SLICES if n.startswith(("has_", "points"))]:
                out[SLICES[name]] = 0
        return out

    def _flag(self, row: int, name: str) -> bool:
        return f"meta/{name}" not in self.hd or bool(self.hd[f"meta/{name}"][row])

    def _put_hands(self, row: int, put: Any) -> None:
        for side, (pose, flag) in enumerate(
            (("left_hand_pose", "lefthand_valid"), ("right_hand_pose", "righthand_valid"))
        ):
            if f"{self.model_type}/{pose}" not in self.hd:
                continue
            value = np.asarray(self.hd[f"{self.model_type}/{pose}"][row], np.float64).reshape(-1)
            if value.any() and np.isfinite(value).all() and self._flag(row, flag):  # all zeros: the set has no hands
                put(pose, value - self.hands_mean[side] if self.hands_mean else value)
                put(f"has_{pose[:-5]}", 1)

    def _put_face_and_shape(self, row: int, put: Any) -> None:
        hd = self.hd
        if "smplx/expression" in hd and self._flag(row, "face_valid"):
            expression = np.asarray(hd["smplx/expression"][row])
            jaw = np.asarray(hd["smplx/jaw_pose"][row]) if "smplx/jaw_pose" in hd else np.zeros(3)
            if np.isfinite(expression).all() and np.isfinite(jaw).all():
                put("expression", _ten(expression))
                put("jaw_pose", jaw)
                put("has_face", 1)
        betas = self._neutral[row] if self._neutral is not None else shape10(hd, row)
        if np.abs(betas).max() <= true_bodies.EXTREME:
            put("betas", betas)
            put("has_shape", betas.any())

    def _put_camera(self, row: int, put: Any) -> None:
        hd = self.hd
        if not is_pinhole(hd, row):
            return
        transl = hd["smplx/transl"][row] if "smplx/transl" in hd else np.zeros(3)
        if "meta/focal_length" in hd and "meta/principal_point" in hd and np.isfinite(transl).all() and transl[2] > 0:
            put("transl", transl)
            put("focal", np.broadcast_to(hd["meta/focal_length"][row], 2))
            put("principal_point", hd["meta/principal_point"][row])
            put("has_camera", 1)

    def _put_points(self, row: int, put: Any) -> None:
        for name, stem in (("points2d", "keypoints2d"), ("points3d", "keypoints3d")):
            for column in (f"{stem}_smplx", f"{stem}_smpl", f"{stem}_smplh", f"{stem}_original", stem):
                if column in self.hd and column in self.hd.keypoint_names:
                    points = np.asarray(self.hd[column][row])
                    put(name, keypoints.convert(points, self.hd.keypoint_names[column], "smplx")[0])
                    break


def check_meaning(hd: HumanData) -> None:
    """Raise unless the file says what training must know of its bodies.

    Raises
    ------
    DataError : there are none.
    PassportError : it is not known in which frame they are, or to whose body model shapes belong that are refitted;
        or they belong to the locked-head release, which is not the body that is trained.
    """
    frames.required(hd, "training")
    if training_model_type(hd) == "smplx" and has_locked_head(hd):
        raise PassportError(
            "has bodies of the locked-head release of SMPL-X, and SMPL-X 1.1 is what is trained",
            path=hd.source,
            fix="fit SMPL-X 1.1 to them: `ehps humandata convert FILE --to smplx --out NEW --body-models DIR`",
        )
    if training_model_type(hd) == "smplx" and "smplx/betas_neutral" not in hd:
        genders_of(hd[:0])


def training_model_type(hd: HumanData) -> str:
    """smplx, smplh or smpl: the first the file has parameters of.

    Raises
    ------
    DataError : it has none.
    """
    for model_type in ("smplx", "smplh", "smpl"):
        if f"{model_type}/global_orient" in hd and f"{model_type}/body_pose" in hd and f"{model_type}/betas" in hd:
            return model_type
    raise DataError(
        "has no body parameters to train on", path=hd.source, fix="convert it with body models, or choose another set"
    )


def _refitted(hd: HumanData, models: BodyModels | None) -> Array | None:
    """(N, 10) float32 neutral betas of a file with gendered ones; None when they are neutral already."""
    if hd.passport.gender == "neutral":
        return None
    gender = genders_of(hd)
    if (gender == "neutral").all():
        return None
    if models is None:
        raise UsageError(
            "shapes belong to gendered models; refitting them to the neutral one needs the body models",
            fix="pass the folder of body models",
        )
    betas = np.asarray(hd["smplx/betas"], np.float64)
    return true_bodies.neutral_shapes(betas, gender, models)[:, :10].astype(np.float32)


def shape10(hd: HumanData, row: int) -> Array:
    """(10,) ``betas_neutral`` of the row where the file has them, otherwise ``betas``; cut or padded to
    ten.
    """
    name = "smplx/betas_neutral" if "smplx/betas_neutral" in hd else "smplx/betas"
    return _ten(hd[name][row])


def _ten(values: Array) -> Array:
    """(10,) the first ten, or zeros after fewer."""
    out = np.zeros(10)
    out[: len(values)] = values[:10]
    return out


def collate(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch of tensors, or ``{"error": DataError}`` when an item failed."""
    for item in items:
        if "error" in item:
            return {"error": item["error"]}
    batch: dict[str, Any] = {name: torch.stack([item[name] for item in items]) for name in items[0] if name != "row"}
    batch["row"] = torch.tensor([item["row"] for item in items])
    return batch


def to_device(batch: dict[str, Any], device: torch.device | str) -> dict[str, Tensor]:
    """Batch on the device, the image as float32 in [0, 1]; raises what a worker met."""
    if "error" in batch:
        raise batch["error"]
    out = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
    out["image"] = out["image"].float() / 255
    return out
