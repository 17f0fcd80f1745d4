"""The forms that files can be read from and written in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ehps.body.models import BodyModels


@dataclass(frozen=True)
class Stated:
    """What whoever reads a file says of it where it leaves that open; None: nothing is said.

    Attributes
    ----------
    model_type : smplx, smplh or smpl.
    frame : of the bodies, as the passport has it.
    flat_hand_mean : whether hand poses are absolute.
    gender : of the body model that the parameters belong to.
    num_betas : how many of the shape coefficients count.
    fps : frames a second of a sequence.
    """

    model_type: str | None = None
    frame: str | None = None
    flat_hand_mean: bool | None = None
    gender: str | None = None
    num_betas: int | None = None
    fps: float | None = None


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
    reader : ``function(path: Path, stated: Stated, images: Path | None) -> HumanData``; empty where it is only written.
    writer : ``function(hd: HumanData, out: Path, sources: Sources) -> Written``; empty where it is only read.
    recognise : ``function(path: Path) -> bool``, cheap; empty where a file does not tell.
    """

    name: str
    title: str
    reader: str = ""
    writer: str = ""
    recognise: str = ""


FORMS: tuple[Form, ...] = (
    Form("gltf", "glTF 2.0: skinned, animated people", writer="gltf:write"),
    Form("obj", "Wavefront OBJ: a surface a row", writer="obj:write"),
    Form("bvh", "BVH: bones and rotations, a file a person", writer="bvh:write"),
    Form("rerun", "recording of the rerun viewer", writer="rerun_recording:write"),
)
