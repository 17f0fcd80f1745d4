"""SMPL-X, SMPL-H and SMPL: model files, parameters, fast joints, meshes, rotations, cameras."""
