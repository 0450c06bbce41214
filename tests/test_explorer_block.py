"""The block explorer: the weights are the trained ones, its arithmetic is PyTorch's, it refuses what does not fit."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import traitlets

import senet_edu as se
from senet_edu import cost, results
from senet_edu.blocks import SEBlock
from senet_edu.widgets import BlockExplorer
from senet_edu.widgets.block import NAME, load_blocks

COMPUTE = """
    const { compute, unpack } = await import("$AT/block.mjs");
    const view = new DataView(Uint8Array.from(given.data).buffer);
    const blocks = unpack(view, given);
    result = given.asked.map(([r, name, start, moved, channel]) => {
        const { z, now, steep } = compute(blocks[`r${r}`][name], given.starts.indexOf(start), moved, channel);
        return { z: [...z], a: now.a, h: now.h, s: now.s, steep };
    });
"""


@pytest.fixture(scope="module")
def explorer() -> BlockExplorer:
    return BlockExplorer()


def ask(node, explorer: BlockExplorer, asked: list) -> list[dict[str, np.ndarray]]:
    """What the page computes for each (r, block, start, moved, channel)."""
    given = {name: getattr(explorer, name) for name in ("reductions", "sizes", "starts")}
    given |= {"names": explorer.block_names, "data": list(explorer.data), "asked": asked}
    return [{key: np.array(value) for key, value in answer.items()} for answer in node(COMPUTE, given)]


def torch_says(block: SEBlock, z: torch.Tensor, channel: int) -> dict[str, np.ndarray]:
    """The same from PyTorch in float32: what enters the ReLU, what leaves it, the gates, and ∂s/∂z of the channel."""
    with torch.no_grad():
        a = block.fc1(z)
        s = block.gates(z[None])[0]
    jacobian = torch.autograd.functional.jacobian(lambda one: block.gates(one[None])[0], z)  # [C, C]
    steep = jacobian[:, channel]
    return {key: value.numpy() for key, value in {"z": z, "a": a, "h": a.relu(), "s": s, "steep": steep}.items()}


def block_of(tensors: dict[str, torch.Tensor], reduction: int, name: str) -> SEBlock:
    """An SEBlock with shipped weights."""
    parts = {part: tensors[f"r{reduction}.{name}.{part}"] for part in ("w1", "b1", "w2", "b2")}
    hidden, channels = parts["w1"].shape
    block = SEBlock(channels, reduction, min_hidden=hidden)
    names = {"fc1.weight": "w1", "fc1.bias": "b1", "fc2.weight": "w2", "fc2.bias": "b2"}
    block.load_state_dict({key: parts[part] for key, part in names.items()})
    return block


def test_the_page_computes_what_pytorch_does(node, explorer: BlockExplorer) -> None:
    """For every r and C, at a start and with two channels moved."""
    asked = [
        [r, name, start, moved, 3]
        for r in explorer.reductions
        for name in explorer.block_names
        for start, moved in (("frog", {}), ("truck", {"3": 1.5, "7": -2.25}))
    ]
    tensors = explorer.found.tensors
    for (r, name, start, moved, channel), answer in zip(asked, ask(node, explorer, asked), strict=True):
        mine = BlockExplorer(reduction=r, block_name=name, start=start, moved=moved)
        wanted = torch_says(block_of(tensors, r, name), mine.z, channel)
        assert answer.keys() == wanted.keys()
        for key, value in wanted.items():
            assert np.abs(answer[key] - value).max() < 1e-5, (r, name, start, key)
    assert (answer["h"] == 0).any()  # the ReLU was at work


def test_r16_is_the_shipped_network(explorer: BlockExplorer) -> None:
    blocks = se.models.se_blocks(se.results.load_network("se_resnet18-quarter"))
    for name in explorer.block_names:
        ours = block_of(explorer.found.tensors, 16, name)
        assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), blocks[name].parameters(), strict=True))


def test_one_block_for_each_number_of_channels_and_every_weight_counted(explorer: BlockExplorer) -> None:
    assert explorer.reductions == [2, 4, 8, 16]
    assert [explorer.sizes["r2"][name]["channels"] for name in explorer.block_names] == [16, 32, 64, 128]
    recorded = results.load_record("reduction-sweep")
    for r in explorer.reductions:
        for name in explorer.block_names:
            size = explorer.sizes[f"r{r}"][name]
            assert size["hidden"] == recorded[f"r{r}"]["hidden"][name]
            assert size["weights"] == recorded[f"r{r}"]["se_weights_per_block"][name]
            assert size["weights"] == cost.se_parameters(block_of(explorer.found.tensors, r, name))


def test_mean_z_is_that_of_the_test_images(cifar10_test) -> None:
    """Of one class, on whatever copy of the images is here: copies differ a little."""
    images, labels = cifar10_test
    network = se.results.load_network("se_resnet18-quarter").eval()
    seen = []
    hook = se.models.se_blocks(network)["SE_4_2"].register_forward_pre_hook(lambda _, u: seen.append(se.squeeze(u[0])))
    with torch.no_grad():
        network(se.training.normalise(images[labels == 6][:300]))
    hook.remove()
    shipped = BlockExplorer(start="frog").z
    error = (seen[0].mean(0) - shipped).abs() / seen[0].std(0)
    assert error.max() < 0.35  # 300 of 1,000 images: standard error 0.06 of a deviation
    other = (seen[0].mean(0) - BlockExplorer(start="truck").z).abs() / seen[0].std(0)
    assert other.max() > 0.7


def test_chapter_02_says_what_is_there(explorer: BlockExplorer) -> None:
    """C = 64, r = 16: the moved channel's gate is hardly ever the one that moves most; nearly all move a little."""
    block, z = block_of(explorer.found.tensors, 16, "SE_4_2"), BlockExplorer().z
    jacobian = torch.autograd.functional.jacobian(lambda one: block.gates(one[None])[0], z)  # [gate, channel of z]
    assert (jacobian.abs().argmax(0) == torch.arange(64)).sum() <= 3
    with torch.no_grad():
        change = block.gates(z + 2 * torch.eye(64)) - block.gates(z[None])  # [moved channel, gate]
    assert ((change.abs() > 1e-3).float().mean(1) > 0.9).float().mean() > 0.9


def test_a_block_of_the_readers_own(node) -> None:
    torch.manual_seed(0)
    block = SEBlock(12, 3, bias=False)
    z = torch.randn(2, 12)
    explorer = BlockExplorer(block, {"one": z[0], "two": z[1]}, channel=5, moved={5: 0.5})
    assert explorer.sizes == {"r3": {"your block": {"channels": 12, "hidden": 4, "weights": 96}}}
    (answer,) = ask(node, explorer, [[3, "your block", "two", {"5": 0.5}, 5]])
    wanted = torch_says(block, BlockExplorer(block, z, start="z 1", moved={"5": 0.5}).z, 5)
    for key, value in wanted.items():
        assert np.abs(answer[key] - value).max() < 1e-5, key
    assert BlockExplorer(block, z[0]).starts == ["z 0"]


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("both a block and a z", lambda block: (block,)),
        (r"'z 0' is \[11\]; this block takes 12", lambda block: (block, torch.zeros(11))),
        ("finite", lambda block: (block, {"mine": torch.full((12,), torch.inf)})),
        ("no z to start from", lambda block: (block, {})),
        ("no z to start from", lambda block: (block, torch.tensor(1.0))),
        ("no z to start from", lambda block: (block, torch.zeros(1, 3, 12, 12))),
        ("sigmoid", lambda block: (SEBlock(12, 3, gate="tanh"), torch.zeros(12))),
    ],
)
def test_a_block_that_does_not_fit_says_why(message: str, arguments) -> None:
    with pytest.raises(ValueError, match=message):
        BlockExplorer(*arguments(SEBlock(12, 3)))


def test_traits_refuse_what_is_not_there(explorer: BlockExplorer) -> None:
    for name, value, message in (
        ("reduction", 3, "reduction is one of"),
        ("block_name", "SE_5_1", "block_name is one of"),
        ("start", "lynx", "start is one of"),
        ("channel", 64, "channels 0 to 63"),
        ("channel", -1, "channels 0 to 63"),
        ("moved", {"frog": 1.0}, "channels and numbers"),
        ("moved", {"3": float("nan")}, "channels and numbers"),
        ("moved", {"3": "up"}, "channels and numbers"),
    ):
        with pytest.raises(traitlets.TraitError, match=message):
            BlockExplorer(**{name: value})


def test_what_the_page_sends_is_taken_at_once() -> None:
    explorer = BlockExplorer(channel=60, moved={60: 1.0})
    explorer.set_state({"channel": 15, "moved": {"3": 0.25}, "block_name": "SE_2_2"})
    assert (explorer.block_name, explorer.channel, explorer.moved) == ("SE_2_2", 15, {"3": 0.25})
    moved = explorer.z - BlockExplorer(block_name="SE_2_2").z  # [16]
    assert moved[3] == pytest.approx(0.25) and moved.count_nonzero() == 1
    explorer.channel, explorer.block_name = 15, "SE_5_2"
    explorer.channel, explorer.block_name = 100, "SE_3_2"
    assert explorer.channel == 31  # the last that there is


def test_the_data_are_small(explorer: BlockExplorer) -> None:
    state = explorer.get_state()
    assert len(state.pop("data")) < 250_000
    assert len(json.dumps({k: v for k, v in state.items() if k != "layout"})) < 60_000


def test_repr_is_the_same_in_every_run() -> None:
    wanted = "BlockExplorer(reduction=16, block_name='SE_4_2', start='frog', channel=0, moved={})"
    assert repr(BlockExplorer()) == wanted


def test_damaged_or_missing_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"{NAME}.safetensors"
    with pytest.raises(results.AssetError, match=re.escape(str(path))):
        load_blocks(weights=path)
    shutil.copy(results.EXCITATIONS / path.name, path)
    assert load_blocks(weights=path).reductions == (2, 4, 8, 16)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    monkeypatch.setattr(results, "EXCITATIONS", tmp_path)
    with pytest.raises(results.AssetError, match="damaged"):
        BlockExplorer()
