"""CrowdPose: photographs of crowded scenes with 14 hand-labelled joints and NeuralAnnot SMPL fits."""

from ehps.converters.base import DatasetCard

CARD = DatasetCard(
    id="crowdpose",
    name="CrowdPose",
    homepage="https://github.com/Jeff-sjtu/CrowdPose",
    licence="research use; no licence file",
    commercial=None,
    paper="Li et al., CrowdPose: Efficient Crowded Scenes Pose Estimation and A New Benchmark, CVPR 2019",
    annotation="SMPL, pseudo (NeuralAnnot); 14 hand-labelled 2D joints",
    body_model="smpl",
    appearance="real",
    scene="in the wild, crowded",
    persons="several",
    splits={"train": 28_457, "val": None, "test": None, "trainval": None},
    layout="""
crowdpose/
  images/100000.jpg
  crowdpose_{train,val,trainval,test}.json          (or below annotations/ or json/)
  CrowdPose_train_SMPL_NeuralAnnot.json
""",
    needs=("images",),
    get="images and json from the homepage, fits from github.com/mks0601/NeuralAnnot_RELEASE",
    reprojection="fitted",
)
