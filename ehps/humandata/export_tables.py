"""Under which names and in which form SMPLer-X, SMPLest-X and AiOS look for each dataset.

Facts: the dataset classes of those programs (SMPLer-X @d3e3c10, SMPLest-X @6d0aea7d, AiOS @f84947b6): file names,
image folders, image sizes that are asserted, and whether the mean hand is subtracted from what the file holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

TALKSHOW_SPEAKERS = ("chemistry", "conan", "oliver", "seth")


@dataclass(frozen=True)
class Recipe:
    """What one program expects of one dataset.

    Attributes
    ----------
    files : relative to the program's data folder; several when it reads the rows in parts.
    images : folder that the raw dataset must be (linked) at, relative to the same.
    path_prefix : what the program needs before every ``image_path``.
    flat_hand_mean : True when the program subtracts the mean hand itself and the file must hold absolute poses.
    size : (height, width) that the program insists on; None when it reads the file's own.
    by_speaker : one file for each speaker instead of equal parts.
    """

    files: tuple[str, ...]
    images: str
    path_prefix: str = ""
    flat_hand_mean: bool = False
    size: tuple[int, int] | None = None
    by_speaker: bool = False


def _numbered(name: str, parts: int) -> tuple[str, ...]:
    return tuple(name.format(i) for i in range(parts))


# dataset -> (image folder, asserted size, split -> file names)
_SMPLER_X: Mapping[str, tuple[str, tuple[int, int] | None, Mapping[str, tuple[str, ...]]]] = {
    "arctic": ("ARCTIC", None, {"train": ("p1_train",), "val": ("p1_val",)}),
    "bedlam": ("BEDLAM", None, {"train": ("bedlam_train",)}),
    "behave": (
        "Behave",
        (1536, 2048),
        {"train": ("behave_train_230516_231_downsampled",), "test": ("behave_test_230516_090_downsampled",)},
    ),
    "chi3d": ("", (900, 900), {"train": _numbered("CHI3D_train_230511_1492_{}", 2)}),
    "crowdpose": ("CrowdPose", None, {"train": ("crowdpose_neural_annot_train_new",)}),
    "egobody_ego": (
        "EgoBody",
        (1080, 1920),
        {
            "train": ("egobody_egocentric_train_230425_065_fix_betas",),
            "test": ("egobody_egocentric_test_230425_043_fix_betas",),
        },
    ),
    "egobody_kinect": (
        "EgoBody",
        (1080, 1920),
        {
            "train": ("egobody_kinect_train_230503_065_fix_betas",),
            "test": ("egobody_kinect_test_230503_043_fix_betas",),
        },
    ),
    "fit3d": ("", (900, 900), {"train": _numbered("FIT3D_train_230511_1504_{}", 6)}),
    "gta_human2": ("GTA_Human2", (1080, 1920), {"train": ("gta_human2multiple_230406_04000_0",)}),
    "humansc3d": ("", (900, 900), {"train": _numbered("HumanSC3D_train_230511_2752_{}", 3)}),
    "insta_variety": ("InstaVariety", (224, 224), {"train": ("insta_variety_neural_annot_train",)}),
    "lspet": ("LSPET", None, {"train": ("eft_lspet",)}),
    "mpi_inf_3dhp": (
        "MPI_INF_3DHP",
        None,
        {"train": tuple(f"mpi_inf_3dhp_neural_annot_part{i}" for i in (1, 2, 3))},
    ),
    "mtp": ("MTP", None, {"train": ("mtp_smplx_train",)}),
    "muco": ("MuCo", (1024, 1024), {"train": ("muco3dhp_train",)}),
    "ochuman": ("OCHuman", None, {"train": ("eft_ochuman",)}),
    "posetrack": ("PoseTrack/data/images", None, {"train": ("eft_posetrack",)}),
    "prox": ("PROX", (1080, 1920), {"train": ("prox_train_smplx_new",)}),
    "renbody": (
        "RenBody",
        None,
        {"train": _numbered("renbody_train_230525_399_{}", 10), "test": _numbered("renbody_test_230525_78_{}", 2)},
    ),
    "renbody_hires": (
        "RenBody",
        None,
        {
            "train": _numbered("renbody_train_highrescam_230517_399_{}_fix_betas", 2),
            "test": _numbered("renbody_test_highrescam_230517_78_{}_fix_betas", 1),
        },
    ),
    "rich": ("RICH", None, {"train": ("rich_train_fix_betas",)}),
    "spec": ("SPEC", (1080, 1920), {"train": ("spec_train_smpl",), "test": ("spec_test_smpl",)}),
    "ssp3d": ("SSP3D", (512, 512), {"train": ("ssp3d_230525_311",)}),
    "synbody": ("SynBody", (720, 1280), {"train": ("synbody_train_230521_04000_fix_betas",)}),
    "talkshow": ("Talkshow", None, {"train": tuple(f"talkshow_smplx_{name}" for name in TALKSHOW_SPEAKERS)}),
    "up3d": ("UP3D", None, {"trainval": ("up3d_trainval",)}),
}
# these three are joined to the data folder itself, so that their paths start with the dataset's folder
_WITH_FOLDER = {"chi3d": "CHI3D", "fit3d": "FIT3D", "humansc3d": "HumanSC3D"}
OWN_FILES = ("agora", "ehf", "h36m", "mpii", "mscoco", "pw3d", "ubody")  # SMPLer-X reads their original annotations

_AIOS_FILES = "data/preprocessed_npz/multihuman_data"
_AIOS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("agora", "train"): (f"{_AIOS_FILES}/agora_train_3840_w_occ_multi_2010", "data/datasets/agora"),
    ("agora", "validation"): (f"{_AIOS_FILES}/agora_validation_multi_3840_1010", "data/datasets/agora"),
    ("arctic", "train"): (f"{_AIOS_FILES}/p1_train_multi", "data/osx_data/ARCTIC"),
    ("arctic", "val"): ("data/preprocessed_npz_old/multihuman_data/p1_val_multi", "data/osx_data/ARCTIC"),
    ("bedlam", "train"): (f"{_AIOS_FILES}/bedlam_train_multi_0915", "data/datasets/bedlam/train_images"),
    ("egobody_ego", "train"): (f"{_AIOS_FILES}/egobody_egocentric_train_multi_080824", "data/osx_data/EgoBody"),
    ("egobody_ego", "val"): (f"{_AIOS_FILES}/egobody_egocentric_val_multi_080824", "data/osx_data/EgoBody"),
    ("ehf", "val"): ("data_tmp/multihuman_data/ehf_val_230908_100", "data/data_weichen/ehf"),
    ("mscoco", "train"): (f"{_AIOS_FILES}/coco_wholebody_new_train_multi", "data/datasets/coco_2017"),
    ("ubody", "train"): (f"{_AIOS_FILES}/ubody_train_intra_multi", "data/osx_data/UBody"),
    ("ubody", "test"): ("data/preprocessed_npz/ubody_intra_test_all", "data/osx_data/UBody"),
}

SMPLEST_X_ABSOLUTE_HANDS = ("arctic", "chi3d", "fit3d", "gta_human2", "humansc3d", "synbody")


def smpler_x(dataset: str, split: str) -> Recipe | None:
    images, size, splits = _SMPLER_X.get(dataset, ("", None, {}))
    if split not in splits:
        return None
    return Recipe(
        files=tuple(f"preprocessed_datasets/{name}.npz" for name in splits[split]),
        images=_WITH_FOLDER.get(dataset, images),
        path_prefix=f"{_WITH_FOLDER[dataset]}/" if dataset in _WITH_FOLDER else "",
        flat_hand_mean=dataset == "bedlam",
        size=size,
        by_speaker=dataset == "talkshow",
    )


def smplest_x(dataset: str, split: str) -> Recipe:
    """Only one dataset class is published with it, so the names are ours: ``<dataset>_<split>.npz``."""
    return Recipe(
        files=(str(PurePosixPath("annot") / f"{dataset}_{split}.npz"),),
        images=f"img/{dataset}",
        path_prefix="/" if dataset == "mpi_inf_3dhp" else "",  # its first character is removed while loading
        flat_hand_mean=dataset in SMPLEST_X_ABSOLUTE_HANDS,
    )


def aios(dataset: str, split: str) -> Recipe | None:
    found = _AIOS.get((dataset, split))
    return None if found is None else Recipe(files=(f"{found[0]}.npz",), images=found[1])


def splits_for(target: str, dataset: str) -> tuple[str, ...]:
    """Splits of a dataset that a program reads."""
    if target == "aios":
        return tuple(split for name, split in _AIOS if name == dataset)
    return tuple(_SMPLER_X[dataset][2]) if dataset in _SMPLER_X else ()
