"""Whatever opens images gets the same from a zip archive or a video as from the files that were taken out of it."""

from __future__ import annotations

import tarfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from ehps.analysis import features
from ehps.benchmark import models as networks
from ehps.benchmark.suites.plan import _missing_images
from ehps.benchmark.suites.prediction import predict
from ehps.benchmark.training.packing import pack
from ehps.benchmark.training.samples import CropView, HumanDataset
from ehps.benchmark.training.specs import SetSpec
from ehps.body.models import BodyModels
from ehps.exchange import hmr_tar_files, parquet, rerun_recording
from ehps.exchange.forms import Sources, Stated
from ehps.humandata import HumanData
from ehps.humandata.drawing.overlays import view
from ehps.humandata.image_checks import check_images
from ehps.inference.people import finder
from ehps.inference.predicting import load_network
from ehps.inference.run import Options, infer
from ehps.inference.sources import open_source
from tests.drawn_people import Style, people, write_set
from tests.exchange.people import smpl_people
from tests.raw.ubody import write_video
from tests.upright import write_weights

N = 6
WARP = CropView((256, 192), augment=False)


@dataclass(frozen=True)
class Kept:
    """One HumanData file whose images lie in files, and elsewhere."""

    data: Path
    files: Path
    elsewhere: Path
    checkpoint: Path


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("loose")
    write_set(folder, people(N, np.random.default_rng(0), Style()), models)
    arguments = {"width": 32, "depth": 1, "heads": 2}
    torch.manual_seed(0)
    write_weights(folder / "tiny.pt", "tiny", networks.build("tiny", **arguments).state_dict(), arguments)
    return folder


@pytest.fixture(scope="module")
def in_archives(loose: Path, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Of three folders one is packed with its name as the top folder, one without, one with the folder above."""
    folder = tmp_path_factory.mktemp("packed")
    for archive, root, top, method in (
        ("set/take0.zip", "set/take0", "take0/", zipfile.ZIP_DEFLATED),
        ("set/take1.zip", "set/take1", "", zipfile.ZIP_STORED),
        ("set.zip", "set/take2", "take2/", zipfile.ZIP_DEFLATED),
    ):
        (folder / archive).parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(folder / archive, "w", method) as made:
            for path in sorted((loose / root).iterdir()):
                made.write(path, top + path.name)
    return Kept(loose / "set.h5", loose, folder, loose / "tiny.pt")


@pytest.fixture(scope="module")
def in_a_video(loose: Path, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("video")
    (folder / "files/clip.mp4").mkdir(parents=True)
    write_video(folder / "video/clip.mp4", 2 * N, 30, size=(160, 120), options={"g": "5"})
    hd = HumanData.open(loose / "set.h5")
    names = [f"clip.mp4/{2 * k:06d}.png" for k in range(N)]
    hd.with_columns({"image_path": names}).save(folder / "set.h5")
    for frame in open_source(str(folder / "video/clip.mp4")).frames(0):
        cv2.imwrite(str(folder / f"files/clip.mp4/{frame.number:06d}.png"), frame.pixels[..., ::-1])
    return Kept(folder / "set.h5", folder / "files", folder / "video", loose / "tiny.pt")


@pytest.fixture(params=["in_archives", "in_a_video"])
def kept(request: pytest.FixtureRequest) -> Kept:
    found: Kept = request.getfixturevalue(request.param)
    return found


def verified(kept: Kept, images: Path, out: Path, models: BodyModels) -> Any:
    check = check_images(HumanData.open(kept.data), images, decode=True)
    assert not check.faults
    return check.images


def cropped(kept: Kept, images: Path, out: Path, models: BodyModels) -> Any:
    samples = HumanDataset(kept.data, images, WARP, with_targets=False)
    samples.require_images()
    return [samples[k]["image"].numpy().tobytes() for k in range(len(samples))]


def cropped_by_workers(kept: Kept, images: Path, out: Path, models: BodyModels) -> Any:
    samples = HumanDataset(kept.data, images, WARP, with_targets=False)
    samples[0]  # the parent has the archive and the video open
    loader = torch.utils.data.DataLoader(samples, batch_size=2, num_workers=2, multiprocessing_context="fork")
    return [batch["image"].numpy().tobytes() for batch in loader]


def packed(kept: Kept, images: Path, out: Path, models: BodyModels) -> Any:
    return pack(kept.data, images, out / "a.pack", jobs=2, show=False).path.read_bytes()


def viewed(kept: Kept, images: Path, out: Path, models: BodyModels) -> Any:
    pages = view(HumanData.open(kept.data), images, out, rows=range(N))
    return [path.read_bytes() for path in sorted(out.glob("*.png"))], pages.missing


def predicted(kept: Kept, images: Path, out: Path, models: BodyModels) -> Any:
    found = predict(kept.checkpoint, SetSpec(kept.data, images), out / "p.h5", models, device="cpu", progress=False)
    return {name: np.asarray(found[name]).tobytes() for name in found.columns if name.startswith("smplx/")}


def inferred(kept: Kept, images: Path, out: Path, models: BodyModels) -> Any:
    source = open_source(str(kept.data), images=images)
    network = load_network(kept.checkpoint, models, device="cpu", batch_size=4)
    done = infer(source, network, finder(source), out / "run", models, Options(view=None))
    found = HumanData.open(done.predictions)
    return {name: np.asarray(found[name]).tobytes() for name in found.columns if name.startswith("smplx/")}


def described(kept: Kept, images: Path, out: Path, models: BodyModels) -> Any:
    values, found = features.image(HumanData.open(kept.data), images)
    assert found.all()
    return values.tobytes()


def planned(kept: Kept, images: Path, out: Path, models: BodyModels) -> Any:
    return _missing_images(HumanData.open(kept.data), np.arange(N), SetSpec(kept.data, images), "test")


def exported(kept: Kept, images: Path, out: Path, models: BodyModels) -> Any:
    parquet.write(HumanData.open(kept.data), out / "hub", Sources(images=images))
    parquet.read(out / "hub", Stated(), out / "images")
    return {p.name: cv2.imread(str(p)).tobytes() for p in sorted((out / "images").rglob("*g"))}


def in_tars(kept: Kept, images: Path, out: Path, models: BodyModels) -> Any:
    people = smpl_people(N).with_columns({"image_path": HumanData.open(kept.data)["image_path"].tolist()})
    hmr_tar_files.write(people, out / "mine-train", Sources(images=images))
    found = {}
    for shard in sorted((out / "mine-train").glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                if not member.name.endswith(".pyd"):
                    data = tar.extractfile(member).read()  # type: ignore[union-attr]
                    found[member.name] = cv2.imdecode(np.frombuffer(data, np.uint8), 1).tobytes()
    return found


def recorded(kept: Kept, images: Path, out: Path, models: BodyModels) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of an image that cannot be taken
        return rerun_recording.write(HumanData.open(kept.data), out / "a.rrd", Sources(images=images)).left_out


@pytest.mark.parametrize(
    "use",
    [
        verified,
        cropped,
        cropped_by_workers,
        packed,
        viewed,
        predicted,
        inferred,
        described,
        planned,
        exported,
        in_tars,
        recorded,
    ],
)
def test_what_is_made_of_images_is_the_same(
    use: Callable[[Kept, Path, Path, BodyModels], Any], kept: Kept, models: BodyModels, tmp_path: Path
) -> None:
    made = []
    for images in (kept.files, kept.elsewhere):
        out = tmp_path / images.name
        out.mkdir()
        made.append(use(kept, images, out, models))
    assert made[0] == made[1]
