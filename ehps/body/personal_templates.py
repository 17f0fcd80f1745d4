"""Bodies on a template of their own: a scan of the subject in place of the model's template and betas.

A dataset with personal templates has no betas; formats do. The shape stored is the one of the model nearest to the
scan, joints come from the scan itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ehps.arrays import Array
from ehps.body.joints import FastJoints
from ehps.body.model_file import BodyModel
from ehps.errors import DataError


@dataclass(frozen=True)
class Personal:
    """One subject.

    Attributes
    ----------
    joints : of the model with the subject's template; its parameters have betas 0.
    betas : (B,) of the model's shape nearest to the template.
    residual : mean distance in metres of the vertices of that shape from the template's.
    height : of the standing template, metres.
    """

    joints: FastJoints
    betas: Array
    residual: float
    height: float


def personal(model: BodyModel, template: Array, num_betas: int = 10) -> Personal:
    """The subject whose unposed body, in the model's order of vertices, is ``template`` (V, 3), metres.

    Betas are least squares over the vertices; a shift of the whole template is left out of the fit.

    Raises
    ------
    DataError : the template is not finite or has another number of vertices than the model.
    """
    template = np.asarray(template, np.float64)
    if template.shape != model.v_template.shape or not np.isfinite(template).all():
        raise DataError(f"a template {template.shape} does not fit a model of {len(model.v_template)} vertices")
    directions = model.shapedirs[:, :, :num_betas].astype(np.float64)
    gap = template - model.v_template
    centred, wanted = directions - directions.mean(axis=0), gap - gap.mean(axis=0)
    betas = np.linalg.lstsq(centred.reshape(gap.size, -1), wanted.ravel(), rcond=None)[0]
    left = np.linalg.norm(wanted - centred @ betas, axis=1)
    return Personal(
        FastJoints(replace(model, v_template=template)), betas, float(left.mean()), float(np.ptp(template[:, 1]))
    )
