"""The body models of one folder: joints, rest pelvises, meshes and heights of many people in one call.

Rows may be of any genders, children among them: each row is evaluated with its own model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.body import meshes
from ehps.body.hands import COEFFICIENTS, expand
from ehps.body.helper_files import find_helper, kid_template
from ehps.body.joints import FastJoints, Precision
from ehps.body.model_file import BodyModel, read_model, without_hands
from ehps.body.model_folder import find_model, locked_head_folder, require_locked_head, require_model
from ehps.body.params import BodyParams, groups
from ehps.body.personal_templates import Personal, personal
from ehps.body.topology import NAMES, TOPOLOGY
from ehps.errors import BodyModelError, PassportError
from ehps.genders import GENDERS
from ehps.humandata.passport import LOCKED

END_VERTICES = 300  # at each end of the template: the highest and the lowest vertex of any shape are among them


class BodyModels:
    """All that is asked of the body models in one folder.

    Files are read when they are needed first. What joints and heights take of a model (a few megabytes) is kept for the
    whole process; the whole model (hundreds of megabytes) only by :meth:`get` and :meth:`mesh`. Pickles as its folder's
    name, so that it can be handed to worker processes.

    Parameters
    ----------
    folder : laid out as the ``smplx`` package expects; see :mod:`ehps.body.model_folder`.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._models: dict[tuple[str, str], BodyModel] = {}
        self._outlines: dict[tuple[str, str], _Outline] = {}
        self._kids: dict[tuple[str, str], FastJoints] = {}
        self._personal: tuple[tuple[str, str, bytes], Personal] | None = None
        self._locked_head: BodyModels | None = None
        self._of_version: dict[tuple[str, str], set[str]] = {}  # genders that were found to be of a version

    def __reduce__(self) -> tuple[type[BodyModels], tuple[Path]]:
        return BodyModels, (self.folder,)

    # -- files ---------------------------------------------------------------------------------------------

    def has(self, model_type: str, gender: str) -> bool:
        """Whether there is a file of that model."""
        return find_model(self.folder, model_type, gender) is not None

    def has_kid(self, model_type: str) -> bool:
        """Whether the child template of this model type is there."""
        return self._kid_file(model_type) is not None

    def require(self, model_type: str) -> None:
        """Refuse a folder without any model of this type.

        Raises
        ------
        BodyModelError : there is none; the message says where to get it.
        """
        if not any(self.has(model_type, gender) for gender in GENDERS):
            require_model(self.folder, model_type, "neutral")

    def files(self, model_type: str) -> list[Path]:
        """The files that decide the numbers for bodies of this type."""
        found = [find_model(self.folder, model_type, gender) for gender in GENDERS]
        found.append(self._kid_file(model_type))
        return [path for path in found if path is not None]

    def get(self, model_type: str, gender: str) -> BodyModel:
        """The model, kept for the next caller.

        Raises
        ------
        BodyModelError : there is no such file, or it holds another model type.
        """
        key = (model_type, gender)
        if key not in self._models:
            self._models[key] = self.read(model_type, gender)
        return self._models[key]

    def read(self, model_type: str, gender: str) -> BodyModel:
        """As :meth:`get`, without keeping what was not kept already."""
        if (model_type, gender) in self._models:
            return self._models[model_type, gender]
        return read_model(require_model(self.folder, model_type, gender), model_type, gender=gender)

    def version(self, model_type: str, gender: Array | str) -> str:
        """Release of the models of one or (N,) genders, as passports name it; ``+`` between several."""
        return "+".join(sorted({self.fast_joints(model_type, str(word)).version for word in np.unique(gender)}))

    def kid_template(self, model_type: str) -> Array:
        """(V, 3) template of a child, centred on its mean. Read-only.

        Raises
        ------
        BodyModelError : it is not in the folder.
        """
        return kid_template(self.folder, model_type)

    def _kid_file(self, model_type: str) -> Path | None:
        return find_helper(self.folder, "kid_smplx" if model_type == "smplx" else "kid_smpl")

    # -- releases ------------------------------------------------------------------------------------------

    def of(self, params: BodyParams) -> BodyModels:
        """The models that parameters belong to: these, or those of the locked-head release.

        Raises
        ------
        BodyModelError : the locked-head release is not there.
        PassportError : the parameters are known to belong to another release than these models.
        """
        models = self.locked_head() if params.locked_head else self
        if params.version is not None:
            models.require_version(params.version, params.model_type, params.gender, source=params.source)
        return models

    def require_version(
        self, version: str, model_type: str, gender: Array | str, *, source: Path | None = None
    ) -> None:
        """Refuse bodies of another release than these models, whose betas mean other shapes.

        Parameters
        ----------
        version : of the bodies, as passports name it.
        gender : (N,) or one, of the models that they belong to.
        source : file that they are in.

        Raises
        ------
        PassportError : their version is another.
        BodyModelError : there is no model of a gender.
        """
        words = {gender} if isinstance(gender, str) else set(gender.tolist())
        for word in sorted(words - self._of_version.get((version, model_type), set())):
            found = self._outline(model_type, word).joints.version
            if found not in version.split("+"):
                raise PassportError(
                    f"its bodies are of {NAMES[model_type]} {version}, the {word} model in {self.folder} is {found}: "
                    "their betas mean different shapes",
                    path=source,
                    fix=f"pass body models of {version}, or fit these to the bodies: `ehps humandata convert FILE "
                    f"--to {model_type} --from-models DIR --out NEW`, where DIR has {NAMES[model_type]} {version}",
                )
            self._of_version.setdefault((version, model_type), set()).add(word)

    def locked_head(self) -> BodyModels:
        """The locked-head release of SMPL-X: these models where they are it, else those of its folder in this one.

        Raises
        ------
        BodyModelError : it is not there; the message says where to get it.
        """
        if self._locked_head is None:
            place = locked_head_folder(self.folder)
            if place is None or place == self.folder:
                own = [gender for gender in GENDERS if self.has("smplx", gender)]
                is_it = bool(own) and self.version("smplx", own[0]).endswith(LOCKED)
                self._locked_head = self if is_it else BodyModels(require_locked_head(self.folder))
            else:
                self._locked_head = BodyModels(place)
        return self._locked_head

    # -- bodies --------------------------------------------------------------------------------------------

    def fast_joints(self, model_type: str, gender: str, *, kid: bool = False) -> FastJoints:
        """The folded model; ``kid`` adds the child template.

        Raises
        ------
        BodyModelError : the model file (or the child template) is not in the folder.
        """
        if not kid:
            return self._outline(model_type, gender).joints
        key = (model_type, gender)
        if key not in self._kids:
            self._kids[key] = FastJoints(self.read(model_type, gender), self.kid_template(model_type))
        return self._kids[key]

    def joints(self, params: BodyParams, dtype: Precision = np.float32) -> Array:
        """(N, J, 3) joints in the frame of the parameters; see :class:`ehps.body.joints.FastJoints`."""
        topology = TOPOLOGY[params.model_type]
        points = topology.joints + len(topology.picked) + (68 if topology.landmarks else 0)
        models = self.of(params)

        def evaluate(gender: str, kid: bool, rows: BodyParams) -> Array:
            return models.fast_joints(rows.model_type, gender, kid=kid)(rows, dtype)

        return _by_model(params, np.empty((len(params), points, 3), dtype), evaluate)

    def rest_pelvis(self, params: BodyParams) -> Array:
        """(N, 3) float64 pelvis of each unposed body, for :func:`ehps.body.rigid_motion.to_camera`."""
        models = self.of(params)

        def evaluate(gender: str, kid: bool, rows: BodyParams) -> Array:
            model = models.fast_joints(rows.model_type, gender, kid=kid)
            return model.rest_pelvis(rows.betas, rows.expression, rows.betas_extra)

        return _by_model(params, np.empty((len(params), 3)), evaluate)

    def mesh(self, params: BodyParams, *, ids: Array | None = None, device: str = "cpu") -> Array:
        """(N, V, 3) float32 vertices in the frame of the parameters; see :func:`ehps.body.meshes.vertices`.

        Parameters
        ----------
        ids : (M,) numbers of the vertices that are wanted, all by default.
        """
        models = self.of(params)

        def evaluate(gender: str, kid: bool, rows: BodyParams) -> Array:
            template = models.kid_template(rows.model_type) if kid else None
            return meshes.vertices(models.get(rows.model_type, gender), rows, template, ids=ids, device=device)

        vertices = TOPOLOGY[params.model_type].vertices if ids is None else len(ids)
        out = np.empty((len(params), 3, vertices), np.float32).transpose(0, 2, 1)  # in the order of the parts
        return _by_model(params, out, evaluate)

    def faces(self, model_type: str, gender: str = "neutral") -> Array:
        """(F, 3) int64 triangles of the mesh."""
        return self.get(model_type, gender).faces

    def heights(self, params: BodyParams) -> Array:
        """(N,) metres from the lowest to the highest vertex of the standing, unposed body of each shape."""
        models = self.of(params)

        def evaluate(gender: str, kid: bool, rows: BodyParams) -> Array:
            ends = models._outline(rows.model_type, gender).ends
            betas = np.asarray(rows.betas, float)[:, : ends.directions.shape[1]]
            y = ends.y + betas @ ends.directions.T[: betas.shape[1]]  # (N, M)
            if kid and rows.betas_extra is not None:
                weight = np.asarray(rows.betas_extra, float).reshape(len(rows), -1)[:, :1]
                y = y + weight * (models.kid_template(rows.model_type)[ends.vertices, 1] - ends.y)
            return np.asarray(y.max(axis=1) - y.min(axis=1))

        return _by_model(params, np.empty(len(params)), evaluate)

    def with_full_hands(self, params: BodyParams) -> BodyParams:
        """Hands as (N, 15, 3) axis-angle, expanded with the components of each row's own model.

        Raises
        ------
        BodyModelError : a model has no hand components.
        """
        changes: dict[str, Array] = {}
        for index, name in enumerate(("left_hand_pose", "right_hand_pose")):
            hand = getattr(params, name)
            if hand is None or hand.ndim == 3:
                continue
            full = np.zeros((len(hand), 15, 3))
            for gender in np.unique(params.gender):
                joints = self.of(params).fast_joints(params.model_type, str(gender))
                components = joints.hands.components[index]
                if components is None:
                    raise without_hands(params.model_type, COEFFICIENTS, joints.hands.path)
                rows = params.gender == gender
                full[rows] = expand(np.asarray(hand[rows], float), components)
            changes[name] = full
        return params.with_(**changes) if changes else params

    def personal(self, model_type: str, gender: str, template: Array) -> Personal:
        """The subject with that template; the last one is kept."""
        key = (model_type, gender, np.asarray(template, float).tobytes())
        if self._personal is None or self._personal[0] != key:
            self._personal = key, personal(self.read(model_type, gender), template)
        return self._personal[1]

    def _outline(self, model_type: str, gender: str) -> _Outline:
        key = (model_type, gender)
        if key not in self._outlines:
            path = require_model(self.folder, model_type, gender).absolute()
            status = path.stat()
            self._outlines[key] = _outline(path, status.st_size, status.st_mtime_ns, model_type, gender)
        return self._outlines[key]


@dataclass(frozen=True)
class _Ends:
    """The vertices near the two ends of a template, y up.

    Attributes
    ----------
    vertices : (M,) their numbers.
    y : (M,) metres.
    directions : (M, S) how shape coefficients move them along y.
    """

    vertices: Array
    y: Array
    directions: Array

    @classmethod
    def of(cls, model: BodyModel) -> _Ends:
        order = np.argsort(model.v_template[:, 1], kind="stable")
        ends = np.concatenate([order[:END_VERTICES], order[-END_VERTICES:]])
        return cls(ends, model.v_template[ends, 1].astype(float), model.shapedirs[ends, 1].astype(float))


@dataclass(frozen=True)
class _Outline:
    """What joints and heights take of a model."""

    joints: FastJoints
    ends: _Ends


@lru_cache(maxsize=18)  # all models of two folders
def _outline(path: Path, size: int, changed: int, model_type: str, gender: str) -> _Outline:
    """The outline of a model file, read again when its size or time changes."""
    model = read_model(path, model_type, gender=gender)
    return _Outline(FastJoints(model), _Ends.of(model))


def _by_model(params: BodyParams, out: Array, evaluate: Callable[[str, bool, BodyParams], Array]) -> Array:
    """``evaluate(gender, kid, rows)`` of the rows that use the same model; of several models in ``out`` (N, ...)."""
    found = list(groups(params))
    try:
        if len(found) == 1:
            gender, kid, _ = found[0]
            return evaluate(gender, kid, params)
        for gender, kid, rows in found:
            out[rows] = evaluate(gender, kid, params[rows])
    except BodyModelError as error:
        if error.path is None and params.source is not None:
            raise BodyModelError(error.what, path=params.source, fix=error.fix) from None
        raise
    return out
