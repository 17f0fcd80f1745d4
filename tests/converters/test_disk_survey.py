"""What `ehps doctor DISK` finds: complete, partial and mistaken downloads under folder names of the users' own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from ehps.cli import main
from ehps.converters import layout, registry
from ehps.converters.base import DatasetCard
from ehps.converters.disk_survey import Finding, survey
from ehps.errors import DataError


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    touch(tmp_path / "3dpw_download", "imageFiles/a/image_00000.jpg", "sequenceFiles/test/a.pkl")
    touch(tmp_path / "syn" / "b1", "training_labels/all_npz_12_training/", "training_images/")
    touch(tmp_path / "EgoBody", "data_splits.csv", "data_info_release.csv", "calibrations/", "egocentric_color/")
    touch(tmp_path / "shapes", "smplx_labels_with_vertices.npz")
    touch(tmp_path / "RICH", "RICH_train.zip")
    touch(tmp_path / "holiday", "images/beach.jpg", "train/", "data/notes.txt")
    return tmp_path


def found(disk: Path) -> dict[str, Finding]:
    return {finding.card.id: finding for finding in survey(disk)}


def test_every_dataset_gets_one_finding(disk: Path) -> None:
    assert list(found(disk)) == [card.id for card in registry.cards()]


def test_a_complete_split_is_found_under_any_folder_name(disk: Path) -> None:
    pw3d = found(disk)["pw3d"]
    assert (pw3d.state, pw3d.folder, pw3d.splits) == ("found", disk / "3dpw_download", ["test"])
    bedlam = found(disk)["bedlam"]
    assert (bedlam.state, bedlam.folder, bedlam.splits) == ("found", disk / "syn" / "b1", ["train"])


def test_a_partial_download_says_what_is_missing(disk: Path) -> None:
    ego = found(disk)["egobody_ego"]
    assert ego.state == "partial"
    assert ego.missing == ["smplx_interactee_train"]


def test_images_a_folder_too_deep_are_named_and_not_called_found(tmp_path: Path) -> None:
    touch(tmp_path / "x", "imageFiles/imageFiles/a/image_00000.jpg", "sequenceFiles/train/a.pkl")
    touch(tmp_path / "UBody", "annotations/a/keypoint_annotation.json", "annotations/a/smplx_annotation.json")
    touch(tmp_path / "UBody", "splits/intra_scene_test_list.npy", "images/images/a/b/c/1.png")
    findings = found(tmp_path)
    for name, inner in (("pw3d", "imageFiles/imageFiles"), ("ubody", "images/images")):
        assert findings[name].state == "partial"
        assert f"one folder too deep: {inner}" in findings[name].lacks


def test_a_dataset_whose_folders_all_are_too_deep_is_recognised(tmp_path: Path) -> None:
    touch(tmp_path / "x", "imageFiles/imageFiles/a/1.jpg", "sequenceFiles/sequenceFiles/train/a.pkl")
    pw3d = found(tmp_path)["pw3d"]
    assert (pw3d.state, pw3d.folder) == ("partial", tmp_path / "x")
    assert "sequenceFiles/sequenceFiles/train/a.pkl" in pw3d.note


def test_pipes_and_circles_are_passed_over_and_links_followed(disk: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.npz")
    (disk / "3dpw_download/up").symlink_to(disk)
    (disk / "3dpw_download/me").symlink_to("me")
    before = {name: (finding.state, finding.folder) for name, finding in found(disk).items()}
    assert before["pw3d"] == ("found", disk / "3dpw_download")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "linked").symlink_to(disk / "3dpw_download")
    assert found(elsewhere)["pw3d"].folder == elsewhere / "linked"


def test_a_mistaken_release_is_named(disk: Path) -> None:
    ssp3d = found(disk)["ssp3d"]
    assert ssp3d.state == "wrong variant"
    assert "ssp_3d.zip" in ssp3d.note


MISTAKEN = [
    ("agora", "validation_SMPL/SMPL/validation_0_withjv.pkl", "SMPL tables only"),
    ("agora", "smplx_gt/ Cam/train_0.pkl", "tables without joints"),
    ("agora", "smplx_gt/ AGORA_train_fix_betas.json 1280x720/train_0/", "json that OSX"),
    ("agora", "AGORA_train_SMPLX.json", "Hand4Whole"),
    ("arctic", "meta/misc.json raw_seqs/ cropped_images/s01/box_grab_01/1/00010.jpg", "cut out and resized"),
    ("bedlam2", "bedlam-labels-v2-format/20221010_3_1000_batch01hand.npz", "first BEDLAM"),
    ("bedlam2", "data/training-labels/bedlam-labels-v2-format/20221010_3_1000_batch01hand.npz", "first BEDLAM"),
    ("egobody_ego", "data_splits.csv annotation_egocentric_smpl_npz/", "repack with SMPL"),
    ("ehf", "images/01.png alignments/01.pkl annotations.yaml gt_keyps.npz", "ExPose"),
    ("h36m", "metadata.xml S1/MyPoseFeatures/D2_Positions/", "original release"),
    ("h36m", "S9/Videos/Directions.54138969.mp4", "parsed package"),
    ("harmony4d", "train/02_grappling/001_grappling/cam01/00001.jpg", "undistorted pictures alone"),
    ("hi4d", "data/dance00/cameras/rgb_cameras.npz", "as mmhuman3d lists them"),
    ("humansc3d", "FlickrSC3D/", "contact labels only"),
    ("insta_variety", "test/insta_variety_00_copy00_hmr_noS5.ckpt-642561.tfrecord", "tfrecords"),
    ("insta_variety", "InstaVariety.json InstaVariety_tracks/", "OpenPose tracks"),
    ("moyo", "220923_yogi_body_hands_03596_Boat_Pose_or_Paripurna_Navasana_-a_stageii.npz", "AMASS"),
    ("mpi_inf_3dhp", "S1/Seq1/imageSequence/video_0.avi", "original training release"),
    ("mpii", "images/1.jpg mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat", "another form of the 2D"),
    ("mpii", "images/1.jpg annot/train.h5", "NeuralAnnot"),
    ("muco", "unaugmented_set_001/000001.jpg sampled_dataset_info.mat", "MATLAB"),
    ("muco", "extras/MuCo-3DHP.json SMPLX/smpl_param.json images/1.jpg", "hmr-benchmarks"),
    ("ochuman", "images/000001.jpg ochuman.json", "native annotations"),
    ("posetrack", "images/bonn_5sec/ eft_fit/PoseTrack_ver01.json", "PoseTrack17"),
    ("prox", "recordings/vicon_03301_01/Color/ calibration/Color.json", "quantitative"),
    ("prox", "fittings/mosh/vicon_03301_01/ vicon2scene.json", "PROXD.zip"),
    ("pw3d", "imageFiles/ 3DPW_train.json", "Moon's"),
    ("pw3d", "imageFiles/ 3DPW_test_SMPLX_NeuralAnnot.json", "sequenceFiles.zip"),
    ("pw3d", "3dpw_train_smplx.npz", "BEDLAM's"),
    ("renbody", "dna_rendering_part3_main/0100_01.smc", "parts 3 to 6"),
    ("renbody_hires", "Part6/dna_rendering_part6_main/", "no fits"),
    ("rich", "scan_calibration/ ps/project/multi-ioi/rich_release/train_body/", "move them to the root"),
    ("sam3d_body", "sam-3d-body-dinov3/model.ckpt sam-3d-body-dinov3/assets/mhr_model.pt", "checkpoint"),
    ("ssp3d", "images/a.png smplx_labels_with_vertices.npz", "SHAPY"),
    ("synbody", "S100K_SMPL.npz", "SynBody-100K"),
    ("synbody", "openxdlab_synbody_2022_release1/20230113/Downtown/LS_1/rgb/", "camera space"),
]


@pytest.fixture(scope="module")
def found_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Finding]]:
    """What is found on a disk with a folder of files, by their names."""

    @cache
    def found_of_files(files: str) -> dict[str, Finding]:
        disk = tmp_path_factory.mktemp("disk")
        touch(disk / "somewhere", *files.split())
        return found(disk)

    return found_of_files


@pytest.mark.parametrize(("dataset", "files", "words"), MISTAKEN)
def test_the_note_says_which_release_it_is(
    found_of: Callable[[str], dict[str, Finding]], dataset: str, files: str, words: str
) -> None:
    notes = {name: finding.note for name, finding in found_of(files).items() if finding.state == "wrong variant"}
    assert words in notes[dataset]
    assert set(notes) <= {dataset, *SAME_FILES.get(dataset, ())}


def test_every_variant_of_every_card_is_tried(found_of: Callable[[str], dict[str, Finding]]) -> None:
    tried = {found_of(files)[dataset].note for dataset, files, _ in MISTAKEN}
    assert tried == {note for card in registry.cards() for note in card.variants.values()}


# datasets that are in the same files
SAME_FILES = {"renbody": {"renbody_hires"}, "renbody_hires": {"renbody"}}


TREES = [(card, split) for card in registry.cards() for split in card.splits]


def lay(root: Path, card: DatasetCard, split: str) -> None:
    """The first of all alternatives of all needs of a split; what has no suffix is a folder."""
    for need in layout.needs(card, split):
        path = need.split("|")[0].strip().replace("*", "a")
        touch(root, path if "." in Path(path).name else f"{path}/")


DIFFERENT = {(card.id, layout.needs(card, split)): (card, split) for card, split in TREES}  # trees that differ


@pytest.mark.parametrize(("card", "split"), DIFFERENT.values(), ids=lambda value: getattr(value, "id", value))
def test_a_whole_dataset_is_found_and_taken_for_no_other(tmp_path: Path, card: DatasetCard, split: str) -> None:
    lay(tmp_path / card.id, card, split)
    findings = found(tmp_path)
    assert findings[card.id].state == "found"
    alike = {other for other in card.splits if layout.needs(card, other) == layout.needs(card, split)}
    assert alike <= set(findings[card.id].splits)
    others = {name: finding.state for name, finding in findings.items() if name != card.id}
    assert [name for name, state in others.items() if state == "wrong variant"] == []
    assert {name for name, state in others.items() if state == "found"} == SAME_FILES.get(card.id, set())


def test_all_datasets_on_one_disk_are_found(tmp_path: Path) -> None:
    for card, split in TREES:
        lay(tmp_path / "raw" / card.id, card, split)
    findings = found(tmp_path)
    assert {finding.state for finding in findings.values()} == {"found"}
    homes = {name: finding.folder.name for name, finding in findings.items() if finding.folder}
    assert homes == {name: name for name in findings}


def test_a_mistaken_release_beside_part_of_the_right_one_is_said_with_what_is_missing(tmp_path: Path) -> None:
    touch(tmp_path / "quantitative", "recordings/vicon_03301_01/", "fittings/mosh/")
    touch(tmp_path / "qualitative", "recordings/N3OpenArea_00157_01/", "calibration/Color.json")
    prox = found(tmp_path)["prox"]
    assert (prox.state, prox.folder, prox.missing) == ("partial", tmp_path / "qualitative", ["PROXD | PROXD_temp"])
    assert f"the quantitative set; the qualitative one with PROXD.zip is needed ({tmp_path}" in prox.note


def test_datasets_that_look_alike_are_told_apart_by_the_folder_name(tmp_path: Path) -> None:
    touch(tmp_path / "FIT3D/unpacked", "train/s03/smplx/", "train/s03/camera_parameters/")
    states = {name: f.state for name, f in found(tmp_path).items() if f.state != "absent"}
    assert states == {"fit3d": "found"}


def test_datasets_that_look_alike_are_all_named_when_the_folder_does_not_tell(tmp_path: Path) -> None:
    touch(tmp_path / "studio", "train/s03/smplx/", "train/s03/camera_parameters/")
    findings = found(tmp_path)
    assert findings["chi3d"].note == "or is it FIT3D or HumanSC3D? They look alike: name the folder after the dataset"
    assert {findings[name].state for name in ("chi3d", "fit3d", "humansc3d")} == {"found"}


def test_a_dataset_deep_below_its_name_is_found(tmp_path: Path) -> None:
    deep = tmp_path / "x/y/arctic/unpack/arctic_data/data"
    lay(deep, registry.card("arctic"), "train")
    assert found(tmp_path)["arctic"].folder == deep


def test_of_two_folders_that_would_do_the_one_of_that_name_is_taken(tmp_path: Path) -> None:
    touch(tmp_path / "bedlam", "all_npz_12_training/", "training_images/")
    assert found(tmp_path)["bedlam"].folder == tmp_path / "bedlam"


def test_a_folder_called_as_in_the_layout_is_recognised(tmp_path: Path) -> None:
    lay(tmp_path / "gta-human_v2_release", registry.card("gta_human2"), "train")
    touch(tmp_path / "ExpressiveWholeBodyDatasetReleaseV1.0", "oliver/a.mp4/1/1.pkl")
    touch(tmp_path / "synbody_v1_0", "20230113/Downtown/LS_1/rgb/")
    assert {n for n, f in found(tmp_path).items() if f.state == "found"} == {"gta_human2", "talkshow", "synbody"}


def test_archives_that_nobody_unpacked_are_named(disk: Path) -> None:
    rich = found(disk)["rich"]
    assert rich.state == "partial"
    assert rich.note == "still packed: RICH_train.zip"


def test_archives_beside_half_of_a_dataset_are_named(tmp_path: Path) -> None:
    touch(tmp_path / "rich", "scan_calibration/", "scan_calibration.zip", "train_body.tar.gz", "images.tar.gz.part_aa")
    rich = found(tmp_path)["rich"]
    assert rich.missing == ["bodies/train | train_body", "images/train | train"]
    assert rich.note == "still packed: images.tar.gz.part_aa, train_body.tar.gz"


def test_an_archive_called_like_a_dataset_is_it_still_packed(tmp_path: Path) -> None:
    touch(tmp_path, "EHF.zip", "up-3d.zip", "holiday.zip", "up-3d/00000_image.png")
    findings = found(tmp_path)
    assert findings["ehf"].note == "still packed: EHF.zip"
    assert findings["up3d"].note == ""
    assert {name for name, finding in findings.items() if finding.state != "absent"} == {"ehf", "up3d"}


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.ZIP", "a"),
        ("a.tar.gzaa", "a"),
        ("a.zip.001", "a"),
        ("a.7z", "a"),
        ("a.z01", "a"),
        ("a.tar.bz2", "a"),
        ("a.b.tgz", "a.b"),
        ("a.jpg", ""),
        ("a.zipped.png", ""),
        ("azip", ""),
        ("a.npz", ""),
        ("a.tar.json", ""),
    ],
)
def test_archives_are_known_by_their_names(name: str, stem: str) -> None:
    assert layout.packed(name) == bool(stem)
    assert layout.unpacked(name) == (stem or name)


def test_wide_folders_are_not_searched_and_a_wide_disk_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "WIDE", 40)
    monkeypatch.setattr(layout, "SAMPLED", 4)
    for number in range(60):
        touch(tmp_path / "insta_variety/images/train", f"shard{number:03}/a/b/c/")
        touch(tmp_path / f"z{number:03}", "notes.txt")
    touch(tmp_path / "z050", "labels.npz", "images/")
    listed: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(str(folder)) or scandir(folder))
    assert found(tmp_path)["ssp3d"].folder == tmp_path / "z050"
    assert sum("shard" in folder for folder in listed) <= 12


def test_a_folder_is_listed_once_for_all_datasets(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(str(folder)) or scandir(folder))
    survey(disk)
    assert len(listed) == len(set(listed))


def test_a_folder_that_cannot_be_read_is_said_and_passed_over(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (disk / "PROX").mkdir()
    scandir = os.scandir

    def denied(folder: str) -> os.ScandirIterator[str]:
        if "PROX" in folder:
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", denied)
    findings = found(disk)
    assert (findings["prox"].state, findings["prox"].note) == ("partial", "this folder cannot be read")
    assert findings["pw3d"].state == "found"
    with pytest.raises(DataError, match="cannot be read"):
        survey(disk / "PROX")


def test_files_that_archives_of_a_mac_leave_are_no_data(tmp_path: Path) -> None:
    touch(tmp_path / "EHF", "._01_align.ply", "01_img.jpg", "__MACOSX/01_align.ply")
    assert found(tmp_path)["ehf"].missing == ["*_align.ply"]


def test_common_folder_names_speak_for_no_dataset(disk: Path) -> None:
    states = {name: finding.state for name, finding in found(disk).items()}
    assert {name for name, state in states.items() if state != "absent"} == {
        "pw3d",
        "bedlam",
        "egobody_ego",
        "egobody_kinect",
        "ssp3d",
        "rich",
    }


def test_size_and_time_come_from_the_published_count(disk: Path) -> None:
    assert found(disk)["bedlam"].expected == "6.3 GB, 3 min a core"
    assert found(disk)["lspet"].expected == "36 MB, under a minute a core"


def test_a_line_for_people_is_short(disk: Path) -> None:
    findings = found(disk)
    assert findings["ssp3d"].lacks == findings["ssp3d"].note
    assert findings["pw3d"].lacks == "for train: sequenceFiles/train/*.pkl"
    assert findings["rich"].lacks == (
        "still packed: RICH_train.zip; scan_calibration, bodies/train (or another of 2), images/train (or another of 2)"
    )


def test_a_missing_disk_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        survey(tmp_path / "nowhere")


def test_the_command_prints_what_to_run_and_where_to_register(disk: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", str(disk)])
    assert result.exit_code == 0
    assert "pw3d test: " in result.stdout  # an empty pickle, which does not convert
    assert "egobody_ego: register at egobody.inf.ethz.ch" in result.stdout
    assert "https://arctic.is.tue.mpg.de" in result.stdout
    assert "Not recognised in a folder that has another name than theirs: gta_human2, mpii" in result.stdout
    rows = json.loads(CliRunner().invoke(main, ["doctor", str(disk), "--json"]).stdout)
    assert {row["dataset"]: row["state"] for row in rows}["ssp3d"] == "wrong variant"
