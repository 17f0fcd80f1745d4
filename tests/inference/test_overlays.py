"""Overlays: people are where they were seen, keep their colour, and frames of any size and kind can be drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ehps.body.models import BodyModels
from ehps.body.surfaces import pale
from ehps.humandata import HumanData
from ehps.humandata.image_files import OutsideError, read_pixels
from ehps.humandata.passport import Passport
from ehps.inference.frames import Frame, People
from ehps.inference.overlays import (
    LEAST,
    MOST,
    TRACK_COLOURS,
    Bodies,
    View,
    bodies_of,
    draw,
    scale_of,
    track_colour,
    write_image,
)

Array = npt.NDArray[Any]

PASSPORT = Passport(body_model="smplx", gender="neutral", num_betas=10, flat_hand_mean=False, focal="virtual")
TETRAHEDRON = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]]) - 0.25
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
GREY = 90


def solids(places: Array, focal: Array | float = 500.0, *, virtual: bool = False) -> Bodies:
    """Tetrahedra of 1 m at ``places`` (P, 3), seen by cameras whose centre is (480, 270)."""
    n = len(places)
    points = (TETRAHEDRON + np.reshape(places, (n, 1, 3))).astype(np.float32)
    focals = np.broadcast_to(np.reshape(focal, (-1, 1)), (n, 2)).astype(np.float64)
    return Bodies(points, focals, np.tile([480.0, 270], (n, 1)), FACES, "smplx", virtual)


def frame(height: int = 540, width: int = 960, name: str = "a.jpg") -> Frame:
    return Frame(0, name, np.full((height, width, 3), GREY, np.uint8))


def people(n: int, tracks: Any = None) -> People:
    return People.of(np.tile([2.0, 2, 8, 8], (n, 1)), tracks=tracks)


def tinted(image: Array) -> Array:
    """(H, W) whether a pixel has a colour: neither the grey frame nor the white ground."""
    return np.ptp(image.astype(int), axis=-1) > 20


def test_surfaces_are_where_their_cameras_see_them() -> None:
    image = draw(frame(), people(1), solids(np.array([[0.5, 0, 4.0]])), "mesh")[:, :960]
    image[:60, :60] = GREY  # box and number
    rows, columns = np.nonzero(tinted(image))
    assert columns.mean() == pytest.approx(480 + 500 * 0.5 / 4, abs=15)
    assert rows.mean() == pytest.approx(270, abs=15)


def test_who_is_nearer_hides_others_whatever_the_invented_depths_say() -> None:
    """The first is as large as at 4 m, the second as at 6 m; their own cameras' depths say the opposite."""
    bodies = solids(np.array([[0, 0, 40.0], [0, 0, 6.0]]), focal=np.array([5000.0, 500]), virtual=True)
    for order in ([0, 1], [1, 0]):
        image = draw(frame(), people(2, order), bodies[order], "mesh")
        blue_first = image[270, 475].astype(int)  # track 0 is blue, track 1 orange
        assert blue_first[2] > blue_first[0] + 20


def test_a_track_keeps_its_colour_and_neighbours_have_others() -> None:
    one = draw(frame(), people(1, [3]), solids(np.array([[0, 0, 4.0]])), "mesh")
    two = draw(frame(), people(2, [7, 3]), solids(np.array([[9, 0, 4.0], [0, 0, 4.0]])), "mesh")
    np.testing.assert_array_equal(one[270, 400:560], two[270, 400:560])
    colours = [track_colour(track) for track in range(7)]
    assert len(set(colours)) == 7


# How people with protanopia and deuteranopia see linear RGB (Machado, Oliveira and Fernandes, 2009).
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]


@pytest.mark.parametrize("seen", [np.eye(3), PROTANOPIA, DEUTERANOPIA])
def test_surfaces_of_different_colours_can_be_told_apart(seen: Any) -> None:
    linear = ((pale(TRACK_COLOURS) / 255 + 0.055) / 1.055) ** 2.4 @ np.array(seen).T
    encoded = 1.055 * linear.clip(0, 1) ** (1 / 2.4) - 0.055
    lab = cv2.cvtColor(encoded[None].clip(0, 1).astype(np.float32), cv2.COLOR_RGB2Lab)[0]
    apart = np.linalg.norm(lab[:, None] - lab, axis=-1)[np.triu_indices(len(lab), 1)]
    assert apart.min() > 15


@pytest.mark.parametrize("view", ["mesh", "joints", "boxes"])
def test_the_size_depends_on_the_frame_alone(view: View) -> None:
    empty = draw(frame(), people(0), None, view)
    for count in (0, 1, 3):
        bodies = solids(np.array([[0, 0, 4.0 + 9 * k] for k in range(count)]).reshape(count, 3))
        if view == "joints":
            bodies = Bodies(np.tile([0, 0, 4.0], (count, 144, 1)), bodies.focal, bodies.centre, None, "smplx", False)
        both = draw(frame(), people(count), None if view == "boxes" else bodies, view)
        assert both.shape == empty.shape
        alone = draw(frame(), people(count), None if view == "boxes" else bodies, view, side=False)
        np.testing.assert_array_equal(alone, both[:, :960])
    assert empty.shape == (540, 960 + (0 if view == "boxes" else 270), 3)


def test_small_frames_are_enlarged_and_large_ones_shrunk_with_all_that_is_on_them() -> None:
    assert scale_of((540, 960)) == 1
    assert scale_of((1080, 1920)) == 1
    small = draw(frame(135, 240), people(0), None, "boxes")
    assert small.shape == (540, LEAST, 3)
    assert draw(frame(500, 8000), people(0), None, "boxes").shape == (256, MOST, 3)
    bodies = solids(np.array([[0, 0, 4.0]]))
    quarter = Bodies(bodies.points, bodies.focal / 4, np.array([[119.625, 67.125]]), FACES, "smplx", False)
    box = np.array([[100.0, 40, 50, 60]])
    large = draw(frame(), People.of(4 * box + [1.5, 1.5, 0, 0]), bodies, "mesh")
    np.testing.assert_allclose(draw(frame(135, 240), People.of(box), quarter, "mesh"), large, atol=2)


def test_portraits_and_odd_sizes_can_be_drawn() -> None:
    for height, width in ((961, 541), (1, 1), (3, 2001), (1080, 607)):
        image = draw(frame(height, width), people(1), solids(np.array([[0, 0, 4.0]])), "mesh")
        factor = scale_of((height, width))
        assert image.shape[0] == max(1, round(height * factor))


def test_people_behind_the_camera_and_half_outside_do_not_disturb_others() -> None:
    alone = draw(frame(), people(1, [1]), solids(np.array([[0, 0, 4.0]])), "mesh")
    places = np.array([[0, 0, 4.0], [0, 0, -4.0], [np.nan, 0, 4], [-3.9, 0, 4]])
    image = draw(frame(), people(4, [1, 2, 3, 4]), solids(places), "mesh")
    np.testing.assert_allclose(image[:, 300:960], alone[:, 300:960], atol=1)  # depths are rounded by how many are drawn
    assert tinted(image)[250:290, :40].any()


def test_a_body_seen_from_the_side_is_as_far_to_the_right_as_it_is_away() -> None:
    bodies = solids(np.array([[0, 0, 4.0], [0, 0, 6.0]]))
    side = draw(frame(), people(2, [0, 1]), bodies, "mesh")[:, 960:].astype(int)
    blue, orange = (np.nonzero(side[..., k] - side[..., 2 - k] > 30)[1] for k in (2, 0))
    assert blue.max() < orange.min()


def test_a_video_s_view_from_the_side_holds_still_while_people_move_a_little() -> None:
    """The invented focal length of each frame is another one; who stands still has the same size on the side."""
    heights = []
    for focal in (500.0, 1000.0, 1700.0):
        image = draw(frame(), people(1), solids(np.array([[0, 0, 4.0 * focal / 500]]), focal, virtual=True), "mesh")
        heights.append(np.ptp(np.nonzero(tinted(image[:, 960:]))[0]))
    assert len(set(heights)) == 1


def test_bodies_of_a_file_come_in_one_batch(models: BodyModels) -> None:
    hd = HumanData(
        {
            "image_path": ["a.jpg"] * 3,
            "smplx/betas": np.zeros((3, 10), np.float32),
            "smplx/global_orient": np.tile([np.pi, 0, 0], (3, 1)).astype(np.float32),
            "smplx/body_pose": np.zeros((3, 21, 3), np.float32),
            "smplx/transl": np.array([[0, 0, 4], [1, 0, 4], [0, 0, 5]], np.float32),
            "meta/focal_length": np.full((3, 2), 500, np.float32),
            "meta/principal_point": np.full((3, 2), 200, np.float32),
        },
        passport=PASSPORT,
    )
    meshes, joints = bodies_of(hd, models, "mesh"), bodies_of(hd, models, "joints")
    assert meshes is not None
    assert joints is not None
    assert bodies_of(hd, models, "boxes") is None
    assert meshes.points.shape == (3, 10475, 3)
    assert meshes.virtual
    np.testing.assert_allclose(
        meshes[1:2].points - meshes[[0]].points, np.broadcast_to([1, 0, 0], (1, 10475, 3)), atol=1e-5
    )
    image = draw(frame(), people(3), joints, "joints")
    assert tinted(image[:, :960])[150:250, 150:400].any()
    assert tinted(image[:, 960:]).any()


def test_scores_and_tracks_are_written_where_they_are_known() -> None:
    shots = [
        draw(frame(), People.of(np.array([[200.0, 200, 100, 100]]), scores, tracks), None, "boxes")
        for scores, tracks in ((None, None), (np.array([0.87]), None), (np.array([0.87]), np.array([0])))
    ]
    width = [int(np.ptp(np.nonzero(tinted(shot[:198]))[1])) for shot in shots]
    assert width[0] < width[1] < width[2]


def test_images_are_written_where_they_were_read(tmp_path: Path) -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    image[..., 0] = 200
    names = [write_image(tmp_path, name, image) for name in ("a.jpg", "a.png", "deep/er/a.JPEG", "clip.mp4/000012.jpg")]
    assert [path.relative_to(tmp_path).as_posix() for path in names] == [
        "a.jpg",
        "a.png.jpg",
        "deep/er/a.JPEG",
        "clip.mp4/000012.jpg",
    ]
    assert np.abs(read_pixels(names[2]).astype(int) - image).max() < 4
    for outside in ("../a.jpg", "/tmp/a.jpg", "b/../../a.jpg"):
        with pytest.raises(OutsideError):
            write_image(tmp_path, outside, image)
