"""The explorer of other gates: the page computes as PyTorch does with `override_gates` on the same rounded weights."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
import traitlets

import senet_edu as se
from senet_edu.models import se_blocks
from senet_edu.training import normalise
from senet_edu.widgets import WhatIfExplorer
from senet_edu.widgets.explorer import module, read
from senet_edu.widgets.what_if import GATES, NAME, folded, rounded

BLOCKS = [f"SE_{stage}_{i}" for stage in (2, 3, 4, 5) for i in (1, 2)]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Two drawn worlds, and the corners of what pixels can be: noise, black, white."""
    noise = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    flat = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 32, 32)
    return torch.cat([se.shapes(2, seed=0)[0], noise, flat])


@pytest.fixture
def explorer(images: torch.Tensor) -> WhatIfExplorer:
    return WhatIfExplorer(images, ["one", "two", "noise", "black", "white"])


@pytest.fixture(scope="module")
def trained() -> torch.nn.Module:
    return se.results.load_network(NAME).eval()


# The weights


def test_folding_changes_nothing(trained, images: torch.Tensor) -> None:
    x = normalise(images)
    with torch.no_grad():
        assert torch.allclose(folded(trained)(x), trained(x), rtol=0, atol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded(trained).modules())
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in trained.modules())  # the network given is left alone


def test_rounding_is_to_the_nearest_of_255_steps(trained) -> None:
    network, data = rounded(trained)
    before, at = dict(folded(trained).named_modules()), 0
    for name, layer in network.named_modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            n, count = len(layer.weight), layer.weight.numel()
            scale, bias = np.frombuffer(data, "<f4", 2 * n, at).reshape(2, n)
            steps = np.frombuffer(data, np.int8, count, at + 8 * n).reshape(layer.weight.shape).astype(np.float32)
            assert np.abs(steps).reshape(n, -1).max(1).tolist() == [127] * n
            sent = steps * scale.reshape(-1, *[1] * (steps.ndim - 1))
            assert np.array_equal(sent, layer.weight.numpy())
            assert np.array_equal(bias, layer.bias.numpy())
            off = (before[name].weight - layer.weight).detach().abs().flatten(1).amax(1).numpy()
            assert (off <= 0.501 * scale).all()
            at += 8 * n + count
    assert at == len(data) < 2_000_000


def test_rounding_costs_little(trained, cifar10_test) -> None:
    images, labels = cifar10_test
    few = se.data.balanced_subset(labels, 40, seed=0)
    network, _ = rounded(trained)
    with torch.no_grad():
        own, ours = (net(normalise(images[few])) for net in (trained, network))
    assert (own.argmax(1) != ours.argmax(1)).float().mean() < 0.01
    assert (own - ours).abs().max() < 0.2


def test_a_page_can_hold_it(explorer: WhatIfExplorer) -> None:
    """In base64 with all the rest, the JavaScript twice among it, far below 4 MB."""
    state = explorer.get_state()
    sent = [state.pop(name) for name, value in list(state.items()) if isinstance(value, bytes | memoryview)]
    assert sum(map(len, sent)) < 800_000
    assert len(json.dumps({k: v for k, v in state.items() if k != "layout"})) < 60_000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "resnet18"}, "SE block a unit"),
        ({"name": "se_resnet50"}, "two 3×3 convolutions"),
        ({"name": "se_resnet18", "stages": (2, 3)}, "SE block a unit"),
        ({"name": "se_resnet18", "placement": "pre"}, "standard place"),
        ({"name": "se_resnet18", "squeeze": "max"}, "average pooling"),
        ({"name": "se_resnet18", "stem": "imagenet"}, "stem for CIFAR-10 only"),
        ({"name": "se_resnet18", "gate": "tanh", "min_hidden": 2}, "sigmoid only"),
    ],
)
def test_networks_that_the_page_would_compute_wrongly_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        folded(se.create_model(width=0.25, **settings))


# What is set from Python


def test_override_says_what_override_gates_takes(explorer: WhatIfExplorer) -> None:
    """For each choice the gates that the block then has, picture by picture and by another way."""
    explorer.picture, explorer.other, explorer.block, explorer.channel, explorer.value = 0, 2, "SE_4_1", 500, 0.25
    own, other = (explorer.own_gates(i)["SE_4_1"] for i in (0, 2))
    moved = own.clone()
    moved[-1] = 0.25  # channel 500 is the last of the 64
    wanted = {
        "as computed": own,
        "all 1": torch.ones(64),
        "all 0.5": torch.full((64,), 0.5),
        "mean over images": se.results.load_excitations(NAME)["SE_4_1"].total_mean.float(),
        "of another picture": other,
        "one channel moved": moved,
    }
    assert set(wanted) == set(GATES)
    seen: list[torch.Tensor] = []
    image = normalise(explorer._images[:1])
    for gates, expected in wanted.items():
        explorer.gates = gates
        with torch.no_grad(), se.override_gates(explorer.network, explorer.override()):
            hook = se_blocks(explorer.network)["SE_4_1"].gate.register_forward_hook(lambda _m, _i, s: seen.append(s[0]))
            explorer.network(image)
            hook.remove()
        assert torch.allclose(seen.pop(), expected, rtol=0, atol=1e-6), gates
    explorer.gates = "as computed"
    before, after = explorer.logits()
    assert torch.equal(before, after)


def test_traits_and_images_that_do_not_fit_are_refused(explorer: WhatIfExplorer, images: torch.Tensor) -> None:
    for trait, value, message in (
        ("picture", 5, "from 0 to 4, not 5"),
        ("other", -1, "from 0 to 4, not -1"),
        ("block", "SE_6_1", "block is one of"),
        ("gates", "all 2", "gates"),
        ("value", 1.5, "value"),
        ("channel", -1, "channel"),
    ):
        before = getattr(explorer, trait)
        with pytest.raises(traitlets.TraitError, match=message):
            setattr(explorer, trait, value)
        assert getattr(explorer, trait) == before
    for wrong in (images.float(), images[0], images[:, :1], images[:0], images.repeat(5, 1, 1, 1), images[..., :28]):
        with pytest.raises(ValueError, match=r"takes uint8 images \[n, 3, 32, 32\] with n from 1 to 20"):
            WhatIfExplorer(wrong, ["x"] * len(wrong))
    with pytest.raises(ValueError, match="5 images and 4 names"):
        WhatIfExplorer(images, ["a", "b", "c", "d"])
    with pytest.raises(se.results.AssetError, match="no record 'unheard-of'"):
        WhatIfExplorer(images, ["x"] * 5, "unheard-of")
    assert WhatIfExplorer(images[:1], ["alone"]).other == 0


def test_repr_is_the_same_in_every_run(explorer: WhatIfExplorer) -> None:
    assert repr(explorer) == ("WhatIfExplorer(picture=0, block='SE_5_2', gates='all 1', other=1, channel=0, value=1.0)")


# The JavaScript


ASK = """
    const { session, unpackNetwork } = await import("$AT/network.mjs");
    const { replaced } = await import("$AT/what_if.mjs");
    const spare = 3; // the bytes begin at any place, as they do in a message
    const bytes = new Uint8Array(given.weights.length + spare);
    bytes.set(given.weights, spare);
    const network = unpackNetwork(new DataView(bytes.buffer, spare), given.layers, given.units);
    const ask = session(network, given.norm);
    const blocks = given.units.map(([block]) => block);
    const look = (i) => ask({ key: i, pixels: Uint8Array.from(given.pictures[i]), block: 0, gates: null });
    result = given.asked.map(({ picture, block, gates, other, channel, value, mean }) => {
        const i = blocks.indexOf(block);
        const own = look(picture).own[i];
        const used = replaced(gates, own, { mean, other: look(other).own[i], channel, value });
        const pixels = Uint8Array.from(given.pictures[picture]);
        const { before, after } = ask({ key: picture, pixels, block: i, gates: used });
        return [own, before, after].map((values) => [...values]);
    });
"""


def test_the_page_computes_what_pytorch_does(node, explorer: WhatIfExplorer, images: torch.Tensor) -> None:
    """Every block with every choice; pictures go round. 1e-3 is promised, ten times closer is held."""
    names = ("picture", "block", "gates", "other", "channel", "value")
    settings = [(k % 5, BLOCKS[k % 8], GATES[k // 8], (k + 2) % 5, 3 * k % 16, k / 48) for k in range(48)]
    asked = [
        dict(zip(names, setting, strict=True)) | {"mean": explorer._means[setting[1]].tolist()} for setting in settings
    ]
    given = {
        "weights": list(explorer.weights),
        "layers": explorer.layers,
        "units": explorer.units,
        "norm": explorer.pixels,
        "pictures": images.flatten(1).tolist(),
        "asked": asked,
    }
    for setting, (own, before, after) in zip(settings, node(ASK, given), strict=True):
        for name, value in zip(names, setting, strict=True):
            setattr(explorer, name, value)
        wanted, changed = explorer.logits()
        gates = explorer.own_gates(explorer.picture)[explorer.block]
        assert torch.allclose(torch.tensor(own), gates, rtol=0, atol=1e-5), setting
        assert torch.allclose(torch.tensor(before), wanted, rtol=0, atol=1e-4), setting
        assert torch.allclose(torch.tensor(after), changed, rtol=0, atol=1e-4), setting
        if explorer.gates not in ("as computed", "one channel moved"):  # one channel may hardly matter
            assert (changed - wanted).abs().max() > 1e-2, setting


@pytest.mark.parametrize("name", ["what_if.mjs", "price.mjs"])
def test_one_text_with_one_export(node, name: str) -> None:
    text = "data:text/javascript,' + encodeURIComponent(given)"
    code = f"const all = await import('{text}); result = [Object.keys(all), typeof all.default.render];"
    assert node(code, module(name)) == [["default"], "function"]


def test_the_worker_is_a_script_that_answers_as_the_session_does(node, explorer: WhatIfExplorer) -> None:
    """Its text is no module: workers from a text are scripts, and it needs nothing of the page."""
    code = """
        const { session, unpackNetwork } = await import("$AT/network.mjs");
        const { default: vm } = await import("node:vm");
        const heard = [];
        const self = { postMessage: (message) => heard.push(message) };
        vm.runInNewContext(given.worker, { self, performance, Float32Array, Int8Array, Uint8Array, Map, Math });
        const bytes = new DataView(Uint8Array.from(given.weights).buffer);
        const gates = new Float32Array(32).fill(0.5);
        const question = { key: 0, pixels: Uint8Array.from(given.pixels), block: 3, gates };
        self.onmessage({ data: { bytes, layers: given.layers, units: given.units, ...given.norm } });
        self.onmessage({ data: { id: 7, ...question } });
        const here = session(unpackNetwork(bytes, given.layers, given.units), given.norm)(question);
        result = [heard.length, heard[0].id, [...heard[0].after], [...here.after]];
    """
    given = {name: getattr(explorer, name) for name in ("worker", "layers", "units")}
    pixels = list(explorer.pictures[: 3 * 32 * 32])
    answers, number, after, here = node(
        code, given | {"weights": list(explorer.weights), "norm": explorer.pixels, "pixels": pixels}
    )
    assert (answers, number) == (1, 7)
    assert after == here
    assert "import" not in given["worker"].replace("// ", "") and "export" not in given["worker"]


def test_python_and_the_page_have_the_same_choices(node) -> None:
    assert node('result = (await import("$AT/what_if.mjs")).GATES;', None) == list(GATES)
    assert "performance.now" in read("network.mjs")
