"""Wavefront OBJ: one mesh a row, y up, in metres."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ehps.atomic import replacing
from ehps.body.variants import params_of
from ehps.exchange.forms import Sources, Written
from ehps.exchange.skeletons import CAMERA_TO_Y_UP, DEPTHS, need_models
from ehps.exchange.tracks import FileNames
from ehps.humandata import frames
from ehps.humandata.core import HumanData
from ehps.humandata.instance_ids import place_in_image
from ehps.progress import over

BATCH = 256  # meshes made at a time
DIGITS = 6


def write(hd: HumanData, out: Path, sources: Sources) -> Written:
    """Write every row of ``hd`` as ``<image>_<person>.obj`` in the folder ``out``.

    Raises
    ------
    UsageError : there are no body models.
    DataError, PassportError : there are no bodies in the camera frame.
    """
    import trimesh
    from trimesh.exchange.obj import export_obj

    models = need_models(sources.body_models, "OBJ")
    frames.required(hd, "OBJ")
    out.mkdir(parents=True, exist_ok=True)
    place = place_in_image(hd["image_path"].codes)
    names = FileNames()
    done = Written(left_out=["cameras, boxes, keypoints and parameters: an OBJ file has a surface only"])
    if hd.passport.focal == "virtual":
        done.left_out.append(DEPTHS)
    for start in over(range(0, len(hd), BATCH), "writing meshes"):
        rows = np.arange(start, min(start + BATCH, len(hd)))
        params = params_of(hd[rows])
        faces = models.faces(params.model_type)
        for row, vertices in zip(rows.tolist(), models.mesh(params), strict=True):
            image = str(hd["image_path"][row])
            path = out / f"{names.of(image.rpartition('.')[0] or image, str(place[row]))}.obj"
            mesh = trimesh.Trimesh(vertices @ CAMERA_TO_Y_UP, faces, process=False)
            head = f"{image}: metres, y up, the camera at the origin looks along -z"
            text = export_obj(mesh, include_normals=False, include_color=False, digits=DIGITS, header=head)
            with replacing(path, lasting=False) as temporary:
                temporary.write_text(text, encoding="utf-8")
            done.files.append(path)
    return done
