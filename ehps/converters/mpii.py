"""MPII Human Pose: frames of internet videos with 16 hand-labelled joints and NeuralAnnot SMPL-X body fits."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="mpii",
    name="MPII",
    homepage="http://human-pose.mpi-inf.mpg.de",
    licence="annotations simplified BSD, research use; frames of YouTube videos",
    commercial=None,
    paper=("Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014"),
    annotation="SMPL-X body, pseudo (NeuralAnnot); 16 hand-labelled 2D joints",
    body_model="smplx",
    appearance="real",
    scene="in the wild",
    persons="several",
    splits={"train": 28_881, "test": None},
    layout="""
mpii/                                    (or below data/)
  images/015601864.jpg
  annotations/{train,test}.json
  annotations/MPII_train_SMPLX_NeuralAnnot.json
""",
    needs=("images | data/images",),
    get="images from the homepage, annotations and fits from github.com/mks0601/NeuralAnnot_RELEASE",
    reprojection="fitted",
)
