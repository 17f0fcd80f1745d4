"""Regressors and vertex lists beside the body models, as protocols use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from scipy import sparse

from ehps.arrays import Array
from ehps.body.helper_files import (
    extra_regressor,
    h36m_regressor,
    j14_regressor,
    official_body_vertices,
    vertex_ids,
    vertex_transfer,
)
from ehps.body.models import BodyModels
from ehps.body.topology import TOPOLOGY

PELVIS, NECK, LEFT_WRIST, RIGHT_WRIST = 0, 12, 20, 21
# thumb, index, middle, ring, pinky: three knuckles (rows of J_regressor) and the tip (a vertex)
LEFT_FINGERS = (
    ((37, 38, 39), 5361),
    ((25, 26, 27), 4933),
    ((28, 29, 30), 5058),
    ((34, 35, 36), 5169),
    ((31, 32, 33), 5286),
)
RIGHT_FINGERS = (
    ((52, 53, 54), 8079),
    ((40, 41, 42), 7669),
    ((43, 44, 45), 7794),
    ((49, 50, 51), 7905),
    ((46, 47, 48), 8022),
)
H36M_HIPS = (1, 4)
H36M_LEGS = [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]
"""Rows of the Human3.6M regressor with the other leg first."""
EXTRA_HIPS = (1, 0)
"""Left and right among the rows of J_regressor_extra."""


class Tables:
    """Regressors and vertex lists beside the body models, each read when it is first asked for; see :func:`tables_of`.

    Parameters
    ----------
    models : the body models, in whose folder the helper files are.
    """

    def __init__(self, models: BodyModels) -> None:
        self._models = ref(models)  # tables are kept as long as their models, and must not keep these
        self._kept: dict[tuple[str, str], Any] = {}

    @property
    def models(self) -> BodyModels:
        models = self._models()
        assert models is not None
        return models

    def regressor(self, model_type: str, name: str) -> Any:
        """Sparse (J, V) regressor ``skeleton``, ``j14``, ``h36m``, ``hips`` (left, right: those of
        J_regressor_extra), ``left_hand`` or ``right_hand`` (21 joints).

        Raises
        ------
        BodyModelError : the file that it comes from is missing.
        """
        return self._once((model_type, name), self._regressor)

    def vertices(self, model_type: str, part: str) -> Array:
        """Numbers of the vertices of ``left_hand``, ``right_hand``, ``face``, ``agora`` or
        ``outside-hands-and-head``.

        Raises
        ------
        BodyModelError : the file that lists them is missing.
        """
        return self._once((model_type, f"vertices {part}"), lambda *_: self._vertices(model_type, part))

    def conversion(self) -> Any:
        """Sparse (6890, 10475): SMPL vertices from those of SMPL-X."""
        return self._once(
            ("smplx", "conversion"), lambda *_: sparse.csr_matrix(vertex_transfer(self.models.folder, "smplx", "smpl"))
        )

    def face_parts(self, model_type: str, parts: Sequence[Sequence[int]]) -> Array:
        """(F,) for each face the number, from 1, of the one of ``parts`` (joints) to which most of its corners belong.

        A vertex belongs to the joint that moves it most; other joints than those listed are of their parents' part.
        """
        return self._once((model_type, f"face parts {parts}"), lambda *_: self._face_parts(model_type, parts))

    def _once(self, key: tuple[str, str], make: Any) -> Any:
        if key not in self._kept:
            self._kept[key] = make(*key)
        return self._kept[key]

    def _regressor(self, model_type: str, name: str) -> Any:
        if name == "j14":
            return sparse.csr_matrix(j14_regressor(self.models.folder))
        if name == "h36m":
            return sparse.csr_matrix(self._left_leg_first(h36m_regressor(self.models.folder, model_type), model_type))
        if name == "hips":
            return sparse.csr_matrix(extra_regressor(self.models.folder)[list(EXTRA_HIPS)])
        neutral = np.asarray(self.models.get(model_type, "neutral").J_regressor, np.float64)
        if name == "skeleton":
            return sparse.csr_matrix(neutral)
        wrist, fingers = (LEFT_WRIST, LEFT_FINGERS) if name == "left_hand" else (RIGHT_WRIST, RIGHT_FINGERS)
        rows = [neutral[wrist]]
        for knuckles, tip in fingers:
            rows += [*neutral[list(knuckles)], np.eye(1, neutral.shape[1], tip)[0]]
        return sparse.csr_matrix(np.stack(rows))

    def _left_leg_first(self, regressor: Array, model_type: str) -> Array:
        """The Human3.6M regressor with its rows in the order of SMPL's; OSX's for SMPL-X has the right leg first."""
        template = np.asarray(self.models.get(model_type, "neutral").v_template, np.float64)
        left, right = regressor[list(H36M_HIPS)] @ template[:, 0]
        return regressor if left > right else regressor[H36M_LEGS]

    def _face_parts(self, model_type: str, parts: Sequence[Sequence[int]]) -> Array:
        known = {joint: number for number, joints in enumerate(parts, start=1) for joint in joints}
        model = self.models.get(model_type, "neutral")
        of: list[int] = []
        for joint, parent in enumerate(TOPOLOGY[model_type].parents):
            listed = joint in known and (
                joint <= RIGHT_WRIST or model_type == "smpl"
            )  # then SMPL has hands, others eyes
            of.append(known[joint] if listed else of[parent])
        a, b, c = np.array(of)[np.asarray(model.weights).argmax(axis=1)][model.faces].T
        return np.where(b == c, b, a)

    def _vertices(self, model_type: str, part: str) -> Array:
        if part == "agora":
            return official_body_vertices(self.models.folder, model_type)
        if part != "outside-hands-and-head":
            return vertex_ids(self.models.folder, [part])[part]
        ids = vertex_ids(self.models.folder)
        elsewhere = np.unique(np.concatenate([ids["left_hand"], ids["right_hand"], ids["face"]]))
        return np.setdiff1d(np.arange(TOPOLOGY[model_type].vertices), elsewhere)


_tables: WeakKeyDictionary[BodyModels, Tables] = WeakKeyDictionary()


def tables_of(models: BodyModels) -> Tables:
    """The tables beside these body models, kept as long as they are."""
    return _tables.setdefault(models, Tables(models))
