"""MPI-INF-3DHP: actors before a green screen, the parsed 1K release with NeuralAnnot SMPL-X fits."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="mpi_inf_3dhp",
    name="MPI-INF-3DHP",
    homepage="https://vcai.mpi-inf.mpg.de/3dhp-dataset/",
    licence="research licence, accepted in the download script",
    commercial=False,
    paper=("Mehta et al., Monocular 3D Human Pose Estimation In The Wild Using Improved CNN Supervision, 3DV 2017"),
    annotation="SMPL-X body, pseudo (NeuralAnnot); markerless capture joints",
    body_model="smplx",
    appearance="real",
    scene="studio; test also outdoor",
    persons="one",
    splits={"train": 939_847, "test": None},
    layout="""
MPI_INF_3DHP/                            (or below data/)
  images_1k/S1/Seq1/imageSequence/<file name>
  MPI-INF-3DHP_1k.json, MPI-INF-3DHP_camera_1k.json, MPI-INF-3DHP_joint_3d.json
  MPI-INF-3DHP_SMPLX_NeuralAnnot.json
  mpi_inf_3dhp_test_set/TS1/annot_data.mat, imageSequence/img_000001.jpg      (test)
""",
    split_needs={
        "train": ("data/MPI-INF-3DHP_1k.json | MPI-INF-3DHP_1k.json",),
        "test": ("mpi_inf_3dhp_test_set/TS*/annot_data.mat | */mpi_inf_3dhp_test_set/TS*/annot_data.mat",),
    },
    get="parsed package from the Hand4Whole / OSX repositories, test set with the official script",
    reprojection="fitted",
    fps=25,
)
