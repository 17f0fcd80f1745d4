"""MuCo-3DHP: people of MPI-INF-3DHP composited into one picture, SMPL fitted to the 3D joints."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="muco",
    name="MuCo-3DHP",
    homepage="https://vcai.mpi-inf.mpg.de/projects/SingleShotMultiPerson/",
    licence="as MPI-INF-3DHP: research only",
    commercial=False,
    paper="Mehta et al., Single-Shot Multi-Person 3D Pose Estimation From Monocular RGB, 3DV 2018",
    annotation="SMPL, pseudo (SMPLify-X on captured joints)",
    body_model="smpl",
    appearance="real, composited",
    scene="studio and pasted backgrounds",
    persons="several",
    splits={"train": 465_273},
    layout="""
MuCo/                                    (or below data/)
  augmented_set/..., unaugmented_set/...
  MuCo-3DHP.json, smpl_param.json
""",
    needs=("data/MuCo-3DHP.json | MuCo-3DHP.json",),
    get="parsed package from github.com/mks0601/3DMPPE_POSENET_RELEASE",
    reprojection="fitted",
)
