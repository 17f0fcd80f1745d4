"""What a converter is: a card that says what the dataset is, and functions that read it.

A converter only reads. Everything that all datasets need (joints, projections, boxes, checking, writing,
resuming, reporting) is done by :mod:`ehps.converters.pipeline`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from ehps.arrays import Array, Mask
from ehps.body.params import BodyParams
from ehps.converters.options import Option
from ehps.errors import UsageError

if TYPE_CHECKING:
    from ehps.body.models import BodyModels

Annotation = Literal[
    "exact render",  # the bodies that were rendered
    "registered scans",
    "marker capture",
    "multi-view capture",  # without markers: fitted to several calibrated colour cameras
    "fit to RGB-D",  # one or several depth cameras
    "IMU and video",
    "electromagnetic sensors and video",
    "fit to 3D points",  # of a game, or of a capture that gave points only
    "fit to 2D points",  # optimised to labelled or detected points of images
    "network",  # pseudo labels of a network that was trained or tuned on the dataset's points
]
BodySource = Literal["authors", "NeuralAnnot", "EFT", "others"]
Appearance = Literal["real", "synthetic", "composite"]
Scene = Literal["indoor", "outdoor", "indoor and outdoor", "studio", "in the wild"]
Persons = Literal["one", "several"]
Reprojection = Literal["exact", "fitted", "none"]
BodyModel = Literal["smplx", "smplh", "smpl"]
VOCABULARIES: dict[str, tuple[str | None, ...]] = {
    "annotation": get_args(Annotation),
    "body_source": get_args(BodySource),
    "appearance": get_args(Appearance),
    "scene": get_args(Scene),
    "persons": get_args(Persons),
    "reprojection": get_args(Reprojection),
    "body_model": (*get_args(BodyModel), None),
}
"""What code reads of a card comes from these; free words are for people."""


@dataclass(frozen=True)
class DatasetCard:
    """The facts of one dataset, declared once; tables, docs pages, checks and reports are views of it.

    Attributes
    ----------
    id : as on the command line.
    config : tag of the set in ``config`` of a HumanData file, ``{split}`` for the split; the id where none is given.
    name : as in papers.
    homepage : where to register.
    licence : in a few words.
    commercial_use : whether the licence allows commercial use of the data; None where that is not established.
    redistribution : whether it allows passing them on; None likewise.
    derived_weights : whether weights that were trained on them may be used and passed on; None likewise.
    paper : authors, title, venue.
    annotation : how the bodies came about.
    annotation_note : the same in words, e.g. ``SMPL, pseudo (EFT); 14 crowd-labelled 2D joints``.
    body_source : who made the bodies that are converted by default: the dataset's authors, or a release of fits.
    body_model : smplx, smplh, smpl or None: what the fits are.
    locked_head : whether they belong to the locked-head release of SMPL-X.
    appearance : whether the images are real, rendered, or composed of real people and other backgrounds.
    scene : where the images were taken, those of the default split.
    scene_note : what else there is to say of that.
    persons : ``one`` or ``several`` annotated persons in an image.
    splits : split -> published number of instances (None where none is known); the first is the default.
    uncertain : splits whose number no document states under the dataset's name: it is that of a study of many
        datasets, whose figure names none.
    layout : the raw layout as a tree, in words.
    needs : paths relative to the root that must be there, ``*`` allowed; ``a | b`` when either will do.
    split_needs : the same for one split only.
    variants : path or pattern -> what it means: releases that users mistake for this one and that do not
        convert; ``*``, ``?`` and ``[1-3]`` allowed.
    get : how to get it: archives to download and where to unpack them.
    options : what may be chosen with ``--option name=value``.
    reprojection : ``exact`` when model joints must land on the dataset's 2D points within pixels, ``fitted``
        when they come from a fit to such points, ``none`` when the dataset has no 2D points of its own.
    points3d : metres within which model joints must be of the dataset's own 3D points (median over the rows).
    fps : of the source video, None for images.
    sampling : every how many frames of it are rows by default.
    notes : what users should know, one sentence each.
    """

    id: str
    name: str
    homepage: str
    licence: str
    paper: str
    annotation: Annotation
    annotation_note: str
    body_model: BodyModel | None
    appearance: Appearance
    scene: Scene
    persons: Persons
    splits: Mapping[str, int | None]
    layout: str
    uncertain: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    split_needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    variants: Mapping[str, str] = field(default_factory=dict)
    get: str = ""
    body_source: BodySource = "authors"
    locked_head: bool = False
    scene_note: str = ""
    commercial_use: bool | None = None
    redistribution: bool | None = None
    derived_weights: bool | None = None
    options: tuple[Option, ...] = ()
    config: str = ""
    reprojection: Reprojection = "none"
    points3d: float = 0.1
    fps: float | None = None
    sampling: int = 1
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, vocabulary in VOCABULARIES.items():
            if getattr(self, name) not in vocabulary:
                raise UsageError(
                    f"{self.name}: {name}={getattr(self, name)!r} is none of {', '.join(map(str, vocabulary))}"
                )
        for option in self.options:
            for split in self.splits:
                option.parse(option.default_of(split), self.name, split)

    @property
    def default_split(self) -> str:
        return next(iter(self.splits))


@dataclass(frozen=True)
class Unit:
    """What is read at once: one sequence, one video, one JSON file.

    Units are read in parallel; a run that is resumed keeps the finished ones, and errors name the unit they are about.

    Attributes
    ----------
    name : of the unit, as reports and errors show it.
    path : the file or folder that is read.
    data : small and picklable, what ``read`` needs to know beyond the path.
    """

    name: str
    path: Path
    data: Any = None


@dataclass
class Keypoints:
    """Points (N, J, 3) pixels or (N, J, 4) metres, confidence last, with the convention they follow."""

    points: Array
    convention: str | Sequence[str]


@dataclass
class Camera:
    """Pinhole of each row, pixels of an image of the stated size: (2,) for all rows or (N, 2) each.

    ``distortion`` is (K,) or (N, K) in OpenCV order (k1 k2 p1 p2 k3 [k4 k5 k6]) when the images are distorted.
    ``lens`` is the formula that it belongs to: ``opencv``, ``h36m`` (Human3.6M and the IMAR sets; k1 k2 p1 p2 k3,
    tangential terms without OpenCV's factor 2), or ``fisheye`` (OpenCV's; k1 k2 k3 k4). Coefficients of the latter two
    are written as ``meta/h36m_dist_coeffs`` and ``meta/fisheye_dist_coeffs``.
    ``virtual`` marks cameras invented per person, whose depths cannot be compared.
    """

    focal: Array
    principal_point: Array
    distortion: Array | None = None
    virtual: bool = False
    lens: Literal["opencv", "h36m", "fisheye"] = "opencv"


@dataclass
class Rigid:
    """World to camera: x_camera = rotation @ x_world + translation; (3, 3)/(3,) for all rows or one each."""

    rotation: Array
    translation: Array


@dataclass
class Instances:
    """Rows of one unit as the dataset has them; the pipeline completes them.

    Attributes
    ----------
    image_path : N paths relative to the root, ``/`` separated.
    size : (N, 2) or (2,) height and width in pixels of the image that camera, points and boxes are for, zeros for rows
        of which the dataset does not state it; None where it states none. The pipeline compares it with the images.
    camera : intrinsics, None where the dataset has none.
    body : parameters in the dataset's own frame, or None.
    world_to_camera : the extrinsics that take ``body`` to the OpenCV camera frame, None when it is there already.
        The pipeline moves the parameters, with the pelvis correction, for every dataset in the same way.
    keypoints2d : the dataset's own points, pixels.
    keypoints3d : its own points in the camera frame, metres.
    fit_joints : joints that the dataset's files hold beside the parameters of ``body``, by its model, in the camera
        frame, metres; the pipeline measures how far those of the parameters are from them, and writes none of them.
    bbox : (N, 4) or (N, 5) x, y, w, h[, confidence] where the dataset has boxes of people; otherwise they are made
        from the projected joints.
    face_bbox : the same of faces.
    lhand_bbox : the same of left hands.
    rhand_bbox : the same of right hands.
    bbox_padded : True when ``bbox`` is stored as it is, for it has a margin already; otherwise it is enlarged to the
        1.2 of the format.
    meta : further per-row facts, written as ``meta/<name>``.
    v_template : (V, 3) scan of the one person of these rows, metres, in place of the body model's template where a
        dataset has no betas (``body`` has zeros). Joints and boxes are then those of the scan; stored are the betas
        nearest to it, with the pelvis in its place, and ``meta/template_residual_m``, the mean distance that is left.
    vertices : (N, V, 3) meshes in the camera frame where the dataset has meshes but no parameters (EHF); joints
        and boxes are then made from them.
    columns : further columns under their full name (``vertices3d_path``).
    unknown : names in ``meta`` that are NaN where the dataset does not say them; other rows with NaN are dropped.
    misc : facts of the whole file; ``reprojection`` there says it for a release that differs from the card.
    dropped : reason -> names of the instances that were left out, counted in the report.
    left_out : why the whole unit is left out, where its instances have not been counted.
    absent : True when that is for the want of files that the dataset has: an error with ``--strict``.
    notes : what the user should know about this unit (a fit file that was not there), shown once in the report.
    counts : what holds for some instances of the unit -> how many; the report adds up those of all units.
    solve_translation : the dataset gives orientation but no place of a person in the camera frame: the pipeline solves
        ``transl`` from ``keypoints2d`` and the (undistorted) intrinsics. ``meta/transl_residual_px`` is the distance
        that is left, NaN where there is no solution; ``meta/transl_valid`` is False there and beyond 20 px. Own
        3D points then need the right orientation only.
    min_joints_inside : rows with fewer of the first 22 model joints inside the image are dropped, as are rows with
        a joint behind the camera when this is above 0.
    vertices_before_camera : rows with a vertex of the body behind the camera are dropped too.
    least_size : (N, 2) or (2,) height and width that an image must have at least, from what else the dataset says of
        it (the part that was fitted), where it does not state the size.
    frame_size : (2,) height and width of the frames that will be cut out of the dataset's video, where these are known:
        rows that are kept without images are for these.
    meta_in_pixels : names of those that are in pixels of the image, and change with its size.
    overlap : ``meta/overlap`` is wanted: how much the final body boxes of people in one image overlap.
    points_end_at_border : own 2D points on or beyond the border of the image were not annotated.
    points_beyond_image : own 2D points are those of whole bodies, of which any part may lie outside the image: where no
        size is stated they do not tell it.
    mean_hands : the hands of ``body`` are the model's mean and not the person's: their joints have confidence 0.
    """

    image_path: Sequence[str]
    size: Array | tuple[int, int] | None = None
    camera: Camera | None = None
    body: BodyParams | None = None
    world_to_camera: Rigid | None = None
    keypoints2d: Keypoints | None = None
    keypoints3d: Keypoints | None = None
    fit_joints: Keypoints | None = None
    bbox: Array | None = None
    face_bbox: Array | None = None
    lhand_bbox: Array | None = None
    rhand_bbox: Array | None = None
    bbox_padded: bool = False
    v_template: Array | None = None
    vertices: Array | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    misc: dict[str, Any] = field(default_factory=dict)
    dropped: dict[str, list[str]] = field(default_factory=dict)
    left_out: str = ""
    absent: bool = False
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    solve_translation: bool = False
    min_joints_inside: int = 0
    vertices_before_camera: bool = False
    least_size: Array | None = None
    frame_size: Array | None = None
    meta_in_pixels: tuple[str, ...] = ()
    overlap: bool = False
    points_end_at_border: bool = False
    points_beyond_image: bool = False
    mean_hands: bool = False

    def __len__(self) -> int:
        return len(self.image_path)


ODD_ROWS = 0.5
"""Share of rows or records beyond which what is odd is no single row any more, but data of another kind."""


def drop(dropped: dict[str, list[str]], reason: str, names: Iterable[str]) -> None:
    """Note that ``names`` are left out for ``reason``."""
    names = list(names)
    if names:
        dropped.setdefault(reason, []).extend(names)


def drop_marked(dropped: dict[str, list[str]], names: Sequence[str], reasons: Mapping[str, Mask]) -> Mask:
    """Note the rows that masks (N,) mark as left out, each under the first reason that applies; mask of the others."""
    keep = np.ones(len(names), bool)
    for reason, bad in reasons.items():
        drop(dropped, reason, [names[i] for i in np.flatnonzero(bad & keep).tolist()])
        keep &= ~bad
    return keep


def filter_records(
    records: Iterable[dict[str, Any]], unusable: Callable[[dict[str, Any]], str]
) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """Records that can be used, in their order, and reason -> ``id`` of the others.

    ``unusable`` says why a record is left out, or nothing.
    """
    kept: list[dict[str, Any]] = []
    dropped: dict[str, list[str]] = {}
    for record in records:
        if reason := unusable(record):
            drop(dropped, reason, [str(record["id"])])
        else:
            kept.append(record)
    return kept, dropped


@dataclass(frozen=True)
class Converter(ABC):
    """Reads one raw dataset. Subclasses set ``card`` and write ``units`` and ``read``; they hold no other state.

    Attributes
    ----------
    root : folder of the raw dataset.
    split : one of the card's.
    options : what was given of the card's options, as on the command line; :meth:`option` has their values.
    """

    root: Path
    split: str
    options: Mapping[str, str] = field(default_factory=dict)

    card: ClassVar[DatasetCard]

    @property
    def body_model(self) -> str | None:
        """Body model that the fits need: the card's, unless an option chooses other fits."""
        return self.card.body_model

    @property
    def sampling(self) -> int:
        """Every how many frames of the source are rows: what the option ``interval`` says, or else the card."""
        chosen = any(option.name == "interval" for option in self.card.options)
        return int(self.option("interval")) if chosen else self.card.sampling

    def bodies(self, folder: Path) -> BodyModels | None:
        """The body models in a folder that the fits need, None where they need none.

        Raises
        ------
        BodyModelError : they are not there; the message says where to get them.
        """
        from ehps.body.models import BodyModels

        if self.body_model is None:
            return None
        models = BodyModels(folder).locked_head() if self.card.locked_head else BodyModels(folder)
        models.require(self.body_model)
        return models

    def option(self, name: str, there: Sequence[str] = ()) -> Any:
        """The value of one of the card's options, given or by default: a text, a number, or a tuple of names.

        Parameters
        ----------
        name : of the option.
        there : the names that there are, for an option that says none of its own.

        Raises
        ------
        UsageError : a value was given that the option does not have.
        """
        option = next(option for option in self.card.options if option.name == name)
        given = self.options.get(name, option.default_of(self.split))
        return option.parse(given, self.card.name, self.split, there)

    def check_options(self) -> None:
        """Raise unless the card has all options that were given, with these values.

        Raises
        ------
        UsageError : it has not.
        """
        known = [option.name for option in self.card.options]
        if unknown := [name for name in self.options if name not in known]:
            what = f"{self.card.name} has no option {', '.join(unknown)}"
            raise UsageError(what, fix=f"it has {', '.join(known) or 'none'}")
        for name in self.options:
            self.option(name)

    @abstractmethod
    def units(self) -> list[Unit]:
        """What to read, in the order of the rows. Only names and paths: no annotation is opened here
        unless the list of units is inside one."""

    @abstractmethod
    def read(self, unit: Unit) -> Instances:
        """All instances of one unit."""


def no_instances(
    dropped: dict[str, list[str]] | None = None,
    notes: Sequence[str] = (),
    *,
    left_out: str = "",
    absent: bool = False,
) -> Instances:
    """A unit in which nothing was kept."""
    empty = np.zeros((0, 2), int)
    out = Instances(image_path=[], size=empty, dropped=dropped or {}, notes=list(notes))
    return replace(out, left_out=left_out, absent=absent)


def concat(parts: Sequence[Instances]) -> Instances:
    """One :class:`Instances` of all rows; cameras and extrinsics must be given per row (N, ...).

    Of parts without rows only what they dropped is taken.
    """
    filled = [part for part in parts if len(part)] or parts[:1]

    def joined(values: Sequence[Any]) -> Any:
        first = values[0]
        if any(value is None for value in values):
            return None
        if isinstance(first, np.ndarray):
            return np.concatenate(values)
        if isinstance(first, dict):
            return {key: joined([value[key] for value in values]) for key in first}
        if isinstance(first, Camera | Rigid | Keypoints | BodyParams):
            merged = {f.name: joined([getattr(v, f.name) for v in values]) for f in fields(first)}
            return replace(first, **merged)
        if isinstance(first, list):
            return [item for value in values for item in value]
        return first

    out = replace(filled[0])
    if any(part.v_template is not out.v_template for part in filled):
        raise ValueError("rows of people with templates of their own cannot be joined")
    for f in fields(Instances):
        if f.name == "dropped":
            out.dropped = {}
            for part in parts:
                for reason, names in part.dropped.items():
                    drop(out.dropped, reason, names)
        elif f.name == "counts":
            out.counts = {what: sum(p.counts.get(what, 0) for p in parts) for p in parts for what in p.counts}
        elif f.name not in ("misc", "notes", "v_template", "frame_size"):
            setattr(out, f.name, joined([getattr(part, f.name) for part in filled]))
    return out
