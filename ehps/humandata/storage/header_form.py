"""The form of what stands beside the columns of a file, which code relies on; anybody may have written the file."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ehps.humandata.passport import Passport

_KINDS: dict[str, Any] = {"str": str, "int": int, "bool": bool}
_KINDS |= {f"{name} | None": (kind, None) for name, kind in _KINDS.items()}

PASSPORT = {f"{field.name}?": _KINDS[str(field.type)] for field in fields(Passport)}
MISC = {"excluded?": int, "ehps_top_level?": [str]}
HEADER = {
    "columns": [[str]],
    "keypoint_names": {str: [str]},
    "passport": PASSPORT,
    "misc": MISC,
    "quality": {str: object},
}
