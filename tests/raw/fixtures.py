"""The raw tree of every dataset, and what the contract of all converters (``test_contract.py``) expects of it.

A new dataset is tested by an entry in ``FIXTURES``; what only it does (its geometry, its reasons to leave people
out, its releases) is tested in a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.raw import (
    agora,
    arctic,
    bedlam,
    bedlam2,
    behave,
    crowdpose,
    dna_rendering,
    egobody,
    egobody_kinect,
    ehf,
    emdb,
    gta_human2,
    h36m,
    harmony4d,
    hi4d,
    imar,
    insta_variety,
    lsp,
    lspet,
    moyo,
    mpi_inf_3dhp,
    mpii,
    mscoco,
    mtp,
    muco,
    ochuman,
    posetrack,
    prox,
    pw3d,
    rich,
    sam3d_body,
    spec,
    ssp3d,
    synbody,
    talkshow,
    ubody,
    up3d,
    whac_a_mole,
)
from tests.raw.faults import (
    Fault,
    hands_absolute,
    hands_relative,
    left_in_the_world,
    neighbours,
    other_gender,
    pelvis_forgotten,
    sides_swapped,
    y_up,
)

Writer = Callable[[Path, Path, np.random.Generator], Any]


@dataclass(frozen=True)
class Fixture:
    """How the raw tree of a dataset is written, and what its converter must do with it.

    All but the first four fields are about the default split.

    Attributes
    ----------
    write : (root, folder of body models, random numbers) -> what must be found in the tree.
    folder : name of the root.
    seed : of the random numbers.
    found : people that are annotated.
    written : those of them that can be used.
    broken : files, as patterns below the root, each of which is named when half of it is missing.
    faults : mistakes that the quality exposes, with words of what it says.
    options : option -> a choice by which other rows or columns are written from the same tree; None where that takes
        more files.
    free : options whose values cannot be checked before the files are read.
    metric : places of people are read (and not solved from 2D points), so that wrong units are noticed.
    by_image : people are looked for image by image, so that a missing one is not told from one never made.
    """

    write: Writer
    folder: str
    seed: int
    found: int
    written: int
    broken: Sequence[str] = ()
    faults: Sequence[tuple[Fault, str]] = ()
    options: Mapping[str, str | None] = field(default_factory=dict)
    free: Sequence[str] = ()
    metric: bool = True
    by_image: bool = False


POINTS_2D, POINTS_3D, HEADS = "own 2D points", "own 3D points", "stand on their heads"


FIXTURES: Mapping[str, Fixture] = {
    "agora": Fixture(
        agora.write_fixture,
        "AGORA",
        seed=5,
        found=15,
        written=9,
        broken=("SMPLX/train_0_withjv.pkl", "smplx_gt/trainset_3dpeople_adults_bfh/train1_0002.pkl"),
        faults=(
            (sides_swapped, "body joints are"),
            (pelvis_forgotten, POINTS_2D),
            (other_gender, POINTS_2D),
            (hands_absolute, "finger joints are"),
            (left_in_the_world, POINTS_2D),
            (neighbours, POINTS_2D),
        ),
        options={"resolution": None, "persons": "all"},
    ),
    "arctic": Fixture(
        arctic.write_fixture,
        "ARCTIC",
        seed=31,
        found=67,
        written=23,
        broken=("raw_seqs/*/*.smplx.npy", "meta/subject_vtemplates/s01.obj", "meta/misc.json"),
        faults=((y_up, HEADS),),
        options={"cameras": "1", "interval": "2"},
    ),
    "bedlam": Fixture(
        bedlam.write_fixture,
        "BEDLAM",
        seed=5,
        found=19,
        written=14,
        broken=("*/all_npz_12_training/*.npz",),
        faults=((sides_swapped, POINTS_2D), (hands_relative, "finger joints are"), (neighbours, POINTS_2D)),
    ),
    "bedlam2": Fixture(
        bedlam2.write_fixture,
        "bedlam_data",
        seed=5,
        found=24,
        written=12,
        broken=(
            "*/be_seq.csv",
            "*/ground_truth/meta_exr_csv/seq_000000_camera.csv",
            "motions_npz_training/*.npz",
        ),
        faults=((y_up, HEADS),),
        options={"interval": "2"},
    ),
    "behave": Fixture(
        behave.write_fixture,
        "BEHAVE",
        seed=1,
        found=18,
        written=13,
        broken=(
            "sequences/*/*/person/*/person_fit.pkl",
            "sequences/*/*/person/person_J3d.json",
            "sequences/*/*/k1.color.json",
            "sequences/*/info.json",
            "calibs/*/config/2/config.json",
        ),
        faults=((sides_swapped, POINTS_2D), (left_in_the_world, POINTS_2D), (other_gender, POINTS_2D)),
        options={"fits": None, "cameras": "1", "interval": "2"},
    ),
    "chi3d": Fixture(
        imar.write_chi3d,
        "train_videos_test/CHI3D",
        seed=4,
        found=28,
        written=24,
        broken=(
            "train/*/smplx/Grab 4.json",
            "train/*/joints3d_25/Grab 4.json",
            "train/*/camera_parameters/50591643/Grab 4.json",
        ),
        faults=(
            (sides_swapped, POINTS_2D),
            (pelvis_forgotten, POINTS_2D),
            (neighbours, POINTS_2D),
            (left_in_the_world, POINTS_3D),
        ),
        options={"cameras": "50591643", "interval": "2", "frames": "contact"},
    ),
    "crowdpose": Fixture(
        crowdpose.write_fixture,
        "crowdpose",
        seed=7,
        found=11,
        written=4,
        broken=("crowdpose_train.json", "*NeuralAnnot*.json"),
        faults=((sides_swapped, POINTS_2D),),
        options={"fits": "none"},
    ),
    "egobody_ego": Fixture(
        egobody.write_fixture,
        "EgoBody",
        seed=1,
        found=13,
        written=6,
        broken=(
            "egocentric_color/*/*/keypoints.npz",
            "egocentric_color/*/*/valid_frame.npz",
            "egocentric_color/*/*/*_pv.txt",
            "calibrations/*/cal_trans/holo_to_kinect12.json",
            "smplx_interactee_train/*/*/results/frame_00302/000.pkl",
        ),
        faults=(
            (sides_swapped, POINTS_2D),
            (other_gender, POINTS_2D),
            (left_in_the_world, POINTS_2D),
            (neighbours, POINTS_2D),
        ),
    ),
    "egobody_kinect": Fixture(
        egobody_kinect.write_fixture,
        "EgoBody",
        seed=1,
        found=45,
        written=40,
        broken=(
            "kinect_cam_params/kinect_sub_4/Color.json",
            "calibrations/*/cal_trans/kinect_14to12_color.json",
            "smplx_camera_wearer_train/*/*/results/frame_00021/000.pkl",
        ),
        faults=((y_up, HEADS),),
        options={"cameras": "master", "interval": "2"},
    ),
    "ehf": Fixture(
        ehf.write_fixture,
        "EHF",
        seed=1,
        found=4,
        written=3,
        broken=("02_align.ply", "02_2Djnt.json"),
        metric=False,
    ),
    "emdb": Fixture(
        emdb.write_fixture,
        "EMDB",
        seed=7,
        found=11,
        written=8,
        broken=("P1/14_outdoor_climb/P1_14_outdoor_climb_data.pkl",),
        faults=(
            (sides_swapped, POINTS_2D),
            (pelvis_forgotten, POINTS_2D),
            (other_gender, POINTS_2D),
            (neighbours, POINTS_2D),
            (left_in_the_world, POINTS_2D),
            (y_up, POINTS_2D),
        ),
    ),
    "fit3d": Fixture(
        imar.write_fit3d,
        "fit3d",
        seed=8,
        found=12,
        written=12,
        broken=("train/*/smplx/squat.json", "train/*/joints3d_25/squat.json"),
        faults=((sides_swapped, POINTS_2D), (pelvis_forgotten, POINTS_3D)),
        options={"cameras": "50591643", "interval": "2"},
    ),
    "gta_human2": Fixture(
        gta_human2.write_fixture,
        "gta",
        seed=5,
        found=13,
        written=7,
        broken=("annotations/*/*.npz",),
        options={"occluded": None},
        faults=((sides_swapped, POINTS_2D), (neighbours, POINTS_2D), (y_up, POINTS_2D)),
    ),
    "h36m": Fixture(
        h36m.write_fixture,
        "Human36M",
        seed=8,
        found=24,
        written=15,
        broken=(
            "annotations/Human36M_subject1_data.json",
            "annotations/Human36M_subject1_camera.json",
            "annotations/Human36M_subject1_joint_3d.json",
            "annotations/Human36M_subject1_SMPLX_NeuralAnnot.json",
        ),
        faults=((sides_swapped, POINTS_3D), (pelvis_forgotten, POINTS_3D)),
        options={"cameras": "1", "interval": "10", "fits": "none"},
    ),
    "harmony4d": Fixture(
        harmony4d.write_fixture,
        "harmony4d",
        seed=6,
        found=49,
        written=30,
        broken=(
            "train/02_*/*/colmap/workplace/images.txt",
            "train/*/*/colmap/workplace/scale.npy",
            "train/02_*/*/processed_data/smpl_collision/00002.npy",
            "train/*/*/processed_data/poses3d/00001.npy",
        ),
        faults=(
            (sides_swapped, POINTS_3D),
            (pelvis_forgotten, POINTS_3D),
            (left_in_the_world, POINTS_3D),
            (neighbours, POINTS_3D),
            (other_gender, "files hold beside the parameters"),
        ),
        options={"images": None, "fits": "smpl", "cameras": "cam01", "interval": "2"},
    ),
    "hi4d": Fixture(
        hi4d.write_fixture,
        "Hi4D",
        seed=7,
        found=32,
        written=24,
        broken=(
            "pair00/dance00/meta.npz",
            "pair*/*/cameras/rgb_cameras.npz",
            "pair*/*/smpl/000012.npz",
        ),
        faults=(
            (sides_swapped, POINTS_3D),
            (pelvis_forgotten, POINTS_3D),
            (other_gender, POINTS_3D),
            (left_in_the_world, POINTS_3D),
            (neighbours, POINTS_3D),
        ),
        options={"cameras": "16", "interval": "2", "box": "masks", "contact": "vertices"},
    ),
    "humansc3d": Fixture(
        imar.write_humansc3d,
        "humansc3d",
        seed=8,
        found=12,
        written=12,
        broken=("train/*/smplx/120.json", "train/*/joints3d_25/120.json"),
        faults=((sides_swapped, POINTS_2D), (pelvis_forgotten, POINTS_3D)),
        options={"cameras": "50591643", "interval": "2"},
    ),
    "insta_variety": Fixture(
        insta_variety.write_fixture,
        "insta",
        seed=9,
        found=8,
        written=4,
        broken=("annotations/*.pt", "annotations/*NeuralAnnot*.json"),
        faults=((sides_swapped, POINTS_2D),),
        options={"fits": "none"},
    ),
    "lsp": Fixture(
        lsp.write_fixture,
        "lsp",
        seed=2,
        found=1000,
        written=2,
        broken=("joints.mat",),
        metric=False,
    ),
    "lspet": Fixture(
        lspet.write_fixture,
        "lspet",
        seed=12,
        found=4,
        written=4,
        broken=("eft_fit/LSPet_train_ver10.json",),
        faults=((sides_swapped, POINTS_2D), (neighbours, POINTS_2D), (y_up, HEADS)),
        options={"fits": "none"},
    ),
    "moyo": Fixture(
        moyo.write_fixture,
        "moyo_root",
        seed=7,
        found=34,
        written=24,
        broken=(
            "MOYO/*/mosh/train/*_stageii.pkl",
            "MOYO/*/cameras/20220923/*/cameras_param.json",
            "moyo_toolkit/data/v_templates/*/mesh.ply",
        ),
        faults=((y_up, HEADS),),
        options={"cameras": "1", "interval": "2", "frame_offset": "1", "ends": "skip"},
    ),
    "mpi_inf_3dhp": Fixture(
        mpi_inf_3dhp.write_fixture,
        "3dhp",
        seed=3,
        found=24,
        written=19,
        broken=(
            "data/MPI-INF-3DHP_1k.json",
            "data/MPI-INF-3DHP_camera_1k.json",
            "data/MPI-INF-3DHP_joint_3d.json",
            "data/MPI-INF-3DHP_SMPLX_NeuralAnnot.json",
        ),
        faults=((neighbours, POINTS_3D), (left_in_the_world, POINTS_3D), (pelvis_forgotten, POINTS_3D)),
        options={"cameras": "0", "interval": "2", "fits": "none"},
    ),
    "mpii": Fixture(
        mpii.write_fixture,
        "mpii",
        seed=3,
        found=7,
        written=3,
        broken=("annotations/train.json", "annotations/*NeuralAnnot*.json"),
        faults=((sides_swapped, POINTS_2D),),
        options={"fits": "cliff"},
    ),
    "mscoco": Fixture(
        mscoco.write_fixture,
        "mscoco",
        seed=5,
        found=12,
        written=5,
        broken=("annotations/coco_wholebody_train_v1.0.json", "annotations/*NeuralAnnot*.json"),
        faults=((sides_swapped, POINTS_2D), (neighbours, POINTS_2D)),
        options={"fits": "none", "images": None},
    ),
    "mtp": Fixture(
        mtp.write_fixture,
        "mtp",
        seed=3,
        found=5,
        written=3,
        broken=(
            "train_val_split.json",
            "subject_meta.json",
            "smplify-xmc/smplx/params/home/*.pkl",
            "keypoints/openpose/park/b2_park_p4_s08.json",
        ),
        faults=(
            (sides_swapped, POINTS_2D),
            (pelvis_forgotten, POINTS_3D),
            (other_gender, POINTS_3D),
            (hands_absolute, POINTS_3D),
            (neighbours, POINTS_2D),
        ),
    ),
    "muco": Fixture(
        muco.write_fixture,
        "MuCo",
        seed=8,
        found=10,
        written=6,
        broken=("data/MuCo-3DHP.json", "data/smpl_param.json"),
        faults=((sides_swapped, POINTS_2D), (neighbours, POINTS_3D), (y_up, POINTS_3D)),
    ),
    "ochuman": Fixture(
        ochuman.write_fixture,
        "ochuman",
        seed=11,
        found=11,
        written=5,
        broken=("eft_fit/OCHuman_train_ver10.json",),
        faults=((neighbours, POINTS_2D), (y_up, HEADS)),
        options={"fits": None},
    ),
    "posetrack": Fixture(
        posetrack.write_fixture,
        "posetrack",
        seed=13,
        found=6,
        written=6,
        broken=("eft_fit/PoseTrack_ver01.json",),
        faults=((sides_swapped, POINTS_2D), (neighbours, POINTS_2D), (y_up, HEADS)),
        options={"fits": "none"},
    ),
    "prox": Fixture(
        prox.write_fixture,
        "PROX",
        seed=1,
        found=9,
        written=6,
        broken=("PROXD/*/results/*/000.pkl", "keypoints/*/*.json", "calibration/Color.json"),
        faults=((sides_swapped, POINTS_2D), (neighbours, POINTS_2D), (y_up, POINTS_2D)),
        options={"fits": "lemo", "images": "mirrored", "exclude": "N0Sofa_03403_01"},
        free=("exclude",),
    ),
    "pw3d": Fixture(
        pw3d.write_fixture,
        "3DPW",
        seed=1,
        found=14,
        written=9,
        broken=("sequenceFiles/train/downtown_bar_00.pkl",),
        faults=(
            (sides_swapped, POINTS_2D),
            (pelvis_forgotten, POINTS_2D),
            (other_gender, POINTS_3D),
            (neighbours, POINTS_3D),
        ),
    ),
    "renbody": Fixture(
        dna_rendering.write_fixture,
        "DNA-Rendering",
        seed=1,
        found=57,
        written=43,
        broken=("*/0012_11.smc", "*/0012_11_annots.smc"),
        faults=((sides_swapped, POINTS_2D), (neighbours, POINTS_2D), (y_up, POINTS_2D), (left_in_the_world, POINTS_2D)),
        options={"cameras": "3", "interval": "2", "sequences": None},
        free=("sequences",),
    ),
    "renbody_hires": Fixture(
        dna_rendering.write_fixture,
        "DNA-Rendering",
        seed=1,
        found=22,
        written=16,
        faults=((sides_swapped, POINTS_2D), (y_up, POINTS_2D)),
        options={"cameras": "48", "interval": "2", "sequences": None},
        free=("sequences",),
    ),
    "rich": Fixture(
        rich.write_fixture,
        "RICH",
        seed=1,
        found=18,
        written=9,
        broken=("bodies/train/ParkingLot1_005_pushup2/00001/005.pkl",),
        faults=((y_up, HEADS),),
        options={"cameras": "0", "interval": "2", "views": None, "contact": "smpl"},
    ),
    "sam3d_body": Fixture(
        sam3d_body.write_fixture,
        "sam3d_body",
        seed=6,
        found=8,
        written=5,
        broken=("coco_train/000001.parquet",),
        faults=(
            (sam3d_body.place_forgotten, "own 3D points"),
            (sam3d_body.sides_taken_for_each_other, POINTS_2D),
            (sam3d_body.other_camera, POINTS_2D),
            (sam3d_body.sizes_taken_for_corners, "lie in their boxes"),
            (sam3d_body.points_of_the_row_before, POINTS_2D),
        ),
        metric=False,
    ),
    "spec": Fixture(
        spec.write_fixture,
        "SPEC",
        seed=4,
        found=7,
        written=5,
        broken=("spec-syn/annotations/train.npz",),
        faults=((sides_swapped, POINTS_3D), (neighbours, POINTS_3D), (left_in_the_world, POINTS_3D)),
        metric=False,
    ),
    "ssp3d": Fixture(
        ssp3d.write_fixture,
        "ssp_3d",
        seed=3,
        found=6,
        written=5,
        broken=("labels.npz",),
        faults=((sides_swapped, POINTS_2D), (neighbours, POINTS_2D), (y_up, POINTS_2D)),
    ),
    "synbody": Fixture(
        synbody.write_fixture,
        "data",
        seed=1,
        found=20,
        written=12,
        broken=("*/*/*/*/*/anna.npz",),
        faults=((y_up, HEADS),),
        options={"cameras": "CAM002", "interval": "2"},
        free=("cameras",),
        by_image=True,
    ),
    "talkshow": Fixture(
        talkshow.write_fixture,
        "TalkSHOW",
        seed=5,
        found=13,
        written=7,
        faults=((y_up, HEADS),),
        options={"speaker": "conan", "lower_body": "original", "interval": "2"},
        by_image=True,
    ),
    "ubody": Fixture(
        ubody.write_fixture,
        "UBody",
        seed=2,
        found=14,
        written=6,
        broken=(
            "annotations/Speech/keypoint_annotation.json",
            "annotations/Speech/smplx_annotation.json",
            "splits/intra_scene_test_list.npy",
        ),
        faults=((sides_swapped, POINTS_2D), (neighbours, POINTS_2D), (y_up, HEADS)),
    ),
    "up3d": Fixture(
        up3d.write_fixture,
        "up-3d",
        seed=4,
        found=5,
        written=3,
        broken=("00001_body.pkl", "00001_joints.npy"),
        faults=((sides_swapped, POINTS_2D), (neighbours, POINTS_2D), (y_up, POINTS_2D)),
        options={"box": "render"},
    ),
    "whac_a_mole": Fixture(
        whac_a_mole.write_fixture,
        "whac_a_mole",
        seed=5,
        found=30,
        written=26,
        broken=("annotations/*_train_0.npz",),
        faults=(
            (sides_swapped, POINTS_2D),
            (other_gender, POINTS_2D),
            (hands_relative, "finger joints are"),
            (neighbours, POINTS_2D),
            (y_up, POINTS_2D),
        ),
    ),
}
