"""Tars of 4D-Humans: read back as they were, by ``webdataset``, and as 4D-Humans' own loader takes them."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ehps.errors import DataError, PassportError, UnsafeFileError, UsageError
from ehps.exchange import hmr_tar_files, hmr_tars
from ehps.exchange.forms import Sources, Stated
from ehps.humandata.core import HumanData
from tests.exchange.people import same, smpl_people

N = 8
HELD = ("smpl/betas", "smpl/global_orient", "smpl/body_pose", "keypoints2d_original", "keypoints3d_original")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for k, name in enumerate(sorted(set(smpl_people(N)["image_path"]))):
        (folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), np.random.default_rng(k).integers(0, 255, (20, 30 + k, 3), dtype=np.uint8))
    return folder


@pytest.fixture(scope="module")
def tars(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tars") / "mine-train"
    hmr_tar_files.write(smpl_people(N), out, Sources(images=images))
    return out


def test_what_tars_hold_comes_back_without_error(tars: Path, images: Path, tmp_path: Path) -> None:
    hd = smpl_people(N)
    assert hmr_tars.recognise(tars)
    assert hmr_tars.recognise(tars / "000000.tar")
    back = hmr_tars.read(tars, Stated(), tmp_path)
    assert list(back["image_path"]) == list(hd["image_path"])
    for name in HELD:
        same(back[name], hd[name])
    assert np.allclose(back["bbox_xywh"], hd["bbox_xywh"], rtol=0, atol=1e-3)  # centre and scale are float32
    assert back.passport.gender == "neutral"
    assert "smpl/transl" not in back
    assert "meta/focal_length" not in back
    assert back["meta/height"].tolist() == [20] * N
    for name in set(hd["image_path"]):
        assert (tmp_path / name).read_bytes() == (images / name).read_bytes()


def test_without_a_folder_paths_lead_into_the_tar(tars: Path) -> None:
    assert hmr_tars.read(tars, Stated(), None)["image_path"][0] == "000000.tar/seq_0/image 0.jpg"


def test_people_of_an_image_are_together_whatever_their_order(images: Path, tmp_path: Path) -> None:
    hd = smpl_people(N)[[7, 0, 3, 1, 6, 4, 2, 5]]
    hmr_tar_files.write(hd, tmp_path / "out", Sources(images=images))
    back = hmr_tars.read(tmp_path / "out", Stated(), tmp_path / "images")
    order = [0, 4, 1, 3, 6, 2, 5, 7]  # images in the order of the rows: the third, the first, the second
    same(back["smpl/body_pose"], hd["smpl/body_pose"][order])
    assert list(back["image_path"]) == [hd["image_path"][k] for k in order]


def test_webdataset_gives_4d_humans_what_it_looks_for(tars: Path) -> None:
    """The steps of ``load_tars_as_webdataset``: a sample a person, filters on what a person says."""
    import webdataset as wds

    hd = smpl_people(N)
    urls = str(tars / "000000.tar")
    data = wds.WebDataset(urls, shardshuffle=False).decode("rgb8").rename(jpg="jpg;jpeg;png")
    samples = [(item["__key__"], item["jpg"], person) for item in data for person in item["data.pyd"]]
    assert len(samples) == N
    assert [key for key, _, _ in samples] == [name.rpartition(".")[0].replace(".", "_") for name in hd["image_path"]]
    assert samples[0][1].shape == (20, 30, 3)
    box = np.asarray(hd["bbox_xywh"], float)
    for k, (_, _, person) in enumerate(samples):
        losses = person.get("extra_info", {}).get("fitting_loss", np.array({})).item()
        assert losses.get("reprojection_loss") is None
        assert (person["keypoints_2d"][:, 2] > 0).sum() > 4
        assert person["scale"].min().item() * 200 > 1
        assert person["has_body_pose"] > 0
        assert person["has_betas"] > 0
        assert person["body_pose"][3:].shape == (69,)
        assert person["body_pose"].dtype == np.float32
        assert np.allclose(person["center"], box[k, :2] + box[k, 2:4] / 2)
        same(person["keypoints_3d"], hd["keypoints3d_original"][k])
        same(person["betas"], hd["smpl/betas"][k])


def test_shards_hold_whole_samples(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmr_tar_files, "SHARD_BYTES", 9000)
    written = hmr_tar_files.write(smpl_people(N), tmp_path / "mine", Sources(images=images))
    names = [path.name for path in written.files]
    assert names == ["000000.tar", "000001.tar", "000002.tar", "datasets_tar.yaml"]
    for path in written.files[:-1]:
        with tarfile.open(path) as tar:
            assert len(tar.getnames()) == 2
    entry = written.files[-1].read_text()
    assert "mine/{000000..000002}.tar" in entry
    assert f"epoch_size: {N}" in entry
    assert len(hmr_tars.read(tmp_path / "mine", Stated(), None)) == N
    assert any("translation" in sentence for sentence in written.left_out)
    written.files[1].unlink()
    with pytest.raises(DataError, match=r"lacks 1 of its numbered tars: 000001\.tar"):
        hmr_tars.read(tmp_path / "mine", Stated(), None)


def test_headers_are_those_of_tarfile() -> None:
    names = ["a.jpg", "ö/" + "b" * 40 + ".data.pyd", "c" * 100, "d" * 130 + ".jpg"]
    sizes = [0, 511, 8**10, 7]
    assert hmr_tar_files.headers(names, sizes) == [
        hmr_tar_files._header(*pair) for pair in zip(names, sizes, strict=True)
    ]


def test_keys_have_no_dots_and_are_each_their_own() -> None:
    used: set[str] = set()
    keys = [hmr_tar_files._key(path, used) for path in ("a.b/c.d.jpg", "a_b/c_d.png", "a.b/c_d.jpg")]
    assert keys == ["a_b/c_d", "a_b/c_d-1", "a_b/c_d-2"]


def _tar(path: Path, **members: bytes) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


PERSON: dict[str, Any] = {name: np.ones(shape, np.float32) for name, shape in hmr_tar_files.SHAPES.items()}
JPEG = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()


def test_tars_of_others_are_read_without_running_them(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (print, ("ran",))

    good = pickle.dumps([PERSON | {"extra_info": {"fitting_loss": np.array({"reprojection_loss": 3.0})}}])
    hd = hmr_tars.read(_tar(tmp_path / "a.tar", a__jpg=JPEG, a__data__pyd=good), Stated(), None)
    assert len(hd) == 1
    assert hd["image_path"][0] == "a.tar/a.jpg"
    bad = _tar(tmp_path / "b.tar", a__jpg=JPEG, a__data__pyd=pickle.dumps([PERSON | {"extra_info": Evil()}]))
    with pytest.raises(UnsafeFileError):
        hmr_tars.read(bad, Stated(), None)


@pytest.mark.parametrize(
    ("people", "said"),
    [
        (None, "has no data.pyd"),
        ({"a": 1}, "expected a list"),
        ([PERSON | {"body_pose": np.ones(3)}], "body_pose"),
        ([{"hand_pose": np.ones(48)}], "HaMeR"),
        ([PERSON, PERSON | {"has_betas": np.zeros(())}], "1 of 2 people have no body"),
    ],
)
def test_tars_of_another_form_are_told(people: Any, said: str, tmp_path: Path) -> None:
    labels = {} if people is None else {"a__data__pyd": pickle.dumps(people)}
    with pytest.raises(DataError, match=said):
        hmr_tars.read(_tar(tmp_path / "a.tar", a__jpg=JPEG, **labels), Stated(), None)


@pytest.mark.parametrize("size", [0, 100, 700, 5120, 6826, 9000])
def test_a_tar_that_is_cut_short_is_told(size: int, tars: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes((tars / "000000.tar").read_bytes()[:size])
    with pytest.raises(DataError, match=r"a\.tar"):
        hmr_tars.read(tmp_path / "a.tar", Stated(), None)


def test_images_never_leave_their_folder(tmp_path: Path) -> None:
    people = [PERSON | {"extra_info": {"image_path": "../../evil.jpg"}}]
    tar = _tar(tmp_path / "a.tar", a__jpg=JPEG, a__data__pyd=pickle.dumps(people))
    with pytest.raises(DataError, match="not a path below"):
        hmr_tars.read(tar, Stated(), tmp_path / "images")
    assert not list(tmp_path.rglob("evil.jpg"))


def _male(hd: HumanData) -> HumanData:
    return hd.with_columns({"meta/gender": ["male"] * len(hd)})


def test_what_cannot_be_written_is_told_before_anything_is(images: Path, tmp_path: Path) -> None:
    hd = smpl_people(N)
    with pytest.raises(UsageError, match="--images"):
        hmr_tar_files.write(hd, tmp_path / "a", Sources())
    with pytest.raises(PassportError, match="neutral"):
        hmr_tar_files.write(_male(hd), tmp_path / "a", Sources(images=images))
    with pytest.raises(DataError, match="bbox_xywh"):
        hmr_tar_files.write(hd.without(["bbox_xywh"]), tmp_path / "a", Sources(images=images))
    with pytest.raises(DataError, match=r"image 0\.jpg"):
        hmr_tar_files.write(hd, tmp_path / "a", Sources(images=tmp_path))
    assert not list(tmp_path.iterdir())


def test_images_of_another_size_and_what_is_none_are_refused(images: Path, tmp_path: Path) -> None:
    sizes = {"meta/height": np.full(N, 999, np.int32), "meta/width": np.full(N, 999, np.int32)}
    with pytest.raises(DataError, match="its rows say 999 x 999"):
        hmr_tar_files.write(smpl_people(N).with_columns(sizes), tmp_path / "out", Sources(images=images))
    assert not (tmp_path / "out").exists()
    with tarfile.open(tmp_path / "000000.tar", "w") as tar:
        for name, content in (("a.jpg", b"no image"), ("a.data.pyd", pickle.dumps([{}]))):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with pytest.raises(DataError, match=r"a\.jpg is no image"):
        hmr_tars.read(tmp_path / "000000.tar", Stated(), None)
