"""Whole runs: predictions as in evaluation, the same bytes however often a run is stopped, and what is refused."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from ehps.benchmark import models as networks
from ehps.benchmark.suites.foreign import score_files
from ehps.benchmark.suites.prediction import predict
from ehps.benchmark.training.specs import SetSpec
from ehps.body.models import BodyModels
from ehps.body.variants import params_of
from ehps.cli import main
from ehps.errors import DataError, UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.keypoints import flip_order
from ehps.inference import parts, threads
from ehps.inference.overlay_video import write_segment
from ehps.inference.people import finder
from ehps.inference.predicting import load_network
from ehps.inference.report import Outcome
from ehps.inference.run import Options, infer
from ehps.inference.sources import ORIENTATION, UPRIGHT, open_source
from ehps.worker_processes import Submit, worker_processes
from tests.drawn_people import Style, people, write_set
from tests.upright import registered, write_weights

Array = npt.NDArray[Any]
N, FRAMES, LEFT, RIGHT = 5, 12, 4, 40
PROTOCOL = "egobody-ego[step=1]"
M_PERTURB = -6  # of mallopt: what fresh memory is filled with
Infer = Callable[..., Outcome]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Path:
    """A checkpoint, a test set with its images, a video, and boxes of the video."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("infer")
    arguments = {"width": 32, "depth": 1, "heads": 2}
    torch.manual_seed(0)
    write_weights(folder / "tiny.pt", "tiny", networks.build("tiny", **arguments).state_dict(), arguments)
    write_set(folder, people(N, np.random.default_rng(0), Style()), models)
    images = [cv2.imread(str(path)) for path in sorted((folder / "set").rglob("*.jpg"))]
    shots = ((k / 10, np.hstack([images[k % N], images[(k + 1) % N]])) for k in range(FRAMES))
    write_segment(folder / "clip.mp4", shots, fps=10)
    lines = [f"{k},{x + k},10,60,120" for k in range(FRAMES) for x in (LEFT, LEFT + 120)]
    (folder / "people.csv").write_text("\n".join(["frame,x,y,w,h", *lines, "3,900,10,60,120", "99,1,1,9,9"]))
    return folder


@pytest.fixture(scope="module")
def call(folder: Path, models: BodyModels) -> Infer:
    """Run an input of the folder."""

    def call(
        given: Path, out: Path, *, boxes: Path | None = None, whole: bool = False, overwrite: bool = False, **asked: Any
    ) -> Outcome:
        source = open_source(str(given))
        network = load_network(folder / "tiny.pt", models, device="cpu", batch_size=4)
        found = finder(source, boxes=boxes, whole=whole)
        return infer(source, network, found, out, models, Options(**asked), overwrite=overwrite)

    return call


def command(models: BodyModels, folder: Path, *words: str | Path, code: int = 0) -> Result:
    line = ("infer", *words, "--checkpoint", folder / "tiny.pt", "--body-models", models.folder, "--device", "cpu")
    result = CliRunner().invoke(main, [str(word) for word in line])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result


def joint_pixels(hd: HumanData, models: BodyModels) -> Array:
    """(N, 144, 2) where the joints are seen."""
    points = models.joints(params_of(hd)).astype(float)
    focal, centre = (np.asarray(hd[f"meta/{name}"], float)[:, None] for name in ("focal_length", "principal_point"))
    return np.asarray(points[..., :2] / points[..., 2:] * focal + centre)


def test_a_file_is_predicted_and_scored_as_evaluation_does(
    folder: Path, call: Infer, models: BodyModels, tmp_path: Path
) -> None:
    test = SetSpec(folder / "set.h5", folder)
    expected = predict(folder / "tiny.pt", test, tmp_path / "expected.h5", models, device="cpu")
    found = HumanData.open(call(folder / "set.h5", tmp_path / "out", view=None).predictions)
    order = np.argsort(np.asarray(found["meta/truth_row"]))
    np.testing.assert_array_equal(np.asarray(found["meta/truth_row"])[order], expected["meta/truth_row"])
    for name in expected.columns:
        if np.asarray(expected[name]).dtype.kind == "f":
            np.testing.assert_allclose(np.asarray(found[name])[order], expected[name], atol=1e-5, err_msg=name)
    ours, theirs = (
        score_files(tmp_path / name, folder / "set.h5", PROTOCOL, models).metrics
        for name in ("out/predictions.h5", "expected.h5")
    )
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert (one["part"], one["metric"], one["n"]) == (other["part"], other["metric"], other["n"])
        assert one["value"] == pytest.approx(other["value"], abs=1e-2)


def test_tracks_of_a_file_stay_and_rows_are_named_only_where_people_are_its_own(
    folder: Path, call: Infer, tmp_path: Path
) -> None:
    truth = HumanData.open(folder / "set.h5")
    truth.with_columns({"meta/track_id": np.arange(N) % 2 + 5}).save(folder / "tracked.h5")
    outcome = call(folder / "tracked.h5", tmp_path / "rows", view=None)
    found = HumanData.open(outcome.predictions)
    assert outcome.tracks == 2
    np.testing.assert_array_equal(found["meta/track_id"], np.asarray(found["meta/truth_row"]) % 2 + 5)
    assert "meta/truth_row" not in HumanData.open(call(folder / "set.h5", tmp_path / "all", whole=True).predictions)


@pytest.mark.parametrize("asked", [{"view": "mesh"}, {"view": "joints", "smooth": True}], ids=["plain", "smoothed"])
def test_a_run_that_was_stopped_ends_in_the_same_bytes(
    asked: dict[str, Any], folder: Path, call: Infer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"boxes": folder / "people.csv", "save_every": 5, **asked}
    whole = call(folder / "clip.mp4", tmp_path / "whole", **given)
    save = parts.save

    def stopping(out: Path, number: int, *rest: Any) -> parts.Part:
        save(out, number, *rest)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(parts, "save", stopping)
        with pytest.raises(KeyboardInterrupt):
            call(folder / "clip.mp4", tmp_path / "stopped", **given)
    resumed = call(folder / "clip.mp4", tmp_path / "stopped", **given)
    assert (whole.done_before, resumed.done_before, resumed.frames) == (0, 5, FRAMES)
    assert (resumed.dropped, resumed.notes) == (whole.dropped, whole.notes)
    for name in (parts.PREDICTIONS, parts.OVERLAY_VIDEO):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes()


def test_processes_draw_the_same_bytes_as_threads(
    folder: Path, call: Infer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    @contextmanager
    def counted(count: int, idle: float) -> Iterator[Submit]:
        asked.append(count)
        with worker_processes(count, idle) as submit:
            yield submit

    monkeypatch.setattr(threads, "worker_processes", counted)
    monkeypatch.setattr(threads, "cpu_count", lambda: 2)
    monkeypatch.setattr(threads, "MOST", 1)
    for name, least in (("threads", N + 1), ("processes", N)):
        monkeypatch.setattr(threads, "APART", least)
        call(folder / "set", tmp_path / name, whole=True, side=False)
    assert asked == [1]
    ours, theirs = (sorted((tmp_path / name / "overlay").rglob("*.jpg")) for name in ("threads", "processes"))
    assert len(ours) == N
    assert [path.read_bytes() for path in ours] == [path.read_bytes() for path in theirs]


def test_seconds_are_those_of_all_calls(folder: Path, call: Infer, tmp_path: Path) -> None:
    given: dict[str, Any] = {"boxes": folder / "people.csv", "view": None, "save_every": 5}
    whole = call(folder / "clip.mp4", tmp_path, **given)
    notes = [tmp_path / "parts" / f"00000{number}.json" for number in range(3)]
    notes[2].unlink()
    for note in notes[:2]:
        content = json.loads(note.read_text())
        assert 0 < content["seconds"]["network"] < content["seconds"]["all"]
        content["seconds"] |= {"network": 1000, "all": 2000}
        note.write_text(json.dumps(content))
    again = call(folder / "clip.mp4", tmp_path, **given)
    assert 2000 < again.seconds["network"] < 2000 + whole.seconds["all"] + 60
    assert again.seconds["all"] > 4000
    report = again.to_dict()
    assert report["frames_of_this_call"] == FRAMES - 10
    assert report["frames_per_second"] == pytest.approx(FRAMES / again.seconds["all"], abs=1e-3)


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is of glibc")
def test_a_process_that_is_killed_ends_in_the_same_bytes(
    folder: Path, call: Infer, models: BodyModels, tmp_path: Path
) -> None:
    """What the encoder makes must not depend on what was in memory: each process finds other values there."""

    def begin(filled_with: int) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                ctypes.CDLL(None).mallopt(M_PERTURB, filled_with)
                call(folder / "clip.mp4", tmp_path / "killed", boxes=folder / "people.csv", save_every=3, view="joints")
            except BaseException:
                os._exit(1)
            os._exit(0)
        return pid

    running = begin(85)
    while not ((tmp_path / "killed").is_dir() and parts.finished(tmp_path / "killed")):
        assert os.waitpid(running, os.WNOHANG) == (0, 0)
        time.sleep(0.005)
    os.kill(running, signal.SIGKILL)
    assert os.waitpid(running, 0)[1] == signal.SIGKILL
    assert os.waitpid(begin(170), 0)[1] == 0
    call(folder / "clip.mp4", tmp_path / "whole", boxes=folder / "people.csv", save_every=3, view="joints")
    for name in (parts.PREDICTIONS, parts.OVERLAY_VIDEO):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_people_of_a_video_have_times_and_tracks(folder: Path, call: Infer, tmp_path: Path) -> None:
    outcome = call(folder / "clip.mp4", tmp_path, boxes=folder / "people.csv", view=None)
    hd = HumanData.open(outcome.predictions)
    assert (outcome.people, outcome.frames, outcome.tracks) == (2 * FRAMES, FRAMES, 2)
    np.testing.assert_allclose(np.asarray(hd["meta/time"]), np.repeat(np.arange(FRAMES) / 10, 2), atol=1e-4)
    assert np.asarray(hd["meta/track_id"]).tolist() == [1, 2] * FRAMES
    assert outcome.dropped == {"is outside its image": 1}
    assert outcome.notes == ["people.csv has boxes of 1 images or frames that the input lacks, 99 for one"]
    assert not (tmp_path / parts.OVERLAY_VIDEO).exists()


def test_nobody_in_any_frame(folder: Path, call: Infer, tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("frame,x,y,w,h\n0,900,10,60,120\n")
    outcome = call(folder / "clip.mp4", tmp_path / "out", boxes=tmp_path / "boxes.csv", smooth=True)
    hd = HumanData.open(outcome.predictions)
    assert (len(hd), outcome.people, outcome.empty, outcome.tracks) == (0, 0, FRAMES, 0)
    assert (tmp_path / "out" / parts.OVERLAY_VIDEO).stat().st_size > 0


def test_what_can_be_read_is_kept_beside_an_image_that_cannot(folder: Path, models: BodyModels, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number, path in enumerate(sorted((folder / "set").rglob("*.jpg"))[:2]):
        (images / f"{number}.jpg").write_bytes(path.read_bytes())
    (images / "bad.jpg").write_bytes((images / "0.jpg").read_bytes()[:300])
    (images / "notes.txt").write_text("no image")
    result = command(models, folder, images, "--whole", "--out", tmp_path / "out", code=1)
    assert "bad.jpg" in result.stderr
    assert "1 files whose names do not end as images' do are left out" in result.stderr
    assert len(HumanData.open(tmp_path / "out" / parts.PREDICTIONS)) == 2
    assert sorted(path.name for path in (tmp_path / "out" / "overlay").iterdir()) == ["0.jpg", "1.jpg"]
    report = json.loads((tmp_path / "out" / parts.REPORT).read_text())
    assert list(report["unreadable"]) == ["bad.jpg"]
    command(models, folder, images, "--whole", "--out", tmp_path / "out", "--skip-bad")


def test_another_request_is_refused_unless_it_begins_anew(folder: Path, call: Infer, tmp_path: Path) -> None:
    call(folder / "set", tmp_path, whole=True, view=None)
    with pytest.raises(UsageError, match="save_every was 256 and is 2"):
        call(folder / "set", tmp_path, whole=True, view=None, save_every=2)
    outcome = call(folder / "set", tmp_path, whole=True, view=None, save_every=2, overwrite=True)
    assert (outcome.people, outcome.done_before) == (N, 0)
    assert len(list((tmp_path / parts.PARTS).glob("*.h5"))) == 3


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_that_no_run_has_written_are_kept(folder: Path, call: Infer, tmp_path: Path, overwrite: bool) -> None:
    for name in ("report.json", "overlay/mine.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
        with pytest.raises(UsageError, match="of something else"):
            call(folder / "set", tmp_path, whole=True, view=None, overwrite=overwrite)
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()


def test_an_input_is_not_replaced_by_what_comes_of_it(folder: Path, models: BodyModels, tmp_path: Path) -> None:
    command(models, folder, folder / "set", "--whole", "--view", "none", "--out", tmp_path)
    found = (tmp_path / parts.PREDICTIONS).read_bytes()
    boxes = ("--boxes", tmp_path / parts.PREDICTIONS, "--overwrite", "--out", tmp_path / "x" / "..")
    assert "among the results" in command(models, folder, folder / "set", *boxes, code=2).stderr
    assert (tmp_path / parts.PREDICTIONS).read_bytes() == found


@pytest.mark.parametrize("words", ["--metric-camera nan", "--box-ratio inf", "--score nan", "--smallest nanx5"])
def test_numbers_that_are_none_are_refused(words: str, folder: Path, models: BodyModels, tmp_path: Path) -> None:
    result = command(models, folder, folder / "set", "--out", tmp_path / "out", *words.split(), code=2)
    assert "nan" in result.stderr or "inf" in result.stderr


def test_a_device_that_there_is_none_of_is_refused(folder: Path, models: BodyModels) -> None:
    with pytest.raises(UsageError, match="no device"):
        load_network(folder / "tiny.pt", models, device="quantum")


def test_an_archive_of_images_that_was_stopped_goes_on(
    folder: Path, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = sorted((folder / "set").rglob("*.jpg"))[:3]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number, path in enumerate(images):
            archive.write(path, f"a/{number}.jpg")
    words = ("--whole", "--save-every", 1, "--no-side", "--out")
    command(models, folder, tmp_path / "a.zip", *words, tmp_path / "whole")
    command(models, folder, tmp_path / "a.zip", *words, tmp_path / "stopped")
    (tmp_path / "stopped" / "parts" / "000002.json").unlink()
    monkeypatch.chdir(tmp_path)
    result = command(models, folder, "a.zip", *words, "stopped", "--json")
    assert json.loads(result.stdout)["frames_of_this_call"] == 1
    whole, again = ((tmp_path / name / parts.PREDICTIONS).read_bytes() for name in ("whole", "stopped"))
    assert whole == again
    assert HumanData.open(tmp_path / "whole" / parts.PREDICTIONS)["image_path"][0] == "a.zip/0.jpg"
    height, width = cv2.imread(str(tmp_path / "whole" / "overlay" / "a.zip" / "0.jpg")).shape[:2]
    stored = cv2.imread(str(images[0])).shape
    assert width / height == pytest.approx(stored[1] / stored[0], abs=0.01)


def test_a_folder_that_another_process_writes_to_is_refused(folder: Path, call: Infer, tmp_path: Path) -> None:
    with parts.locked(tmp_path), pytest.raises(DataError, match=r"process .* is writing to this folder"):
        call(folder / "set", tmp_path, whole=True)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_people_of_an_image_that_exif_turns_or_mirrors_lie_on_its_stored_pixels(
    orientation: int, folder: Path, call: Infer, models: BodyModels, tmp_path: Path
) -> None:
    pixels = cv2.imread(str(next((folder / "set").rglob("*.jpg"))))[..., ::-1]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    for name in ("upright", "turned"):
        (tmp_path / name).mkdir()
    Image.fromarray(np.ascontiguousarray(pixels)).save(tmp_path / "upright" / "a.png")

    def as_stored(upright: Array) -> Array:
        mirrored, turns = UPRIGHT[orientation]
        back = np.rot90(upright, turns)
        return np.ascontiguousarray(back[:, ::-1] if mirrored else back)

    stored = as_stored(pixels)
    Image.fromarray(stored).save(tmp_path / "turned" / "a.png", exif=exif)
    upright, turned = (
        HumanData.open(call(tmp_path / name, tmp_path / f"{name}-out", whole=True, view=None).predictions)
        for name in ("upright", "turned")
    )
    height, width = pixels.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)  # pixel -> its x, y upright
    moved = as_stored(grid)
    there = np.stack(np.meshgrid(*(np.arange(n) for n in moved.shape[1::-1])), axis=-1)
    known = np.c_[moved.reshape(-1, 2), np.ones(height * width)]
    affine = np.linalg.lstsq(known, there.reshape(-1, 2), rcond=None)[0]
    seen = joint_pixels(upright, models)
    expected = np.concatenate([seen, np.ones_like(seen[..., :1])], axis=-1) @ affine
    if UPRIGHT[orientation][0]:  # who is mirrored has left and right exchanged
        expected = expected[:, flip_order("smplx")]
    np.testing.assert_allclose(joint_pixels(turned, models), expected, atol=0.1)
    assert (turned["meta/height"][0], turned["meta/width"][0]) == stored.shape[:2]


def test_a_metric_camera_keeps_the_pelvis_at_its_pixel(
    folder: Path, call: Infer, models: BodyModels, tmp_path: Path
) -> None:
    focal = 400.0
    virtual, real = (
        HumanData.open(
            call(folder / "set", tmp_path / str(given), whole=True, view=None, metric_focal=given).predictions
        )
        for given in (None, focal)
    )

    def pelvis(hd: HumanData) -> tuple[Array, Array]:
        joint = models.joints(params_of(hd), "float64")[:, 0]
        return joint[:, :2] / joint[:, 2:] * hd["meta/focal_length"] + hd["meta/principal_point"], joint[:, 2]

    (before, depth), (after, metres) = pelvis(virtual), pelvis(real)
    np.testing.assert_allclose(after, before, atol=1e-3)
    np.testing.assert_allclose(metres / depth, focal / np.asarray(virtual["meta/focal_length"])[:, 0], rtol=1e-5)
    assert (virtual.passport.focal, real.passport.focal) == ("virtual", "image")


def test_a_model_that_predicts_smpl(folder: Path, models: BodyModels, tmp_path: Path) -> None:
    with registered():
        network = load_network(write_weights(tmp_path / "upright.pt"), models, device="cpu")
        source = open_source(str(folder / "set"))
        outcome = infer(source, network, finder(source, whole=True), tmp_path / "out", models, Options(view=None))
    hd = HumanData.open(outcome.predictions)
    assert (hd.body_model, hd["smpl/body_pose"].shape) == ("smpl", (N, 23, 3))


def test_results_that_name_no_files_are_refused_for_images(folder: Path, call: Infer, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{"image_id": 1, "category_id": 1, "bbox": [1, 1, 50, 90], "score": 0.9}]))
    with pytest.raises(DataError, match="image_id alone"):
        call(folder / "set", tmp_path / "out", boxes=path)
    assert call(folder / "clip.mp4", tmp_path / "out", boxes=path, view=None).people == 1


def test_a_stretch_of_a_video_without_a_frame(folder: Path, models: BodyModels, tmp_path: Path) -> None:
    words = (folder / "clip.mp4", "--boxes", folder / "people.csv", "--from", "1.15", "--out", tmp_path / "out")
    result = command(models, folder, *words, code=1)
    assert "has no frame there" in result.stderr


@pytest.mark.parametrize("fault", ["note lost", "rows damaged", "all parts lost"])
def test_a_finished_run_whose_parts_are_damaged_is_made_whole_again(
    folder: Path, call: Infer, tmp_path: Path, fault: str
) -> None:
    asked: dict[str, Any] = {"boxes": folder / "people.csv", "view": None, "save_every": 5}
    whole = call(folder / "clip.mp4", tmp_path, **asked)
    expected = whole.predictions.read_bytes()
    note, rows = tmp_path / "parts" / "000001.json", tmp_path / "parts" / "000001.h5"
    if fault == "note lost":
        note.unlink()
    elif fault == "rows damaged":
        rows.write_bytes(rows.read_bytes()[:100])
    else:
        for path in (tmp_path / "parts").iterdir():
            path.unlink()
    again = call(folder / "clip.mp4", tmp_path, **asked)
    assert again.people == whole.people
    assert again.predictions.read_bytes() == expected


def test_rows_whose_box_is_beside_the_image_are_those_that_evaluation_predicts(
    folder: Path, call: Infer, models: BodyModels, tmp_path: Path
) -> None:
    hd = HumanData.open(folder / "set.h5")
    boxes = np.array(hd["bbox_xywh"])
    boxes[0, :4] = (-50, 10, 20, 60)
    moved = hd.with_columns({"bbox_xywh": boxes}).save(folder / "moved.h5")
    expected = predict(folder / "tiny.pt", SetSpec(moved, folder), tmp_path / "expected.h5", models, device="cpu")
    found = HumanData.open(call(moved, tmp_path / "out", view=None).predictions)
    assert sorted(found["meta/truth_row"].tolist()) == sorted(expected["meta/truth_row"].tolist())
