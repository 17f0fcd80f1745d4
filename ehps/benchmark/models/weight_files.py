"""Files of weights, whoever wrote them: what they hold, read without running anything that is in them.

Files of today's PyTorch and safetensors are mapped: of a tensor nothing is read until it is used, and the state of an
optimiser, two thirds of many files, never is. Files of PyTorch before 1.6 are read whole, as their format demands.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ehps.errors import DataError, EhpsError
from ehps.extras import need
from ehps.foreign_files import check_unfolded, format_of, regular, unreadable

ENTRIES = ("network", "state_dict", "model", "state")
"""Where programs put the weights beside other things: SMPLer-X and SMPLest-X, mmcv, PyMAF and SMPLer, ehps."""

DECLARATION = "ehps"
"""What of a safetensors file holds, as JSON, what a checkpoint of ehps says beside its weights."""

_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number that PyTorch before 1.6 begins with
_LARGEST_HEADER = 100 << 20  # bytes of safetensors' own header

AGAIN = "copy or download it again"


@dataclass(frozen=True)
class WeightFile:
    """What a file of weights holds.

    Attributes
    ----------
    state : name -> tensor, names as in the file.
    beside : what else is in it, by name; with ``ehps`` for the declaration of our own files.
    form : how it is stored, in words.
    """

    path: Path
    state: dict[str, Tensor]
    beside: Mapping[str, Any]
    form: str

    @property
    def ours(self) -> bool:
        """Whether ehps wrote it: it says which model it is of."""
        return isinstance(self.beside.get("format"), int) and "weights_sha256" in self.beside

    @property
    def epoch(self) -> int | None:
        """After which epoch it was written, as it says itself."""
        meta = self.beside.get("meta")
        found = self.beside.get("epoch", meta.get("epoch") if isinstance(meta, Mapping) else None)
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    @property
    def nbytes(self) -> int:
        """Bytes of all weights."""
        return sum(value.numel() * value.element_size() for value in self.state.values())


def read(path: Path, *, mapped: bool = True) -> WeightFile:
    """The weights in a file, and what is beside them.

    Parameters
    ----------
    mapped : read tensors when they are used. The file must then stay as it is; one that is replaced whole, as ehps
        does, does.

    Raises
    ------
    DataError : there is no such file, it is damaged, asks for code to be run, or holds no weights.
    """
    return file_of(path, *load(path, mapped=mapped))


def file_of(path: Path, content: Any, form: str) -> WeightFile:
    """The weights in what :func:`load` has read, and what is beside them.

    Raises
    ------
    DataError : as :func:`read`, of what is held.
    """
    if not isinstance(content, dict):
        raise DataError(f"holds {_described(content)}, not weights by name", path=path)
    entry = next((name for name in ENTRIES if _is_state(content.get(name))), None)
    if entry is None and not _is_state(content):
        listed = ", ".join(str(name) for name in list(content)[:8])
        raise DataError(
            f"holds no weights; its entries are: {listed or 'none'}",
            path=path,
            fix=f"the weights should be the file's content, or one of its entries {', '.join(ENTRIES)}",
        )
    state = content if entry is None else content[entry]
    if odd := next((name for name, value in state.items() if not plain(value)), None):
        raise DataError(f"its weights {odd} are not plainly stored numbers", path=path)
    beside = {} if entry is None else {str(name): value for name, value in content.items() if name != entry}
    return WeightFile(Path(path), dict(state), beside, form)


def load(path: Path, *, mapped: bool = True) -> tuple[Any, str]:
    """All that a file holds, on the CPU, and how it is stored, in words.

    Raises
    ------
    DataError : as :func:`read`, but for what is held.
    """
    path = regular(path)
    try:
        with path.open("rb") as file:
            head = file.read(16)
        if head.startswith(b"PK\x03\x04"):
            return _zipped(path, mapped), "PyTorch"
        if head.startswith(_LEGACY):
            return torch.load(path, map_location="cpu", weights_only=True), "PyTorch before 1.6"
        if _begins_safetensors(head, path):
            return _safetensors(path), "safetensors"
    except EhpsError:
        raise
    except Exception as error:  # torch raises half a dozen types for damaged and for forbidden content
        raise _refused(path, error) from None
    raise unreadable(path, "a file of weights", AGAIN, "name a .pt, .pth, .tar or .safetensors file")


def _zipped(path: Path, mapped: bool) -> Any:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    check_unfolded(sum(one.file_size for one in members), path.stat().st_size, path)
    whole = all(one.compress_type == zipfile.ZIP_STORED for one in members)
    return torch.load(str(path), map_location="cpu", weights_only=True, mmap=mapped and whole)


def _begins_safetensors(head: bytes, path: Path) -> bool:
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 1 < length <= min(_LARGEST_HEADER, path.stat().st_size - 8)


def _safetensors(path: Path) -> dict[str, Any]:
    need("reading a .safetensors file", "safetensors")
    from safetensors import safe_open

    with safe_open(path, framework="pt", device="cpu") as file:
        said = (file.metadata() or {}).get(DECLARATION)
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
    return state if said is None else {**json.loads(said), "state": state}


def _refused(path: Path, error: Exception) -> DataError:
    text = str(error).rpartition("WeightsUnpickler error: ")[2]  # PyTorch's advice before it is not ours
    if asked := re.search(r"(?:GLOBAL|Unsupported class) (\S+)", text):
        what = f"not a readable checkpoint: it asks for code to be run ({asked[1]}), which is refused"
        return DataError(what, path=path, fix="ask its author for a file of plain tensors")
    first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    cut = format_of(path) and "cut short or damaged: "
    return DataError(f"not a readable checkpoint ({cut}{first})", path=path, fix=AGAIN)


def _is_state(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(one, Tensor) for one in value.values())


def plain(value: Any) -> bool:
    """Whether ``value`` is a tensor whose every element is stored."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def _described(value: Any) -> str:
    return "a single tensor" if isinstance(value, Tensor) else f"a {type(value).__name__}"
