"""The small 3-D network: how it is built, trained and written as ONNX. Needs the extra `train`."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import numpy.typing as npt
import onnx
import torch
from measures import MERGED_LOOKS
from torch import nn

from petechia.core.compiled import compiled
from petechia.lesions.features.patches import AXIS_MM, CHANNELS, SIDE, STEP_MM
from petechia.lesions.findings import CLASSES

PHASE = [CHANNELS.index(c) for c in ("dark_swi", "field", "chi")]
N_CLASSES = len(CLASSES)
WIDTH = 16
SLICE_MM = (3.0, 6.5)
BATCH = 64
N_NORMAL = 1 << 24
LEAST_DARK = 0.12
"""A void that is darker nowhere in the middle of its thick slices is not looked for there."""


class Network(nn.Module):
    """Four convolutions; the middle of the last map and its mean tell the class."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()

        def step(a: int, b: int, stride: int = 1, pad: int = 1) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv3d(a, b, 3, stride=stride, padding=pad, bias=False),
                nn.BatchNorm3d(b),
                nn.ReLU(),
            )

        self.body = nn.Sequential(
            step(len(CHANNELS), width, stride=2),
            step(width, 2 * width),
            nn.MaxPool3d(2),
            step(2 * width, 4 * width),
            step(4 * width, 4 * width, pad=0),
        )
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(8 * width, N_CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, classes): log-odds of a microbleed first, then scores of other classes."""
        y = self.body(x)
        return self.head(torch.cat([y.mean(dim=(2, 3, 4)), y[:, :, 1, 1, 1]], dim=1))


class Mean(nn.Module):
    """Several networks as one: the mean of their answers."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean over the members."""
        return torch.stack([m(x) for m in self.members]).mean(dim=0)


@cache
def _normal() -> npt.NDArray[np.float32]:
    """Return normal numbers, drawn once: noise takes as many of them from anywhere."""
    return torch.randn(N_NORMAL, generator=torch.Generator().manual_seed(5)).numpy()


@cache
def _halves() -> npt.NDArray[np.float32]:
    """Return the number that each pattern of 16 bits is as float16."""
    return np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)


@compiled
def _louder(bits, value, at, gain, noise, normal, out):  # type: ignore[no-untyped-def]
    """Write images, channels last, turned, times their gain and with noise."""
    for n in range(out.shape[0]):
        for p in range(out.shape[1]):
            for c in range(out.shape[2]):
                picture = value[bits[n, c, at[p]]] * gain[n, c]
                out[n, p, c] = picture + noise[n, c] * normal[n, p, c]


def varied(
    cubes: npt.NDArray[np.float16],
    label: torch.Tensor,
    rng: np.random.Generator,
    thick: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch turned, mirrored, shifted, scaled, in thick slices, and with images missing.

    Also returns the weight of each example: calcifications tell nothing without phase. Of so many
    batches as `thick` tells a picture in thick slices is made. Channels are last in memory.
    """
    n = len(cubes)
    at = np.rot90(np.arange(SIDE**3).reshape(SIDE, SIDE, SIDE), int(rng.integers(4)), (0, 1))
    at = np.flip(at, [axis for axis in (0, 2) if rng.random() < 0.5])
    at = np.roll(at, rng.integers(-1, 2, 3).tolist(), (0, 1, 2)).ravel()
    bits = cubes.reshape(n, len(CHANNELS), -1).view(np.uint16)
    stored = (bits << 1).any(axis=2)  # minus nought is nought
    weight = torch.ones(n)
    sliced = thick > 0 and rng.random() < thick
    if sliced:
        turned = torch.from_numpy(bits[:, :, at].view(np.float16).reshape(cubes.shape))
        seen, weight = thickened(turned.float(), rng)
        bits, at = seen.half().numpy().view(np.uint16).reshape(bits.shape), np.arange(len(at))
    gone = np.zeros((n, len(CHANNELS)), dtype=bool)
    no_phase = rng.random(n) < (0.7 if sliced else 0.25)
    gone[np.ix_(no_phase, PHASE)] = True
    for channel, share in (("dark_swi", 0.15), ("chi", 0.1), ("field", 0.1), ("decay", 0.3)):
        gone[:, CHANNELS.index(channel)] |= rng.random(n) < share
    here = stored & ~gone
    gain = rng.uniform(0.8, 1.25, gone.shape)
    gain[:, CHANNELS.index("brain")] = 1
    noise = rng.uniform(0, 0.06, (n, 1))
    kept, louder = ((of * here).astype(np.float32) for of in (gain, noise))
    out = np.empty((n, len(at), len(CHANNELS)), dtype=np.float32)
    begin = int(rng.integers(N_NORMAL - out.size))
    normal = _normal()[begin : begin + out.size].reshape(out.shape)
    _louder(bits, _halves(), at, kept, louder, normal, out)
    cube = torch.from_numpy(out.reshape(n, SIDE, SIDE, SIDE, -1)).permute(0, 4, 1, 2, 3)
    signless = torch.from_numpy(~here[:, PHASE[1:]].any(axis=1))
    return cube, torch.where(signless & (label == CLASSES.index("calcification")), 0.0, weight)


def in_slices(slice_mm: float, shift_mm: float) -> npt.NDArray[np.float32]:
    """Return what cutting an axis of a cube into slices and interpolating them back does to it.

    Parameters
    ----------
    slice_mm : float
        Thickness, and distance from centre to centre [mm].
    shift_mm : float
        Of a slice's centre from the cube's.

    Returns
    -------
    weights : (20, 20) ndarray of float32
        Old points by new ones; each column sums to 1.
    """
    reach = int(np.ceil(AXIS_MM[-1] / slice_mm)) + 2
    centres = shift_mm + slice_mm * np.arange(-reach, reach + 1)
    wide = np.arange(-reach * slice_mm - slice_mm, reach * slice_mm + slice_mm, STEP_MM / 8)
    # beyond the cube its edge is repeated
    point = np.abs(wide[:, None] - AXIS_MM).argmin(axis=1)
    inside = np.abs(wide[:, None] - centres) <= slice_mm / 2
    mean = np.zeros((SIDE, len(centres)))
    for n in range(len(centres)):
        mean[:, n] = np.bincount(point[inside[:, n]], minlength=SIDE)
    mean /= np.maximum(mean.sum(axis=0), 1)
    back = np.maximum(1 - np.abs(AXIS_MM[None] - centres[:, None]) / slice_mm, 0)
    return (mean @ (back / back.sum(axis=0))).astype(np.float32)


def thickened(cubes: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cubes as slices of 3 to 6.5 mm across the field would show them, and their weights.

    A void that is lost in its slices weighs nothing. Magnitudes are averaged, not the complex
    signal: neighbouring parts of a slice do not cancel.
    """
    slice_mm = float(rng.uniform(*SLICE_MM))
    across = in_slices(slice_mm, float(rng.uniform(-0.5, 0.5)) * slice_mm)
    out = cubes @ torch.from_numpy(across)
    middle = slice(SIDE // 2 - 3, SIDE // 2 + 3)
    dark = out[:, CHANNELS.index("dark"), middle, middle, middle].amax(dim=(1, 2, 3))
    return out, (dark > LEAST_DARK).to(out.dtype)


def loss_of(answer: torch.Tensor, label: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of microbleed against the rest, and a little of the classes."""
    bleed = (label == 0).to(answer.dtype)
    main = nn.functional.binary_cross_entropy_with_logits(answer[:, 0], bleed, reduction="none")
    others = nn.functional.cross_entropy(answer[:, 1:], (label - 1).clamp(min=0), reduction="none")
    return (weight * (main + 0.2 * (1 - bleed) * others)).mean()


def _batches(
    always: npt.NDArray[np.int64],
    sometimes: npt.NDArray[np.int64],
    rng: np.random.Generator,
    epochs: int,
    turn: npt.NDArray[np.int64],
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the rows of each batch: those always seen, and one in five of the others.

    Of an epoch are the rows whose `turn` it is. What is left of one is no batch.
    """
    for epoch in range(epochs):
        hard, easy = (of[_has_turn(turn[of], epoch)] for of in (always, sometimes))
        some = rng.choice(easy, len(easy) // 5, replace=False)
        order = rng.permutation(np.concatenate([hard, some]))
        for begin in range(0, len(order) - BATCH + 1, BATCH):
            yield np.sort(order[begin : begin + BATCH])


def _has_turn(turn: npt.NDArray[np.int64], epoch: int) -> npt.NDArray[np.bool_]:
    return (turn < 0) | (turn == epoch % len(MERGED_LOOKS))


def train_network(
    cubes: npt.NDArray[np.float16],
    label: npt.NDArray[np.int64],
    hard: npt.NDArray[np.bool_],
    rows: npt.NDArray[np.int64],
    seed: int,
    epochs: int,
    width: int = WIDTH,
    thick: float = 0.0,
    turn: npt.NDArray[np.int64] | None = None,
) -> Network:
    """Train one network on some rows.

    Parameters
    ----------
    cubes : (N, C, 20, 20, 20) ndarray of float16
        Of all examples.
    label : (N,) ndarray of int
        Class.
    hard : (N,) ndarray of bool
        Examples seen in every epoch that is theirs; of the others one in five.
    rows : (M,) ndarray of int
        Those to train on.
    seed : int
        Of weights, order and variation.
    epochs : int
        How often the hard examples are seen, if every epoch is theirs.
    width : int
        Channels of the first map.
    thick : float
        Share of batches that are seen as thick slices would show them.
    turn : (N,) ndarray of int, optional
        In which epochs each example is seen, as `measures.turn_of` tells; all in all without it.
    """
    turn = np.full(len(label), -1) if turn is None else turn
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 7])
    # channels last and half precision inside: three times as fast on a CPU that has it
    net = Network(width).train().to(memory_format=torch.channels_last_3d)
    always, sometimes = rows[hard[rows]], rows[~hard[rows]]
    seen = [
        [int(_has_turn(turn[of], n).sum()) for of in (always, sometimes)] for n in range(epochs)
    ]
    per_epoch = [hard + easy // 5 for hard, easy in seen]
    if min(per_epoch, default=0) < BATCH:
        raise SystemExit(
            f"{min(per_epoch, default=0)} examples in an epoch, and a batch has {BATCH}"
        )
    steps = sum(n // BATCH for n in per_epoch)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=3e-3, total_steps=max(steps + 1, 10), pct_start=0.2
    )
    batches = _batches(always, sometimes, rng, epochs, turn)

    def made() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
        at = next(batches, None)
        if at is None:
            return None
        y = torch.from_numpy(label[at])
        x, weight = varied(cubes[at], y, rng, thick)
        return x, y, weight

    # the next batch is made while the network learns from one
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(made)
        while (batch := coming.result()) is not None:
            coming = maker.submit(made)
            x, y, weight = batch
            optimiser.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                answer = net(x)
            loss_of(answer.float(), y, weight).backward()
            optimiser.step()
            rate.step()
    return net.eval()


def answers(net: nn.Module, cubes: npt.NDArray[np.floating], views: int = 4) -> npt.NDArray:
    """Return log-odds of a microbleed, the mean over `views` symmetries, as in the detector."""
    from petechia.lesions.model import symmetries

    out = np.zeros(len(cubes))
    with torch.no_grad():
        for begin in range(0, len(cubes), 128):
            batch = cubes[begin : begin + 128].astype(np.float32)
            seen = list(symmetries(batch))[:views]
            found = [net(torch.from_numpy(np.ascontiguousarray(v)))[:, 0].numpy() for v in seen]
            out[begin : begin + 128] = np.mean(found, axis=0)
    return out


def to_onnx(net: nn.Module) -> bytes:
    """Return a network as ONNX, for any number of cubes."""
    example = torch.zeros((2, len(CHANNELS), SIDE, SIDE, SIDE))
    buffer = io.BytesIO()
    program = torch.onnx.export(
        net, (example,), dynamo=True, input_names=["cubes"], output_names=["scores"],
        dynamic_shapes=({0: torch.export.Dim("n", min=1, max=4096)},), verbose=False,
    )  # fmt: skip
    program.save(buffer)
    return buffer.getvalue()


def halved(content: bytes) -> bytes:
    """Return a network as ONNX whose weights are kept as float16, in half as many bytes.

    They are made float32 again when it is loaded: an answer moves by a thousandth.
    """
    model = onnx.load_from_string(content)
    kept, made = [], []
    for weights in model.graph.initializer:
        array = onnx.numpy_helper.to_array(weights)
        if array.dtype == np.float32:
            small = f"{weights.name}_half"
            kept.append(onnx.numpy_helper.from_array(array.astype(np.float16), small))
            made.append(
                onnx.helper.make_node("Cast", [small], [weights.name], to=onnx.TensorProto.FLOAT)
            )
        else:
            kept.append(weights)
    nodes = [*made, *model.graph.node]
    told = [*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output]
    for part in (model, model.graph, *told):  # where in the source each came from
        part.doc_string = ""
        del part.metadata_props[:]
    for held, new in ((model.graph.initializer, kept), (model.graph.node, nodes)):
        del held[:]
        held.extend(new)
    return bytes(model.SerializeToString())
