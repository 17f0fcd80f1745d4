"""Bodies of many people in one call, whatever mixture of genders they are.

Rows are grouped by the gender of their model; each model file is read and folded once per process and only
the folded part is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.joints import FastJoints, Precision
from ehps.body.model_folder import BodyModels, kid_template
from ehps.body.params import BodyParams
from ehps.body.topology import TOPOLOGY


class BodySet:
    """Joints, rest pelvises and meshes from one folder of body models.

    Pickles as its folder's name, so it can be handed to worker processes.

    Parameters
    ----------
    models : the folder, or :class:`~ehps.body.model_folder.BodyModels` of it.
    """

    def __init__(self, models: BodyModels | Path | str) -> None:
        self.models = models if isinstance(models, BodyModels) else BodyModels(models)
        self._joints: dict[tuple[str, str, bool], FastJoints] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"models": self.models, "_joints": {}}

    def fast_joints(self, model_type: str, gender: str, *, kid: bool = False) -> FastJoints:
        """The folded model; ``kid`` adds the child template.

        Raises
        ------
        BodyModelError : the model file (or the child template) is not in the folder.
        """
        key = (model_type, gender, kid)
        if key not in self._joints:
            template = kid_template(self.models.folder, model_type) if kid else None
            self._joints[key] = FastJoints(self.models.read(model_type, gender), template)
        return self._joints[key]

    def version(self, model_type: str, gender: str) -> str:
        """Release of that model file, as passports name it."""
        return self.fast_joints(model_type, gender).version

    def joints(self, params: BodyParams, dtype: Precision = np.float32) -> Array:
        """(N, J, 3) joints in the frame of the parameters; see :class:`ehps.body.joints.FastJoints`."""
        topology = TOPOLOGY[params.model_type]
        points = topology.joints + len(topology.picked) + (68 if topology.landmarks else 0)
        return self._gather(params, (points, 3), np.dtype(dtype), lambda f, p: f(p, dtype))

    def rest_pelvis(self, params: BodyParams) -> Array:
        """(N, 3) float64 pelvis of each unposed body, for :func:`ehps.body.rigid_motion.to_camera`."""
        return self._gather(
            params,
            (3,),
            np.dtype(np.float64),
            lambda f, p: f.rest_pelvis(p.betas, p.expression, p.betas_extra),
        )

    def mesh(self, params: BodyParams, *, device: str = "cpu") -> Array:
        """(N, V, 3) float32 vertices; see :func:`ehps.body.meshes.mesh`."""
        from ehps.body.meshes import mesh

        return mesh(self.models, params, device=device)

    def faces(self, model_type: str, gender: str = "neutral") -> Array:
        """(F, 3) int64 triangles of the mesh."""
        return self.models.get(model_type, gender).faces

    def _gather(
        self,
        params: BodyParams,
        tail: tuple[int, ...],
        dtype: np.dtype[Any],
        evaluate: Callable[[FastJoints, BodyParams], Array],
    ) -> Array:
        out = np.empty((len(params), *tail), dtype)
        for gender, kid, rows in groups(params):
            model = self.fast_joints(params.model_type, gender, kid=kid)
            out[rows] = evaluate(model, params[rows])
        return out


def groups(params: BodyParams) -> Iterator[tuple[str, bool, Array]]:
    """(gender, is a child, row numbers) for the rows that use the same model."""
    kid = np.zeros(len(params), bool)
    if params.betas_extra is not None:
        kid = np.any(np.asarray(params.betas_extra).reshape(len(params), -1) != 0, axis=1)
    for gender in np.unique(params.gender):
        for child in (False, True):
            rows = np.flatnonzero((params.gender == gender) & (kid == child))
            if len(rows):
                yield str(gender), child, rows
