"""The words that fields of protocols can be, with what they mean, and the names of metrics and their units."""

from __future__ import annotations

from collections.abc import Mapping

CHOICES: Mapping[str, Mapping[str, str]] = {
    "truth": {
        "neutral-parameters": "the neutral body of the file's pose with the eyes straight ahead, betas_neutral where "
        "present (shapes of gendered models refitted otherwise), and expression",
        "gendered-parameters": "the body of meta/gender, with the kid template for children",
        "as-neutral": "the neutral body with the file's betas as they are, whichever gender they belong to, and no kid "
        "template",
        "given-vertices": "the meshes that vertices3d_path names",
        "given-joints": "the dataset's own 3D joints (keypoints3d_original), no bodies",
        "given-joints-and-neutral": "the dataset's own 3D joints; meshes of the neutral body with the file's betas as "
        "they are",
        "image-labels": "what is marked in the images (keypoints2d_original, segmentation, part_segmentation), no "
        "bodies",
    },
    "body": {
        "smplx": "10475 vertices: body, hands and face",
        "smpl": "6890 vertices: the body",
    },
    "prediction": {
        "same": "bodies of the truth's model type",
        "regressors": "or SMPL-X beside a SMPL truth: rows of the same numbers of SMPL-X's own regressors",
        "smplx2smpl": "or SMPL-X beside a SMPL truth: its mesh taken to SMPL's vertices by the smplx2smpl matrix",
    },
    "joints": {
        "j14": "14 LSP joints of SMPL-X meshes (SMPLX_to_J14)",
        "skeleton14": "rows 1, 2, 4, 5, 7, 8, 12, 15..21 of the neutral model's J_regressor on the posed mesh",
        "h36m14": "14 LSP joints of the Human3.6M regressor (rows 6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)",
        "h36m17": "all 17 rows of the Human3.6M regressor",
        "model22": "the body model's own joints 0..21",
        "smpl24": "the 24 joints of SMPL itself",
        "coco17": "the 17 of COCO: the model's own joints and face points, hips of J_regressor_extra",
        "coco17-model-hips": "the same with the model's own hips",
    },
    "mesh_alignment": {
        "regressed-pelvis": "row 0 of the regressor that the joints come from (J_regressor beside j14)",
        "regressed-mid-hip": "the middle of that regressor's hips",
        "model-pelvis": "joint 0 of the body model",
        "model-mid-hip": "the middle of joints 1 and 2 of the body model",
        "model-origin": "the origin of the body model, which transl moves: translations are left off, nothing else is "
        "moved",
    },
    "joint_alignment": {},
    "mesh_fit": {
        "own": "PA errors of a mesh follow a fit of the vertices that are compared",
        "joints": "PA errors of a mesh follow the fit of the body's joints (joints)",
    },
    "hand_alignment": {
        "regressed-wrist": "each hand at its wrist in J_regressor on the posed mesh",
        "model-wrist": "each hand at its wrist in the body model",
        "as-mesh": "as the whole mesh",
    },
    "face_alignment": {
        "regressed-neck": "at the neck in J_regressor on the posed mesh",
        "model-neck": "at the neck of the body model",
        "as-mesh": "as the whole mesh",
    },
    "hand_joints": {
        "regressed21": "wrist, 15 knuckles and 5 tips, regressed from the mesh",
        "regressed20": "the same without the wrist",
        "model16": "wrist and 15 joints of the body model",
    },
    "procrustes": {
        "with-scale": "PA errors follow a similarity: rotation, translation and scale",
        "without-scale": "PA errors follow a rotation and a translation",
    },
    "body_vertices": {
        "agora": "AGORA's own list (body_verts_smplx.npy or body_verts_smpl.npy)",
        "outside-hands-and-head": "the 3896 vertices of SMPL-X in none of the hand and head lists",
    },
    "visibility": {
        "all": "every point counts",
        "inside-image": "points strictly inside the image: the true body at its own translation, in the virtual camera "
        "of the test box",
    },
    "hands": {
        "all": "both hands count",
        "flagged-valid": "hands that meta/lefthand_valid and meta/righthand_valid call valid; all where a registered "
        "protocol asks for them and the file lacks them",
    },
    "extreme_betas": {
        "keep": "shapes are compared as they are",
        "mean-shape": "truths with any |beta| > 3 are compared with the mean shape",
        "drop": "truths with any |beta| > 3 are not tested",
    },
    "frame": {
        "camera": "bodies before the camera of their image",
        "world": "the tracks of people through the world in which the camera moves",
    },
    "extrinsics": {
        "predicted": "tracks are placed by the prediction: bodies in one world a video, or before the camera with "
        "meta/RT of their own",
        "true": "bodies before the camera are placed in the world by the truth's meta/RT: the camera's motion is given",
    },
    "matching": {
        "by-row": "a prediction for each given box",
        "greedy-2d": "AGORA's: by the distance of 24 joints in the image, in the order of that distance",
    },
    "mean": {
        "instances": "the mean over all instances",
        "groups": "the mean of the groups' means, each group counting once",
    },
}
"""Fields that are one of several words, and what each word means. ``joint_alignment`` has those of
``mesh_alignment``."""

MESH_METRICS = ("PVE", "PA-PVE")
JOINT_METRICS = ("MPJPE", "PA-MPJPE", "PCK@50", "AUC")
ANGLE_METRICS = ("MPJAE", "PA-MPJAE")
SHAPE_METRICS = ("PVE-T-SC",)
MASK_METRICS = ("mIoU", "accuracy", "F1")
AVERAGE_PRECISION = ("AP", "AP50", "AP75", "AP-M", "AP-L", "AR", "AR50", "AR75", "AR-M", "AR-L")
"""In the order in which pycocotools gives them."""
KEYPOINT_METRICS = ("OKS", *AVERAGE_PRECISION)
WORLD_METRICS = ("WA-MPJPE", "W-MPJPE", "RTE", "Jitter", "foot-sliding")
"""Of people over time. ``Jitter`` is of bodies in either frame, the others are of the world alone."""
OF_THE_SET = ("accuracy", "F1", *AVERAGE_PRECISION, "Jitter", "foot-sliding")
"""Made of all instances together; their values are no means of what single instances have."""
HIGHER_IS_BETTER = frozenset({"PCK@50", "AUC", "precision", "recall", *MASK_METRICS, *KEYPOINT_METRICS})
"""Of all others, lower values are better."""
OFFICIAL_METRICS = ("MVE", "MPJPE", "NMVE", "NMJE", "F1", "precision", "recall")
UNITS = {
    **{"PCK@50": "%", "AUC": "", "MPJAE": "deg", "PA-MPJAE": "deg", "F1": "", "precision": "", "recall": ""},
    **{"mIoU": "%", "accuracy": "%", "OKS": ""},
    **{"RTE": "%", "Jitter": "10 m/s^3"},
    **dict.fromkeys(AVERAGE_PRECISION, "%"),
}
"""Of what is not in mm."""
