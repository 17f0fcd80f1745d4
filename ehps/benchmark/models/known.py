"""The models that come with ehps. Numbers are those of the papers and of the authors' settings."""

from __future__ import annotations

from collections.abc import Iterator

from ehps.benchmark.models.cards import BODY_TERMS, FileRules, ModelCard, NeededFile, Stage, Start, Variant, View

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet

SMPLX = NeededFile("SMPLX_NEUTRAL.npz", "vertices, joints and training", "https://smpl-x.is.tue.mpg.de")
SMPL = NeededFile(
    "SMPL_NEUTRAL.pkl (basicModel_neutral_lbs_10_207_0_v1.0.0.pkl)",
    "every forward pass",
    "https://smplify.is.tue.mpg.de",
)
H36M_JOINTS = NeededFile("J_regressor_h36m.npy", "joints of the Human3.6M protocols", "the data of SPIN")

_PACKAGE = "ehps.benchmark.models"
_LOSSES = "ehps.benchmark.training.smpl_losses"

# name -> size of SMPLer-X: parameters, GFLOP, images a GPU and step, ViTPose's name of the size
SIZES = {
    "s": (32_008_024, 21.2, 32, "small"),
    "b": (102_939_928, 54.5, 32, "base"),
    "l": (326_654_872, 158.0, 32, "large"),
    "h": (661_827_096, 311.7, 16, "huge"),
}


def _vitpose(size: str, word: str) -> tuple[Start, NeededFile]:
    start = Start(
        origin=f"vitpose_{size}",
        title=f"ViTPose-{size.upper()}",
        parts={"encoder.": "backbone."},
        dropped=(r"keypoint_head\..*",),
        may_miss=(r"encoder\.task_tokens",),
    )
    return start, NeededFile(f"vitpose_{word}.pth", "to start from", "https://github.com/ViTAE-Transformer/ViTPose")


SMPLERX_VIEW = View(
    (256, 192),
    "3:4",
    1.2 * 0.833,
    "bilinear",
    note="every second row and column of a 512 x 384 crop; about tight boxes the authors' demo has ratio 1.25",
)
SMPLERX_RULES = FileRules(
    renamed={
        "backbone.": "encoder.",
        "body_rotation_net.": "body_regressor.",
        "hand_rotation_net.": "hand_regressor.",
    },
    dropped=(r"smplx_layer\..*",),
)


def _smpler_x(size: str) -> ModelCard:
    parameters, gflop, images, word = SIZES[size]
    start, file = _vitpose(size, word)
    common = {"lr": 1e-5, "lr_min": 1e-6, "epochs": 10, "batch_size": images, "strategy": "balance"}
    loss = {"rotation_form": "axis-angle"}
    a_gpu = f"{images} images a GPU"
    return ModelCard(
        name=f"smpler_x_{size}",
        network=f"{_PACKAGE}.smpler_x:SmplerX",
        fixed={"size": size},
        title=f"SMPLer-X-{size.upper()}",
        view=SMPLERX_VIEW,
        parameters=parameters,
        gflop=gflop,
        objective="ehps.benchmark.training.smpler_x_losses:SmplerXLoss",
        losses={
            **BODY_TERMS,
            "image_points": 1,
            "model_image_points": 1,
            "left_hand_box": 1,
            "right_hand_box": 1,
            "face_box": 1,
        },
        loss_words=("rotation_form", "hand_depth", "projection_trains"),
        stages={
            "single": Stage(
                {**common, "total_length": 150_000, "loss": loss},
                f"ViTPose-{size.upper()}",
                f"one set; {a_gpu}; the sets' length is not published, it is that of one of the 32 sets here",
            ),
            "foundation": Stage(
                {**common, "total_length": 4_500_000, "loss": loss},
                f"ViTPose-{size.upper()}",
                f"32 sets; {a_gpu}; 750,000, 1,500,000 and 3,000,000 with 5, 10 and 20 sets",
            ),
            "finetune": Stage(
                {
                    **common,
                    "lr_min": 5e-7,
                    "epochs": 5,
                    "batch_size": 16,
                    "total_length": 1_000_000,
                    "loss": loss,
                },
                "the foundation stage",
                "five or six sets near the test; 16 images a GPU",
            ),
        },
        rules=SMPLERX_RULES,
        starts=(start,),
        files=(
            NeededFile(
                f"smpler_x_{size}32.pth.tar" + (", or smpler_x_h32_correct.pth.tar" if size == "h" else ""),
                "the public weights",
                "https://github.com/MotrixLab/SMPLer-X",
            ),
            file,
            SMPLX,
        ),
        paper="SMPLer-X: Scaling Up Expressive Human Pose and Shape Estimation, NeurIPS 2023",
        homepage="https://github.com/MotrixLab/SMPLer-X",
        notes=("hands are relative to the mean hand", "the camera is virtual: depths are not metric"),
    )


def _smplest_x() -> ModelCard:
    start, file = _vitpose("h", "huge")
    return ModelCard(
        name="smplest_x_h",
        network=f"{_PACKAGE}.smplest_x:SmplestX",
        title="SMPLest-X-H",
        view=SMPLERX_VIEW,
        parameters=687_223_152,
        gflop=383.2,
        objective="ehps.benchmark.training.smplest_x_losses:SmplestXLoss",
        losses={**BODY_TERMS, "root": 1, "hand_roots": 1, "hand_chains": 1},
        untrained=(
            "decoder.transformer.to_token_embedding",
            "decoder.dec_hand_cam",
            "decoder.dec_face_root_pose",
            "decoder.dec_face_cam",
        ),
        stages={
            "foundation": Stage(
                {
                    "lr": 1e-5,
                    "lr_min": 1e-6,
                    "epochs": 20,
                    "batch_size": 16,
                    "strategy": "balance",
                    "total_length": 7_500_000,
                    "loss": {"rotation_form": "matrix"},
                },
                "ViTPose-H",
                "40 sets; 16 images a GPU; 16 V100 needed 23 hours an epoch",
            ),
        },
        rules=FileRules(dropped=(r"smplx_layer\..*",)),
        starts=(start,),
        files=(
            NeededFile("smplest_x_h.pth.tar", "the public weights", "https://github.com/MotrixLab/SMPLest-X"),
            file,
            SMPLX,
        ),
        paper="SMPLest-X: Ultimate Scaling for Expressive Human Pose and Shape Estimation, TPAMI 2025",
        homepage="https://github.com/MotrixLab/SMPLest-X",
        notes=("hands are relative to the mean hand", "the camera is virtual: depths are not metric"),
    )


def _pymaf() -> ModelCard:
    constant = {"lr": 5e-5, "lr_min": 5e-5, "epochs": 60, "batch_size": 64, "box_ratio": 1.0}
    return ModelCard(
        name="pymaf",
        network=f"{_PACKAGE}.pymaf:PyMAF",
        title="PyMAF",
        body="smpl",
        loss_words=(),
        view=View(
            (224, 224),
            "square",
            1.0,
            "averaged",
            "whole pixels",
            MEAN,
            STD,
            turned=0.4,
            colour=0.4,
            note="bicubic; COCO: ratio 1.25 about tight boxes, one affine warp",
        ),
        parameters=45_168_512,
        gflop=12.6,
        objective=f"{_LOSSES}:MeshFeedback",
        losses={
            "2D joints": 300,
            "3D joints": 300,
            "pose": 60,
            "shape": 0.06,
            "camera": 1,
            "part index": 1,
            "annotation index": 1,
            "u, v": 0.5,
        },
        stages={
            "human36m": Stage(constant, "ResNet-50 of ImageNet", "Human3.6M; one 2080 Ti"),
            "mixture": Stage(
                {**constant, "strategy": "mixture"},
                "the stage human36m",
                "Human3.6M 0.5, LSP, MPII, LSPET and COCO 0.3 by size, MPI-INF-3DHP 0.2; fits of SPIN or EFT",
            ),
        },
        rules=FileRules(dropped=(r"regressor\.\d+\.smpl\..*",)),
        starts=(Start("resnet50", "ResNet-50 of ImageNet", parts={"feature_extractor.": ""}, dropped=(r"fc\..*",)),),
        files=(
            NeededFile("PyMAF_model_checkpoint.pt", "the public weights", "https://github.com/HongwenZhang/PyMAF"),
            NeededFile("resnet50-19c8e357.pth", "to start from", "https://download.pytorch.org/models"),
            SMPL,
            H36M_JOINTS,
        ),
        paper="PyMAF: 3D Human Pose and Shape Regression with Pyramidal Mesh Alignment Feedback Loop, ICCV 2021",
        homepage="https://github.com/HongwenZhang/PyMAF",
    )


def _smpler(width: int) -> ModelCard:
    name, title = ("smpler", "SMPLer") if width == 32 else ("smpler_l", "SMPLer-L")
    crop = "256x256" if width == 32 else "256x192"
    published = "35.6" if width == 32 else "70.2"
    constant = {"lr": 2e-4, "lr_min": 2e-4, "batch_size": 200, "box_ratio": 1.0}
    two_gpus = "2 GPUs with 100 images each, batch norms over both"
    rules = FileRules(dropped=(r"smpl_handler\..*", r".*J_regressor_h36m_correct.*"))
    backbone = Variant(
        {"blocks": 0},
        f"smpler_backbone_w{width}",
        f"the backbone stage of SMPLer with HRNet-W{width}",
        parameters=30_939_997 if width == 32 else 67_090_653,
        # the regressor sees the smallest map alone
        untrained=tuple(f"backbone.stage4.2.fuse_layers.{scale}" for scale in range(3)),
    )
    return ModelCard(
        name=name,
        network=f"{_PACKAGE}.smpler:SMPLer",
        fixed={"width": width},
        title=title,
        body="smpl",
        loss_words=(),
        view=View((224, 224), "square", 1.0, "bilinear", "whole pixels", MEAN, STD, turned=0.4, colour=0.4),
        parameters=37_355_950 if width == 32 else 73_615_150,
        gflop=17.5 if width == 32 else 34.3,
        objective=f"{_LOSSES}:SurfaceAndPoints",
        losses={"vertices": 100, "2D joints": 100, "3D joints": 1000, "pose": 50},
        untrained=tuple(_biases_of_keys()),
        variants=(backbone,),
        stages={
            "backbone": Stage(
                {**constant, "epochs": 50, "model_args": dict(backbone.arguments)},
                f"pose HRNet-W{width}",
                f"HRNet and the regressor of the first guess, without transformer; {two_gpus}",
            ),
            "full": Stage(
                {**constant, "epochs": 100},
                "the stage backbone",
                f"Human3.6M, 40,000 of COCO, MuCo-3DHP, UP-3D and MPII; {two_gpus}",
            ),
            "3dpw": Stage(
                {"lr": 1e-4, "lr_min": 1e-4, "epochs": 2, "batch_size": 32, "box_ratio": 1.0},
                "the stage full",
                "3DPW; one GPU",
            ),
        },
        rules=rules,
        starts=(
            Start(
                f"hrnet_w{width}",
                f"pose HRNet-W{width}",
                parts={"backbone.": ""},
                dropped=(r"final_layer\..*",),
                may_miss=(r"backbone\.stage4\.2\.fuse_layers\.[123]\..*",),
            ),
            Start(
                backbone.origin,
                backbone.title,
                parts={"backbone.": "backbone.", "SMPL_predictor.": "SMPL_predictor."},
                dropped=rules.dropped,
            ),
        ),
        files=(
            NeededFile(f"{title}_h36m.pt, {title}_3dpw.pt", "the public weights", "https://github.com/xuxy09/SMPLer"),
            NeededFile(
                f"pose_hrnet_w{width}_{crop}.pth",
                "to start from",
                "https://github.com/leoxiaobin/deep-high-resolution-net.pytorch",
            ),
            SMPL,
            H36M_JOINTS,
        ),
        paper="SMPLer: Taming Transformers for Monocular 3D Human Shape and Pose Estimation, TPAMI 2024",
        homepage="https://github.com/xuxy09/SMPLer",
        notes=(f"published as {published} M parameters, which is their number divided by 2^20",),
    )


def _biases_of_keys() -> Iterator[str]:
    """Of SMPLer's attentions: they add the same to the scores of all keys, which changes nothing."""
    layers = [f"global_unit.trans_layer_list.{scale}.transformer_layer" for scale in range(4)]
    layers += ["local_unit.trans_layer_list.0.transformer_layer", "self_trans_layer.self_trans_layer"]
    for block in range(3):
        for unit in range(2):
            for layer in layers:
                yield f"transformer.{block}.trans_block.trans_units.{unit}.{layer}.attention.key.bias"


def cards() -> Iterator[ModelCard]:
    yield ModelCard(
        name="tiny",
        network=f"{_PACKAGE}.tiny:TinyViT",
        title="tiny",
        view=View((128, 96), "3:4", 1.2 * 0.833, "averaged"),
        parameters=1_009_005,
        files=(SMPLX,),
        licence="no public weights",
        notes=("for laptops and tests: it learns, and is not meant to be good",),
    )
    yield from (_smpler_x(size) for size in SIZES)
    yield _smplest_x()
    yield _pymaf()
    yield from (_smpler(width) for width in (32, 48))
