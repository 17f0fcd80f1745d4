"""Parquet shards and Croissant metadata: read back as they were, and by ``datasets`` and ``mlcroissant``."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from ehps.errors import DataError, UsageError
from ehps.exchange import croissant, parquet
from ehps.exchange.forms import Sources, Stated
from ehps.humandata.core import HumanData
from ehps.humandata.strings import Strings
from tests.exchange.people import same, smplx_people

N = 8


def people() -> HumanData:
    hd = smplx_people(N)
    more = {
        "meta/RT": np.random.default_rng(3).normal(size=(N, 4, 4)),
        "meta/frame_id": np.arange(N, dtype=np.int64) << 40,
        "smplx/expression": np.full((N, 10), np.nan, np.float32),
        "meta/sequence_name": [f"ü{k % 2}" for k in range(N)],
    }
    out = hd.with_columns(more)
    out.misc, out.quality = {"bbox_source": "x", "list": [1, 2.5]}, {"rows": N}
    return out


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for k, name in enumerate(sorted(set(people()["image_path"]))):
        (folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), np.random.default_rng(k).integers(0, 255, (20, 30 + k, 3), dtype=np.uint8))
    return folder


@pytest.fixture(scope="module")
def shards(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several row groups and shards: no more than three rows of images in a group, two groups in a shard."""
    out = tmp_path_factory.mktemp("shards") / "hub"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "GROUP_ROWS", 3)
        patch.setattr(parquet, "SHARD_BYTES", 10_000)
        parquet.write(people(), out, Sources(images=images))
    return out


def _check(back: HumanData, hd: HumanData) -> None:
    assert back.columns == hd.columns
    for name in hd.columns:
        if isinstance(hd[name], Strings):
            assert list(back[name]) == list(hd[name])
        else:
            assert back[name].dtype == hd[name].dtype
            assert back[name].tobytes() == np.asarray(hd[name]).tobytes()
    assert (back.passport, back.misc, back.quality) == (hd.passport, hd.misc, hd.quality)
    assert back.keypoint_names == hd.keypoint_names


def test_everything_comes_back_bit_by_bit(shards: Path, images: Path, tmp_path: Path) -> None:
    assert len(list(shards.glob("data/*.parquet"))) > 1
    assert parquet.recognise(shards)
    _check(parquet.read(shards, Stated(), tmp_path), people())
    for name in set(people()["image_path"]):
        assert (tmp_path / name).read_bytes() == (images / name).read_bytes()


def test_labels_are_read_alone(shards: Path) -> None:
    _check(parquet.read(shards, Stated(), None), people())


def test_files_without_images_say_so(tmp_path: Path) -> None:
    written = parquet.write(people(), tmp_path / "hub", Sources())
    assert any("--images" in sentence for sentence in written.left_out)
    _check(parquet.read(tmp_path / "hub", Stated(), None), people())


def test_datasets_opens_the_folder(shards: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(str(shards), split="train", cache_dir=str(tmp_path / "cache"))
    hd = people()
    assert len(loaded) == N
    assert set(loaded.column_names) == {"image", *hd.columns}
    row = loaded[5]
    assert row["image"].size == cv2.imread(str(images / hd["image_path"][5])).shape[1::-1]
    assert row["image_path"] == hd["image_path"][5]
    numbers = loaded.select_columns(["smplx/body_pose"]).with_format("numpy")[5]["smplx/body_pose"]
    same(numbers, hd["smplx/body_pose"][5])
    assert loaded.info.features["keypoints2d_smplx"].length == 44


def test_mlcroissant_validates_the_metadata_and_reads_rows(shards: Path, caplog: pytest.LogCaptureFixture) -> None:
    import mlcroissant

    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(jsonld=shards / "croissant.json")
    assert not dataset.metadata.issues.errors
    assert all("is recommended" in said for said in dataset.metadata.issues.warnings)
    rows = list(dataset.records("persons"))
    assert len(rows) == N
    hd = people()
    assert rows[4]["persons/image_path"].decode() == hd["image_path"][4]
    assert np.allclose(rows[4]["persons/bbox_xywh"], hd["bbox_xywh"][4])
    described = json.loads((shards / "croissant.json").read_text())
    files = [entry for entry in described["distribution"] if entry["@type"] == "cr:FileObject"]
    assert len(files) == len(list(shards.glob("data/*")))
    for entry in files:
        content = (shards / entry["contentUrl"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["contentSize"] == f"{len(content)} B"
    assert "agora.is.tue.mpg.de" in described["url"][0]
    assert "AGORA" in described["citeAs"]


def test_a_humandata_file_is_described_as_a_file(tmp_path: Path) -> None:
    import mlcroissant

    path = people().save(tmp_path / "people.h5")
    written = croissant.write(HumanData.open(path), tmp_path / "croissant.json", Sources())
    dataset = mlcroissant.Dataset(jsonld=written.files[0])
    assert not dataset.metadata.issues.errors
    described = json.loads(written.files[0].read_text())
    assert described["distribution"][0]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {one["name"] for one in described["variableMeasured"]} == set(people().columns)
    with pytest.raises(UsageError, match="save"):
        croissant.write(people(), tmp_path / "croissant.json", Sources())


def test_the_card_says_licence_size_tasks_and_features(shards: Path) -> None:
    import yaml

    text = (shards / "README.md").read_text()
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["license"] == "other"
    assert "non-commercial" in head["license_name"]
    assert head["size_categories"] == ["n<1K"]
    assert "keypoint-detection" in head["task_categories"]
    assert head["dataset_info"]["splits"][0]["num_examples"] == N
    assert {one["name"] for one in head["dataset_info"]["features"]} == {"image", *people().columns}
    assert "| flat_hand_mean | True |" in text


def test_shards_of_others_and_damaged_ones_are_told(shards: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet as files

    files.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    assert not parquet.recognise(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="does not say what its columns mean"):
        parquet.read(tmp_path / "a.parquet", Stated(), None)
    (tmp_path / "a.parquet").write_bytes(next(shards.glob("data/*")).read_bytes()[:-20])
    with pytest.raises(DataError, match="no readable Parquet"):
        parquet.read(tmp_path, Stated(), None)
    with pytest.raises(DataError, match=r"no \.parquet"):
        parquet.read(shards.parent, Stated(), None)


def test_nothing_is_written_over_or_left_behind(shards: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not empty"):
        parquet.write(people(), shards, Sources(images=images))
    with pytest.raises(DataError, match=r"image 0\.jpg"):
        parquet.write(people(), tmp_path / "out", Sources(images=tmp_path))
    assert not list(tmp_path.iterdir())


def test_an_image_of_several_persons_is_stored_once(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), noise)
    hd = smplx_people(N).with_columns({"image_path": ["a.png"] * N})
    parquet.write(hd, tmp_path / "out", Sources(images=tmp_path))
    image = (tmp_path / "a.png").stat().st_size
    assert sum(path.stat().st_size for path in (tmp_path / "out/data").iterdir()) < 1.5 * image


def test_images_never_replace_others(shards: Path, tmp_path: Path) -> None:
    place = tmp_path / people()["image_path"][0]
    place.parent.mkdir()
    place.write_bytes(b"mine")
    with pytest.raises(DataError, match="another image"):
        parquet.read(shards, Stated(), tmp_path)
    assert place.read_bytes() == b"mine"


def test_images_of_another_size_are_not_packed(images: Path, tmp_path: Path) -> None:
    sizes = {"meta/height": np.full(N, 999, np.int32), "meta/width": np.full(N, 999, np.int32)}
    with pytest.raises(DataError, match="its rows say 999 x 999"):
        parquet.write(people().with_columns(sizes), tmp_path / "hub", Sources(images=images))


def test_what_a_shard_cannot_mean_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet as files

    with pytest.raises(DataError, match="meta/none"):
        parquet.write(people().with_columns({"meta/none": np.zeros((N, 0))}), tmp_path / "none", Sources())
    (shard,) = (
        path for path in parquet.write(people(), tmp_path / "hub", Sources()).files if path.suffix == ".parquet"
    )
    table = files.read_table(shard)
    at = table.schema.get_field_index("smplx/betas")
    betas = [None, *table["smplx/betas"].to_pylist()[1:]]
    lacking = table.set_column(at, table.schema.field(at), pa.array(betas, table.schema.field(at).type))
    strange = table.set_column(at, "smplx/betas", pa.array([{"a": 1}] * N)).replace_schema_metadata(
        table.schema.metadata
    )
    for other, said in (
        (lacking, "rows without smplx/betas"),
        (strange, "neither numbers nor texts"),
        (table.drop_columns("image_path"), "no image_path"),
    ):
        files.write_table(other, shard)
        with pytest.raises(DataError, match=said):
            parquet.read(shard, Stated(), None)
