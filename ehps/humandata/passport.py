"""The passport: what the numbers of a file mean, so that files with different meanings are never mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ehps.errors import PassportError

FORMAT = 1
UNKNOWN = "unknown"
LOCKED = "locked_head"
"""End of the version of a release whose head does not change with the shape of the body."""
PER_INSTANCE = "per-instance"
CAMERA = "opencv-camera"
UNITS = "metre, radian, pixel"
KINDS: dict[str, type] = {"num_betas": int, "sampling": int, "format": int, "flat_hand_mean": bool}  # others: str


@dataclass(frozen=True)
class Passport:
    """Meaning and origin of the columns of one file. ``None`` means not applicable, ``"unknown"`` not stated.

    Attributes
    ----------
    body_model : smplx, smplh, smpl, or None for files without body parameters.
    body_model_version : 1.0, 1.1, locked_head, stand-in ...; betas of two versions are not interchangeable.
    num_betas : columns of ``<model>/betas``.
    gender : whose model it is: ``neutral``, ``male`` or ``female`` for all rows, or ``per-instance`` (``meta/gender``).
    flat_hand_mean : False when hand poses are relative to the model's mean hand, True when absolute.
    frame : of parameters and 3D points: ``opencv-camera`` in converted files, unknown in files of others, which do
        not state it.
    units : metre, radian, pixel in converted files, unknown likewise.
    focal : ``image`` for the real camera of the full image, ``virtual`` for one invented per person.
    dataset : where the rows come from; several are joined with ``+``.
    split : likewise.
    sampling : every N-th frame of the source was kept: N; 0 where that is unknown or differs between rows.
    converter : name and version of what wrote the file.
    changes : what was changed in the parameters since, and what that lost, in words; None where nothing was.
    """

    body_model: str | None = None
    body_model_version: str | None = None
    num_betas: int | None = None
    gender: str | None = None
    flat_hand_mean: bool | None = None
    frame: str = CAMERA
    units: str = UNITS
    focal: str | None = None
    dataset: str = UNKNOWN
    split: str = UNKNOWN
    sampling: int = 1
    converter: str = UNKNOWN
    format: int = FORMAT
    changes: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; without ``changes`` where there are none, as in files of earlier versions."""
        return {name: value for name, value in asdict(self).items() if name != "changes" or value is not None}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Passport:
        """The passport that :meth:`to_dict` gave; a frame and units that are not stated are unknown.

        Raises
        ------
        ValueError : a value is of another kind than its field.
        """
        known = {f.name: f.default for f in fields(cls)}
        stated = {key: value for key, value in values.items() if key in known}
        for key, value in stated.items():
            if type(value) is not KINDS.get(key, str) and not (value is None and known[key] is None):
                raise ValueError(f"the passport's {key} is {value!r}")
        return cls(**{"frame": UNKNOWN, "units": UNKNOWN} | stated)

    def with_(self, **changes: Any) -> Passport:
        return replace(self, **changes)


# These decide what a number means; the others say where it came from.
MEANING = (
    "frame",
    "units",
    "body_model",
    "body_model_version",
    "num_betas",
    "flat_hand_mean",
)


FRAME_FIX = (
    "`ehps humandata convert FILE --frame camera --out NEW` moves a file by its own extrinsics; "
    f"`--declare frame={CAMERA}` instead says that it is in the camera frame already"
)
UNKNOWN_FIX = "if they are the same, say so: `ehps humandata convert FILE --declare {}=VALUE --out NEW`"

CONVERT_FIX = {
    "num_betas": "bring one to the other's form: `ehps humandata convert FILE --num-betas N --out NEW`",
    "flat_hand_mean": "bring one to the other's form: `ehps humandata convert FILE --flat-hand-mean yes|no "
    "--body-models DIR --out NEW`",
}


def merged_passport(passports: Sequence[Passport], files: Sequence[Path | None] = ()) -> Passport:
    """The passport of a concatenation.

    Parameters
    ----------
    files : where each is from, for errors about two files of one dataset.

    Raises
    ------
    PassportError : two passports differ in a field that decides what the numbers mean.
    """
    first = passports[0]
    for i, other in enumerate(passports[1:], start=1):
        for name in MEANING:
            a, b = getattr(first, name), getattr(other, name)
            if a != b:
                one, two = str(first.dataset), str(other.dataset)
                if one == two and files:
                    one, two = str(files[0] or one), str(files[i] or two)
                raise PassportError(
                    f"{one} and {two} differ in {name}: {a!r} and {b!r}",
                    fix=FRAME_FIX
                    if name == "frame"
                    else UNKNOWN_FIX.format(name)
                    if UNKNOWN in (a, b)
                    else CONVERT_FIX.get(name, f"convert one of them again, or leave the {name} columns out"),
                )

    def joined(name: str) -> str:
        return "+".join(dict.fromkeys(str(getattr(p, name)) for p in passports))

    def same_or(name: str, otherwise: Any) -> Any:
        values = {getattr(p, name) for p in passports}
        return values.pop() if len(values) == 1 else otherwise

    return first.with_(
        gender=same_or("gender", PER_INSTANCE),
        focal=same_or("focal", PER_INSTANCE),
        dataset=joined("dataset"),
        split=joined("split"),
        sampling=same_or("sampling", 0),
        converter=joined("converter"),
        changes="; ".join(dict.fromkeys(_of_dataset(p) for p in passports if p.changes)) or None,
    )


def _of_dataset(passport: Passport) -> str:
    """The changes of a passport, with the dataset that they were made to."""
    said = str(passport.changes)
    return said if "+" in passport.dataset or said.startswith(passport.dataset) else f"{passport.dataset}: {said}"
