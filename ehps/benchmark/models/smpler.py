"""SMPLer and SMPLer-L: SMPL from one image by a transformer whose queries are the parameters themselves.

Paper: Xu et al., SMPLer: Taming Transformers for Monocular 3D Human Shape and Pose Estimation, TPAMI 2024; its weights
are for research only. (N, 3, 224, 224) RGB of a square crop -> SMPL of four stages, the last of which is the answer.
Its authors first train the network without blocks, whose first guess is the answer, then all of it from these weights.
Width 32 is SMPLer (37 355 950 parameters, 17.5 GFLOP), width 48 is SMPLer-L (73 615 150, 34.3 GFLOP); the published
35.6 and 70.2 million count 2^20 as a million. With keys and values projected, as the authors do, it is 1.2 GFLOP more.

A regressor on HRNet's smallest map makes a first answer. Its 24 rotations, shape and camera become 26 queries. Each of
three blocks lets them look at all four maps and at the surroundings of their joints in the largest, and turns what they
have become into a correction. Attention over a map has 26 rows, so that maps stay as large as they are.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ehps.benchmark.models.colours import ImageNetColours
from ehps.benchmark.models.hrnet import HRNet
from ehps.benchmark.models.outputs import SmplPrediction
from ehps.benchmark.models.smpl_stages import keep_mean, last_stage, neutral_smpl, without_smpl
from ehps.benchmark.training import rotations_6d
from ehps.body.model_file import BodyModel

JOINTS, QUERIES = 24, 26  # the last two are shape and camera
SIZE, WIDTH, HEADS = 56, 128, 4  # of the largest map; of a query; of every attention
SCALES = (1, 2, 4, 8)  # how many times smaller each map is
RADIUS = 4  # of a joint's surroundings, pixels of the largest map
EPSILON = 1e-12  # of every normalisation, not PyTorch's 1e-5
DROPOUT = 0.1


class FirstGuess(nn.Module):
    """Parameters from one feature of the image, in three rounds of correction from the mean parameters."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        keep_mean(self, camera=(1.0, 0.0, 0.0))
        self.fc1, self.drop1 = nn.Linear(inputs + 157, 1024), nn.Dropout()
        self.fc2, self.drop2 = nn.Linear(1024, 1024), nn.Dropout()
        self.decpose, self.decshape, self.deccam = nn.Linear(1024, 144), nn.Linear(1024, 10), nn.Linear(1024, 3)
        for head in (self.decpose, self.decshape, self.deccam):
            nn.init.xavier_uniform_(head.weight, gain=0.01)

    init_pose: Tensor
    init_shape: Tensor
    init_cam: Tensor

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, inputs) -> (N, 144) 6-D, (N, 10), (N, 3)."""
        pose, betas, camera = (
            start.expand(len(feature), -1) for start in (self.init_pose, self.init_shape, self.init_cam)
        )
        for _ in range(3):
            x = self.drop1(functional.relu(self.fc1(torch.cat((feature, pose, betas, camera), 1))))
            x = self.drop2(functional.relu(self.fc2(x)))
            pose, betas, camera = pose + self.decpose(x), betas + self.decshape(x), camera + self.deccam(x)
        return pose, betas, camera


class Attention(nn.Module):
    """What queries, keys and values are made by.

    A head's score of a token x, q . (K x + k), is (K^T q) . x and a number that all tokens share; what it reads, the
    weighted mean of V x + v, is V of the weighted mean of x, and v. Of up to 3136 tokens and 26 queries only queries
    are projected. The bias k changes nothing, and dropout leaves v as it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, query: Tensor, source: Tensor, bias: Tensor | None = None) -> Tensor:
        """(N, Q, 128) look at (N, K, 128) -> (N, Q, 128). ``bias`` (N, heads, Q, K) is added to the scores."""
        key, value = (layer.weight.unflatten(0, (HEADS, -1)) for layer in (self.key, self.value))  # heads x 32 x 128
        q = self.query(query).unflatten(-1, (HEADS, -1))  # N x Q x heads x 32
        asked = torch.einsum("nqhd,hdc->nhqc", q, key).flatten(1, 2)[:, None]  # N x 1 x heads * Q x 128
        mask = None if bias is None else bias.flatten(1, 2)[:, None].to(asked.dtype)
        tokens = source[:, None]  # N x 1 x K x 128
        drop, scale = DROPOUT if self.training else 0.0, q.shape[-1] ** -0.5
        read = functional.scaled_dot_product_attention(asked, tokens, tokens, mask, drop, scale=scale)
        read = read[:, 0].unflatten(1, (HEADS, -1))  # N x heads x Q x 128
        return torch.einsum("nhqc,hdc->nqhd", read, value).flatten(2) + self.value.bias


class Layer(nn.Module):
    """Pre-norm transformer layer. What queries look at is not normalised, unless it is the queries themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.LayerNorm_attn = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.attention = Attention()
        self.linear_attn = nn.Linear(WIDTH, WIDTH)
        self.dropout = nn.Dropout(DROPOUT)
        self.mlp = nn.Sequential(
            nn.LayerNorm(WIDTH, eps=EPSILON),
            nn.Linear(WIDTH, 2 * WIDTH),
            nn.GELU(),
            nn.Linear(2 * WIDTH, WIDTH),
            nn.Dropout(DROPOUT),
        )

    def forward(self, query: Tensor, source: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """(N, Q, 128), looking at ``source`` (N, K, 128) or at itself -> (N, Q, 128)."""
        normal = self.LayerNorm_attn(query)
        attended = self.attention(normal, normal if source is None else source, bias)
        query = query + self.dropout(self.linear_attn(attended))
        out: Tensor = query + self.mlp(query)
        return out


class GlobalUnit(nn.Module):
    """Queries look at each whole map, each in its own layer; the four results are averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.trans_layer_list = nn.ModuleList(nn.ModuleDict({"transformer_layer": Layer()}) for _ in SCALES)

    def forward(self, query: Tensor, maps: list[Tensor]) -> Tensor:
        """(N, 26, 128) and four maps (N, pixels, 128) -> (N, 26, 128)."""
        layers = (cast(nn.ModuleDict, layer)["transformer_layer"] for layer in self.trans_layer_list)
        return torch.stack([layer(query, x) for layer, x in zip(layers, maps, strict=True)]).mean(0)


class LocalUnit(nn.Module):
    """The query of a joint looks at the joint's surroundings, with a learned preference for where."""

    def __init__(self) -> None:
        super().__init__()
        side = 2 * RADIUS + 1
        self.relative_position_encoding_table = nn.ParameterList([torch.zeros(1, HEADS, side, side)])
        self.trans_layer_list = nn.ModuleList([nn.ModuleDict({"transformer_layer": Layer()})])

    def forward(self, query: Tensor, around: Tensor, offsets: Tensor) -> Tensor:
        """
        Parameters
        ----------
        query : (N, 24, 128).
        around : (N, 24, 64, 128) features.
        offsets : (N, 24, 64, 2) x, y from the joint to where they are, in radii.

        Returns
        -------
        (N, 24, 128).
        """
        table = self.relative_position_encoding_table[0]
        bias = functional.grid_sample(table, offsets.flatten(0, 1)[None], align_corners=True)  # 1 x heads x 24 N x 64
        bias = bias[0].transpose(0, 1)[:, :, None]  # 24 N x heads x 1 x 64
        layer = self.trans_layer_list[0]["transformer_layer"]  # type: ignore[index]
        out: Tensor = layer(query.flatten(0, 1)[:, None], around.flatten(0, 1), bias)  # 24 N x 1 x 128
        return out.view_as(query)


class Unit(nn.Module):
    """Both kinds of looking from the same queries, then the queries look at each other."""

    def __init__(self) -> None:
        super().__init__()
        self.global_unit, self.local_unit = GlobalUnit(), LocalUnit()
        self.self_trans_layer = nn.ModuleDict({"self_trans_layer": Layer()})

    def forward(self, query: Tensor, maps: list[Tensor], around: Tensor, offsets: Tensor) -> Tensor:
        """(N, 26, 128) -> (N, 26, 128); the rest as in the two units."""
        seen = self.global_unit(query, maps)
        near = self.local_unit(query[:, :JOINTS], around, offsets)
        query = torch.cat((0.5 * (seen[:, :JOINTS] + near), seen[:, JOINTS:]), 1)
        out: Tensor = self.self_trans_layer["self_trans_layer"](query)
        return out


class Looking(nn.Module):
    """Two units, from queries to what they have become."""

    def __init__(self) -> None:
        super().__init__()
        self.feat_position_embedding = nn.Parameter(torch.randn(1, WIDTH, SIZE, SIZE) * 0.02)
        self.early_embedding = nn.Linear(WIDTH, WIDTH)
        self.position_embeddings = nn.Embedding(QUERIES, WIDTH)
        self.dropout = nn.Dropout(DROPOUT)
        self.trans_units = nn.ModuleList(Unit() for _ in range(2))
        self.head, self.residual = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, query: Tensor, maps: list[Tensor], around: Tensor, offsets: Tensor) -> Tensor:
        """(N, 26, 128) -> (N, 26, 128); the rest as in the units."""
        # with channels last they are averaged at once and lie as the maps do
        places = [self.feat_position_embedding.contiguous(memory_format=torch.channels_last)]
        for _ in SCALES[1:]:
            places.append(functional.avg_pool2d(places[-1], 2))
        placed = [x + place.flatten(2).transpose(1, 2) for x, place in zip(maps, places, strict=True)]
        x = self.dropout(self.early_embedding(query) + self.position_embeddings.weight)
        for unit in self.trans_units:
            x = unit(x, placed, around, offsets)
        out: Tensor = self.head(x) + self.residual(query)
        return out


class Block(nn.Module):
    """One correction of the parameters.

    Parameters
    ----------
    widths : channels of the four maps.
    """

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.raw_feat_projection_layer = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, WIDTH, 1), nn.LayerNorm(WIDTH, eps=EPSILON)) for width in widths
        )
        self.joint_feat_projection_layer = nn.ModuleList([nn.Linear(WIDTH, WIDTH)])
        self.trans_block = Looking()
        self.theta_predictor = nn.Linear(WIDTH, 6)
        self.beta_predictor = nn.Linear(WIDTH, 10)
        self.cam_predictor = nn.Linear(WIDTH, 3)
        steps = torch.arange(-RADIUS + 1, RADIUS + 1.0)
        # x varies slowest
        grid = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
        self.register_buffer("window", grid, persistent=False)  # 64 x 2
        for head in (self.theta_predictor, self.beta_predictor, self.cam_predictor):
            nn.init.normal_(head.weight, std=1e-3)
            nn.init.zeros_(head.bias)
        with torch.no_grad():
            self.theta_predictor.bias[[0, 3]] = 0.1  # the identity, interleaved

    window: Tensor

    def forward(self, query: Tensor, maps: list[Tensor], joints: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """
        Parameters
        ----------
        query : (N, 26, 128).
        maps : of the trunk.
        joints : (N, 24, 2), -1 to 1 as x, y.

        Returns
        -------
        Turns (N, 24, 3, 3), changes of shape (N, 10) and camera (N, 3), and the queries (N, 26, 128) of the next block.
        """
        projected = []
        for layer, raw in zip(self.raw_feat_projection_layer, maps, strict=True):
            convolution, norm = cast(tuple[nn.Conv2d, nn.LayerNorm], layer)
            pixels = raw.flatten(2).transpose(1, 2)  # N x pixels x width
            projected.append(norm(functional.linear(pixels, convolution.weight.flatten(1), convolution.bias)))
        largest = projected[0]
        image = largest.transpose(1, 2).unflatten(2, (SIZE, SIZE))  # N x 128 x 56 x 56
        at_joint = functional.grid_sample(image, joints[:, :, None], align_corners=True)[..., 0]  # N x 128 x 24
        at_joint = self.joint_feat_projection_layer[0](at_joint.transpose(1, 2))  # N x 24 x 128
        query = query + torch.cat((at_joint, at_joint.mean(1, keepdim=True).expand(-1, QUERIES - JOINTS, -1)), 1)
        around, offsets = self.surroundings(largest, joints)
        query = self.trans_block(query, projected, around, offsets)
        with torch.autocast(query.device.type, enabled=False):
            query = query.float()
            turns = rotations_6d.from_6d(self.theta_predictor(query[:, :JOINTS]))
            return turns, self.beta_predictor(query[:, -2]), self.cam_predictor(query[:, -1]), query

    def surroundings(self, largest: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, 24, 64, 128) of whole pixels around joints, and (N, 24, 64, 2) where they are, in radii.

        Parameters
        ----------
        largest : (N, 56 * 56, 128) map, without the position map.
        joints : (N, 24, 2), -1 to 1 as x, y. Surroundings end at the map's border: pixels there are taken repeatedly.
        """
        place = (joints + 1) / 2 * (SIZE - 1)  # N x 24 x 2 pixels
        pixels = (place.floor()[:, :, None] + self.window).clamp(0, SIZE - 1)  # N x 24 x 64 x 2
        offsets = (pixels - place[:, :, None]) / RADIUS
        index = (pixels[..., 1] * SIZE + pixels[..., 0]).long().flatten(1)  # N x 24 * 64
        image = torch.arange(len(index), device=index.device)[:, None]
        return largest[image, index].unflatten(1, (JOINTS, -1)), offsets


class SMPLer(nn.Module):
    """See the module docstring.

    Parameters
    ----------
    width : 32 or 48, of the trunk.
    smpl : the neutral SMPL model; without it the network can be built and filled, but not run.
    blocks : 3, or 0 for the trunk and the regressor alone, which their authors train first.

    Raises
    ------
    ValueError : another width, or another number of blocks.
    BodyModelError : ``smpl`` is another model.
    """

    antialias = True
    input_size = (224, 224)

    def __init__(self, width: int = 32, smpl: BodyModel | None = None, blocks: int = 3) -> None:
        super().__init__()
        if width not in (32, 48):
            raise ValueError(f"width is {width!r}, not 32 (SMPLer) or 48 (SMPLer-L)")
        if type(blocks) is not int or blocks not in (0, 3):
            raise ValueError(f"blocks is {blocks!r}, not 3, or 0 (the stage backbone)")
        self.colours = ImageNetColours()
        self.backbone = HRNet(width)
        self.SMPL_predictor = FirstGuess(8 * width)
        self.blocks = blocks
        if blocks:
            self.init_query_layer_beta = nn.Linear(10, WIDTH)
            self.init_query_layer_theta = nn.Linear(9, WIDTH)
            self.init_query_layer_cam = nn.Linear(3, WIDTH)
            self.global_feat_projection = nn.Linear(8 * width, WIDTH)
            self.transformer = nn.ModuleList(Block([width * scale for scale in SCALES]) for _ in range(blocks))
        self.smpl = neutral_smpl(smpl) if smpl is not None else None

    def forward(self, image: Tensor) -> SmplPrediction:
        """(N, 3, 224, 224) RGB in [0, 1] -> SmplPrediction; its extras hold the first guess and a stage of each block.

        Raises
        ------
        BodyModelError : built without the SMPL model.
        """
        if self.smpl is None:
            raise without_smpl("SMPLer")
        maps = self.backbone(self.colours(image))  # N x 32 x 56 x 56 to N x 256 x 7 x 7
        with torch.autocast(image.device.type, enabled=False):
            feature = maps[-1].float().mean((2, 3))  # N x 256
            pose, beta, camera = self.SMPL_predictor(feature)
            turned = rotations_6d.from_6d(pose.unflatten(1, (JOINTS, 6)))
        rotations, betas, cameras = [turned], [beta], [camera]
        if not self.blocks:
            return last_stage(rotations, betas, cameras)
        with torch.autocast(image.device.type, enabled=False):
            query = self.queries(turned, beta, camera, feature)
        for block in self.transformer:
            joints = self.smpl.joints(rotations[-1], betas[-1])[..., :2]  # N x 24 x 2
            seen = cameras[-1][:, None, :1] * (joints + cameras[-1][:, None, 1:])  # -1 to 1
            turns, shape, move, query = block(query, maps, seen)
            with torch.autocast(image.device.type, enabled=False):
                rotations.append(rotations[-1] @ turns)
            betas.append(betas[-1] + shape)
            cameras.append(cameras[-1] + move)
        return last_stage(rotations, betas, cameras)

    def queries(self, rotations: Tensor, betas: Tensor, camera: Tensor, feature: Tensor) -> Tensor:
        """(N, 26, 128) of 24 rotations (N, 24, 3, 3), shape (N, 10), camera (N, 3) and the image's feature (N, C)."""
        own = (
            self.init_query_layer_theta(rotations.flatten(2)),
            self.init_query_layer_beta(betas)[:, None],
            self.init_query_layer_cam(camera)[:, None],
        )
        return torch.cat(own, 1) + self.global_feat_projection(feature)[:, None]
