"""The forms that files can be read from and written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ehps.body.models import BodyModels
from ehps.body.topology import POSE_PARTS
from ehps.errors import DataError, UsageError, did_you_mean
from ehps.humandata.core import HumanData


@dataclass(frozen=True)
class Stated:
    """What whoever reads a file says of it where it leaves that open; None: nothing is said.

    Attributes
    ----------
    model_type : smplx, smplh or smpl.
    frame : of the bodies: ``opencv-camera``, or ``z-up`` for a world whose z points up.
    flat_hand_mean : whether hand poses are absolute.
    gender : of the body model that the parameters belong to.
    num_betas : how many of the shape coefficients count.
    fps : frames a second of a sequence.
    body_models : for what turns about a pelvis.
    """

    model_type: str | None = None
    frame: str | None = None
    flat_hand_mean: bool | None = None
    gender: str | None = None
    num_betas: int | None = None
    fps: float | None = None
    body_models: BodyModels | None = None

    def need(self, name: str, path: Path, what: str, values: str) -> Any:
        """What is stated of ``name``.

        Parameters
        ----------
        what : that the file leaves open, in words.
        values : that may be given.

        Raises
        ------
        UsageError : nothing is.
        """
        value = getattr(self, name)
        if value is None:
            raise UsageError(f"does not say {what}", path=path, fix=f"say it with --{name.replace('_', '-')} {values}")
        return value


@dataclass(frozen=True)
class Sources:
    """What writing a form may need besides the file: the folder of its images, body models, frames a second."""

    images: Path | None = None
    body_models: BodyModels | None = None
    fps: float | None = None


@dataclass
class Written:
    """What was written, and what the form cannot hold.

    Attributes
    ----------
    files : in order.
    left_out : one sentence each.
    """

    files: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Form:
    """A form, and the functions that read and write it (``module:function``, imported when they are called).

    Attributes
    ----------
    name : as ``--as`` and ``--for`` take it.
    title : what it is.
    who : reads it.
    reader : ``function(path: Path, stated: Stated, images: Path | None) -> HumanData``; empty where it is only written.
    writer : ``function(hd: HumanData, out: Path, sources: Sources) -> Written``; empty where it is only read.
    recognise : ``function(path: Path) -> bool``, cheap; empty where a file does not tell.
    takes : what its reader looks at: fields of :class:`Stated`, and ``images``.
    uses : what its writer looks at: fields of :class:`Sources`.
    of_bodies : whether it is made of rows with bodies: others are written of any file, as it is.
    translated : whether it holds where bodies are.
    """

    name: str
    title: str
    who: str = ""
    reader: str = ""
    writer: str = ""
    recognise: str = ""
    takes: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    of_bodies: bool = True
    translated: bool = True


TABLE = ("frame", "gender", "images")
FORMS: tuple[Form, ...] = (
    Form(
        "smpler-x-results",
        "results folder of SMPLer-X and SMPLest-X",
        "their users",
        reader="smpler_x_results:read",
        writer="smpler_x_results:write",
        recognise="smpler_x_results:recognise",
    ),
    Form(
        "agora",
        "prediction files of AGORA's server, a pickle a person",
        "agora-evaluation",
        reader="agora:read",
        writer="agora:write",
        recognise="agora:recognise",
        takes=("images",),
    ),
    Form(
        "pw3d-challenge",
        "joints and orientations of 3DPW, a pickle a sequence",
        "the 3DPW challenge's server",
        reader="pw3d_challenge:read",
        writer="pw3d_challenge:write",
        recognise="pw3d_challenge:recognise",
    ),
    Form(
        "amass",
        "AMASS sequences, an npz a person",
        "SMPL-X add-on of Blender, aitviewer, motion models",
        reader="amass:read",
        writer="amass:write",
        recognise="amass:recognise",
        takes=("model_type", "frame", "gender", "num_betas", "fps"),
        uses=("fps",),
    ),
    Form("gltf", "glTF 2.0: skinned, animated people", "Blender, Unity, browsers", writer="gltf:write", uses=("fps",)),
    Form("obj", "Wavefront OBJ: a surface a row", "any 3D program", writer="obj:write"),
    Form("bvh", "BVH: bones and rotations, a file a person", "animation programs", writer="bvh:write", uses=("fps",)),
    Form(
        "rerun",
        "recording of the rerun viewer",
        "rerun",
        writer="rerun_recording:write",
        uses=("images",),
        of_bodies=False,
    ),
    Form(
        "hmr-tars",
        "WebDataset tars with images and SMPL labels",
        "4D-Humans, TokenHMR",
        reader="hmr_tars:read",
        writer="hmr_tar_files:write",
        recognise="hmr_tars:recognise",
        takes=("frame", "gender", "images"),
        uses=("images",),
        translated=False,
    ),
    *(
        Form(
            name,
            title,
            who,
            f"flat_npz:read_{name}",
            f"flat_npz:write_{name}",
            f"flat_npz:is_{name}",
            takes=(*TABLE, *(["flat_hand_mean"] if "SMPL-X" in title else [])),
            translated=name not in ("hmr2", "tokenhmr"),
        )
        for name, title, who in (
            ("bedlam", "npz table of SMPL-X people", "BEDLAM's training"),
            ("bedlam2", "npz table of locked-head SMPL-X people", "BEDLAM2's training"),
            ("camerahmr", "npz table of SMPL people with cameras", "CameraHMR's training"),
            ("hmr2", "npz table of SMPL people", "4D-Humans' evaluation"),
            ("tokenhmr", "npz table of SMPL people", "TokenHMR's evaluation"),
            ("prompthmr", "npz table of SMPL people of EMDB", "PromptHMR's evaluation"),
        )
    ),
    Form(
        "parquet",
        "Parquet shards with the images inside",
        "the Hugging Face hub, datasets",
        reader="parquet:read",
        writer="parquet:write",
        recognise="parquet:recognise",
        takes=("images",),
        uses=("images",),
        of_bodies=False,
    ),
    Form(
        "croissant",
        "Croissant metadata of the file",
        "dataset search, NeurIPS",
        writer="croissant:write",
        of_bodies=False,
    ),
)


def form(name: str) -> Form:
    """The form of that name.

    Raises
    ------
    UsageError : there is none.
    """
    found = {one.name: one for one in FORMS}
    if name not in found:
        raise UsageError(f"there is no form {name!r}", fix=did_you_mean(name, found))
    return found[name]


def read(path: Path, name: str | None, stated: Stated, images: Path | None = None) -> tuple[HumanData, Form]:
    """A file or folder of another program, and the form that it was read as.

    Parameters
    ----------
    name : of the form; found out where files of it tell when None.

    Raises
    ------
    UsageError : the form is only written, is not told by the file, leaves open what is not stated, or does not look at
        what is.
    DataError : the file is damaged, or of another form.
    """
    chosen = form(name) if name is not None else recognised(path)
    if not chosen.reader:
        raise UsageError(f"{chosen.name} is a form that is only written", path=path)
    _check_heeded(chosen, chosen.takes, {**vars(stated), "images": images}, path)
    return _function(chosen.reader)(path, stated, images), chosen


def recognised(path: Path) -> Form:
    """The one form that a file or folder is of.

    Raises
    ------
    UsageError : it is of none, or of several.
    """
    found = [one for one in FORMS if one.recognise and _function(one.recognise)(path)]
    if len(found) == 1:
        return found[0]
    readable = ", ".join(one.name for one in FORMS if one.reader)
    what = f"may be {' or '.join(one.name for one in found)}" if found else "is of no form that files tell"
    raise UsageError(what, path=path, fix=f"say which with --as: {readable}")


def write(hd: HumanData, name: str, out: Path, sources: Sources) -> Written:
    """Write a file in a form of another program.

    Raises
    ------
    UsageError : the form is only read, or what it needs is not given, or something is that it does not look at.
    DataError : there are no rows, or parameters that are not finite, in a form that is made of them.
    """
    chosen = form(name)
    if not chosen.writer:
        raise UsageError(f"{chosen.name} is a form that is only read")
    _check_heeded(chosen, chosen.uses, vars(sources), hd.source)
    if not len(hd) and chosen.of_bodies:
        raise DataError("has no rows to write", path=hd.source)
    if chosen.of_bodies:
        require_finite(hd, translated=chosen.translated)
    written: Written = _function(chosen.writer)(hd, out, sources)
    return written


def _check_heeded(form: Form, heeded: tuple[str, ...], given: dict[str, Any], path: Path | None) -> None:
    """
    Raises
    ------
    UsageError : something is given that changes nothing.
    """
    idle = [name for name, value in given.items() if value is not None and name not in (*heeded, "body_models")]
    if idle:
        options = " and ".join(f"--{name.replace('_', '-')}" for name in idle)
        raise UsageError(f"{options} would change nothing in the form {form.name}", path=path, fix="leave it out")


def require_finite(hd: HumanData, *, translated: bool = True) -> None:
    """
    Raises
    ------
    DataError : a body has a parameter that is no finite number; translations are looked at only where ``translated``.
    """
    body = hd.body_model or ""
    names = ("betas", "expression", *(["transl"] if translated else []), *POSE_PARTS.get(body, ()))
    for name in (f"{body}/{name}" for name in names if f"{body}/{name}" in hd):
        values = np.asarray(hd[name])
        bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
        if len(bad):
            what = f"{name} is not finite in {len(bad):,} rows, the first of which is {bad[0]}"
            fix = "`ehps humandata audit FILE --out DIR` lists such rows, and `sample --exclude` leaves them out"
            raise DataError(what, path=hd.source, fix=fix)


def not_held(hd: HumanData, held: set[str]) -> list[str]:
    """One sentence that names the columns of a file that a form does not hold; none where it holds all."""
    lost = [name for name in hd.columns if name not in held]
    return [f"columns: {', '.join(lost)}"] if lost else []


def _function(address: str) -> Callable[..., Any]:
    module, _, name = address.partition(":")
    found: Callable[..., Any] = getattr(import_module(f"ehps.exchange.{module}"), name)
    return found
