"""Vertices of registered meshes (PLY), as EHF ships its ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.errors import DataError


def read_vertices(path: Path, count: int | None = None) -> npt.NDArray[np.float64]:
    """(V, 3) vertices in the file's order and frame, metres.

    Raises
    ------
    DataError : the file is absent or damaged, or has another number of vertices than ``count`` (a raw scan
        in place of the registered mesh, say).
    """
    import trimesh

    try:
        mesh: Any = trimesh.load(path, process=False, maintain_order=True)
        vertices = np.asarray(mesh.vertices, float)
    except FileNotFoundError:
        raise DataError("no such mesh", path=path, fix="unpack the dataset's archive again") from None
    except Exception:  # the reader fails in many ways on damaged files; all mean the same to the user
        raise DataError("is no readable PLY mesh", path=path, fix="unpack the archive again") from None
    if count is not None and len(vertices) != count:
        raise DataError(
            f"{len(vertices)} vertices where {count} are expected",
            path=path,
            fix="use the registered mesh, not the raw scan",
        )
    return vertices
