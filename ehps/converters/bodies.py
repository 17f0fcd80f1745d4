"""What completing a dataset asks of the body models: hands expanded, joints, rest pelvises, statures, versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.body.bodies import BodySet, groups
from ehps.body.hands import expand
from ehps.body.helper_files import find_helper
from ehps.body.model_folder import BodyModels, kid_template
from ehps.body.params import BodyParams
from ehps.body.personal_templates import Personal, personal
from ehps.body.topology import GENDERS, NAMES, TOPOLOGY
from ehps.errors import BodyModelError

Array = npt.NDArray[Any]

EXTREMES = 300  # vertices at each end of the template among which the highest and lowest of any shape are


class Bodies:
    """One folder of body models. Pickles as the folder's name.

    Parameters
    ----------
    folder : layout as the ``smplx`` package expects.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.models = BodyModels(self.folder)
        self.set = BodySet(self.models)
        self._statures: dict[tuple[str, str], tuple[Array, Array, Array]] = {}
        self._scanned: tuple[tuple[str, str, bytes], Personal] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["folder"])  # type: ignore[misc]

    def check(self, model_type: str) -> None:
        """Raise unless some model of this type is there.

        Raises
        ------
        BodyModelError : none is; the message says where to get it.
        """
        if not any(self.models.has(model_type, gender) for gender in GENDERS):
            self.models.get(model_type, "neutral")

    def files(self, model_type: str) -> list[Path]:
        """The files that decide the numbers for bodies of this type."""
        found = [self.models.find(model_type, gender) for gender in GENDERS]
        found.append(self._kid_file(model_type))
        return [path for path in found if path is not None]

    def version(self, model_type: str, genders: Array) -> str:
        """Release of the models used, as passports name it."""
        return "+".join(sorted({self.set.version(model_type, str(gender)) for gender in np.unique(genders)}))

    def with_full_hands(self, params: BodyParams) -> BodyParams:
        """Hands as (N, 15, 3) axis-angle, expanded with the components of each row's own model."""
        changes: dict[str, Array] = {}
        for index, name in enumerate(("left_hand_pose", "right_hand_pose")):
            hand = getattr(params, name)
            if hand is None or hand.ndim == 3:
                continue
            full = np.zeros((len(hand), 15, 3))
            for gender in np.unique(params.gender):
                components = self.set.fast_joints(params.model_type, str(gender)).components[index]
                if components is None:
                    raise BodyModelError(
                        f"{NAMES[params.model_type]} {gender} has no hand components", path=self.folder
                    )
                rows = params.gender == gender
                full[rows] = expand(np.asarray(hand[rows], float), components)
            changes[name] = full
        return params.with_(**changes) if changes else params

    def joints(self, params: BodyParams) -> Array:
        """(N, J, 3) float32 joints in the frame of the parameters."""
        return self.set.joints(params)

    def rest_pelvis(self, params: BodyParams) -> Array:
        """(N, 3) pelvis of each unposed body."""
        return self.set.rest_pelvis(params)

    def personal(self, model_type: str, gender: str, template: Array) -> Personal:
        """The subject with that template; the last one is kept."""
        key = (model_type, gender, np.asarray(template, float).tobytes())
        if self._scanned is None or self._scanned[0] != key:
            self._scanned = key, personal(self.models.read(model_type, gender), template)
        return self._scanned[1]

    def has_kid(self, model_type: str) -> bool:
        """Whether the child template of this model type is there."""
        return self._kid_file(model_type) is not None

    def _kid_file(self, model_type: str) -> Path | None:
        return find_helper(self.folder, "kid_smplx" if model_type == "smplx" else "kid_smpl")

    def heights(self, params: BodyParams) -> Array:
        """(N,) metres from the lowest to the highest vertex of the standing, unposed body of each shape."""
        out = np.empty(len(params))
        for gender, kid, rows in groups(params):
            chosen, template, directions = self._stature(params.model_type, gender)
            betas = np.asarray(params.betas[rows], float)[:, : directions.shape[1]]
            y = template + betas @ directions.T[: betas.shape[1]]
            if kid and params.betas_extra is not None:
                weight = np.asarray(params.betas_extra, float).reshape(len(params), -1)[rows, :1]
                y = y + weight * (kid_template(self.folder, params.model_type)[chosen, 1] - template)
            out[rows] = y.max(axis=1) - y.min(axis=1)
        return out

    def _stature(self, model_type: str, gender: str) -> tuple[Array, Array, Array]:
        """(M,) numbers, (M,) heights and (M, S) shape directions of the vertices near the two ends of the template."""
        if (model_type, gender) not in self._statures:
            model = self.models.read(model_type, gender)
            chosen = _ends(model.v_template)
            self._statures[model_type, gender] = (
                chosen,
                model.v_template[chosen, 1].astype(float),
                model.shapedirs[chosen, 1].astype(float),
            )
        return self._statures[model_type, gender]

    def joints_of_meshes(self, vertices: Array) -> tuple[Array, Array]:
        """Joints (N, 144, 3) of SMPL-X meshes (N, 10475, 3), and (144,) which of them are known.

        Chain joints are regressed from the posed mesh, which is millimetres off the model's own; picked vertices and
        face landmarks are exact; the face contour needs the pose and stays unknown.
        """
        model = self.models.read("smplx", "neutral")
        chain = np.einsum("jv,nvc->njc", model.J_regressor, vertices)
        picked = vertices[:, list(TOPOLOGY["smplx"].picked)]
        assert model.lmk_faces_idx is not None
        assert model.lmk_bary_coords is not None
        corners = vertices[:, model.faces[model.lmk_faces_idx]]  # (N, 51, 3 corners, 3)
        marks = np.einsum("nlkc,lk->nlc", corners, model.lmk_bary_coords)
        known = np.concatenate([chain, picked, marks], axis=1)
        out = np.zeros((len(vertices), 144, 3))
        out[:, : known.shape[1]] = known
        return out, np.arange(144) < known.shape[1]


def picked_of_meshes(vertices: Array) -> tuple[Array, Array]:
    """As :meth:`Bodies.joints_of_meshes` without a body model: only the 21 points that are vertices are known."""
    chain = TOPOLOGY["smplx"].joints
    picked = list(TOPOLOGY["smplx"].picked)
    out = np.zeros((len(vertices), 144, 3))
    out[:, chain : chain + len(picked)] = vertices[:, picked]
    known = (np.arange(144) >= chain) & (np.arange(144) < chain + len(picked))
    return out, known


def _ends(template: Array) -> Array:
    """Numbers of the lowest and highest vertices of a template, y up."""
    order = np.argsort(template[:, 1], kind="stable")
    return np.concatenate([order[:EXTREMES], order[-EXTREMES:]])
