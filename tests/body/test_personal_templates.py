"""A scan in place of the template: joints of the smplx package with its template replaced, betas nearest to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ehps.body.models import BodyModels
from ehps.body.personal_templates import personal
from ehps.demo.people import random_people
from ehps.errors import DataError
from tests.raw.arctic import own_joints


def test_joints_are_those_of_the_package_with_its_template_replaced(body_models: Path) -> None:
    model = BodyModels(body_models).read("smplx", "male")
    rng = np.random.default_rng(2)
    scan = model.v_template * [1.04, 0.97, 1.1] + 0.01 * np.sin(7 * model.v_template[:, ::-1])
    people = random_people(5, rng, style="gesturing", gender="male", flat_hand_mean=True)
    people = people.with_(betas=np.zeros((5, 10)), transl=rng.normal(0, 1, (5, 3)))
    found = personal(model, scan)
    np.testing.assert_allclose(found.joints(people), own_joints(body_models, people, scan), atol=1e-5)
    rest = model.J_regressor[0] @ scan
    np.testing.assert_allclose(found.joints.rest_pelvis(people.betas)[0], rest, atol=1e-6)
    assert found.height == pytest.approx(np.ptp(scan[:, 1]))
    assert found.residual > 0.001


def test_betas_are_found_whatever_the_place_of_the_scan(body_models: Path) -> None:
    model = BodyModels(body_models).read("smplx", "female")
    betas = np.random.default_rng(3).normal(0, 1, 10)
    scan = model.v_template + model.shapedirs[:, :, :10] @ betas + [0.3, -1.0, 0.2]
    found = personal(model, scan)
    np.testing.assert_allclose(found.betas, betas, atol=1e-4)
    assert found.residual < 1e-6


def test_a_scan_of_other_vertices_is_refused(body_models: Path) -> None:
    model = BodyModels(body_models).read("smplx", "female")
    with pytest.raises(DataError, match="10475"):
        personal(model, np.zeros((6890, 3)))
    with pytest.raises(DataError):
        personal(model, np.full((10475, 3), np.nan))
