"""Gate statistics against plain formulas, merging, recording and overriding."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import timm
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import senet_edu as se
from senet_edu.excitations import Excitations, GateStatistics, statistics_of
from senet_edu.excitations.statistics import BINS


def some_gates(n: int, channels: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    gates = torch.rand(n, channels, generator=generator, dtype=torch.float64)
    return (gates + labels[:, None] / classes) / 2, labels


@pytest.fixture(scope="module")
def network() -> se.models.ResNet:
    torch.manual_seed(0)
    return se.create_model("se_resnet18", width=1 / 16, min_hidden=2)


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    return se.shapes(60, seed=3)


@given(n=st.integers(1, 40), channels=st.integers(1, 5), classes=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_statistics_equal_the_plain_formulas(n: int, channels: int, classes: int, seed: int) -> None:
    gates, labels = some_gates(n, channels, classes, seed)
    found = statistics_of(gates, labels, classes, (0.0, 1.0))
    for k in range(classes):
        of_class = gates[labels == k]
        assert found.count[k] == len(of_class)
        if len(of_class):
            torch.testing.assert_close(found.mean[k], of_class.mean(0))
            torch.testing.assert_close(found.variance[k], of_class.var(0, correction=0), atol=1e-12, rtol=1e-6)
        else:
            assert found.mean[k].isnan().all()
    torch.testing.assert_close(found.total_mean, gates.mean(0))
    torch.testing.assert_close(found.movement(), gates.std(0, correction=0), atol=1e-9, rtol=1e-6)
    torch.testing.assert_close(found.distance(), (gates - 0.5).square().mean(0).sqrt())
    assert found.histogram.sum() == n * channels
    low, high = found.saturation(0.1, 0.9)
    torch.testing.assert_close(low, (gates < 0.1).double().mean(0))
    torch.testing.assert_close(high, (gates >= 0.9).double().mean(0))


@given(n=st.integers(2, 50), cut=st.integers(1, 49), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_merging_two_parts_is_seeing_all(n: int, cut: int, seed: int) -> None:
    cut = min(cut, n - 1)
    gates, labels = some_gates(n, 3, 4, seed)
    whole = statistics_of(gates, labels, 4, (0.0, 1.0))
    parts = [statistics_of(gates[i], labels[i], 4, (0.0, 1.0)) for i in (slice(cut), slice(cut, n))]
    for merged in (parts[0].merge(parts[1]), parts[1].merge(parts[0])):
        assert torch.equal(merged.count, whole.count)
        assert torch.equal(merged.histogram, whole.histogram)
        torch.testing.assert_close(merged.mean, whole.mean, equal_nan=True)
        torch.testing.assert_close(merged.squares, whole.squares, atol=1e-10, rtol=1e-8)


def test_variance_survives_a_large_mean() -> None:
    """The textbook formula E[s²] − E[s]² in float32 gives garbage here; merging deviations does not."""
    gates = 0.9 + 1e-5 * torch.randn(10_000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.zeros(10_000, dtype=torch.int64)
    merged = statistics_of(gates[:100], labels[:100], 1, (0.0, 1.0))
    for i in range(100, 10_000, 100):
        merged = merged.merge(statistics_of(gates[i : i + 100], labels[i : i + 100], 1, (0.0, 1.0)))
    torch.testing.assert_close(merged.variance[0], gates.var(0, correction=0), rtol=1e-6, atol=0)


def test_specificity_at_its_ends() -> None:
    labels = torch.arange(4).repeat(5)
    by_class = (labels / 4.0)[:, None].double()
    assert statistics_of(by_class, labels, 4, (0.0, 1.0)).specificity() == pytest.approx(1)
    same = torch.arange(20).div(4, rounding_mode="floor")[:, None] / 20.0  # each class has the same five values
    assert statistics_of(same, labels, 4, (0.0, 1.0)).specificity().item() == pytest.approx(0, abs=1e-12)
    constant = torch.full((20, 1), 0.3)
    assert statistics_of(constant, labels, 4, (0.0, 1.0)).specificity().item() == 0


def test_saturation_needs_an_edge() -> None:
    gates, labels = some_gates(9, 1, 2, 0)
    with pytest.raises(ValueError, match="0.07"):
        statistics_of(gates, labels, 2, (0.0, 1.0)).saturation(0.07, 0.9)


@pytest.mark.parametrize("batch_size", [7, 60])
def test_recording_equals_the_gates_computed_by_hand(network, images, batch_size: int) -> None:
    x, y = images
    found = se.record_excitations(
        network, x, y, classes=se.data.SHAPES_CLASSES, sample=[5, 0, 5], batch_size=batch_size, precision="no", cpu=True
    )
    assert list(found) == [f"SE_{stage}_{block}" for stage in (2, 3, 4, 5) for block in (1, 2)]
    network.eval()
    seen: dict[str, torch.Tensor] = {}

    def hook(name):
        def put(block, inputs):
            w = block.fc1.weight, block.fc2.weight, block.fc1.bias, block.fc2.bias
            seen[name] = se.excite(se.squeeze(inputs[0]), *w)

        return put

    handles = [b.register_forward_pre_hook(hook(n)) for n, b in se.models.se_blocks(network).items()]
    with torch.no_grad():
        network(se.training.normalise(x))
    for handle in handles:
        handle.remove()
    for name, gates in found.items():
        reference = statistics_of(seen[name], y, 10, (0.0, 1.0))
        torch.testing.assert_close(gates.mean, reference.mean, atol=1e-5, rtol=1e-4, equal_nan=True)
        torch.testing.assert_close(gates.sample, seen[name][[5, 0, 5]], atol=1e-5, rtol=1e-4)


def test_recording_leaves_no_hooks_and_the_mode(network, images) -> None:
    network.train()
    se.record_excitations(network, *images, classes=se.data.SHAPES_CLASSES, cpu=True)
    assert network.training
    assert all(not b.gate._forward_hooks for b in se.models.se_blocks(network).values())


@pytest.mark.parametrize(("squeeze", "gate"), [("none", "sigmoid"), ("max", "tanh"), ("avg", "relu")])
def test_every_variant_can_be_recorded(images, squeeze: str, gate: str) -> None:
    model = se.create_model("se_resnet18", width=1 / 16, squeeze=squeeze, gate=gate)
    found = se.record_excitations(model, images[0][:8], images[1][:8], classes=se.data.SHAPES_CLASSES, cpu=True)
    assert all(gates.histogram.sum() == 8 * gates.mean.shape[1] for gates in found.values())
    if gate == "tanh":
        assert found["SE_2_1"].span.tolist() == [-1, 1]


@pytest.mark.parametrize("squeeze", ["avg", "max"])
def test_controls_are_z_and_what_an_untrained_block_makes_of_it(squeeze, images) -> None:
    x, y = images
    torch.manual_seed(0)
    network = se.create_model("se_resnet18", width=1 / 16, min_hidden=2, squeeze=squeeze)
    blocks = se.models.se_blocks(network)
    pool = se.squeeze if squeeze == "avg" else lambda u: u.amax(dim=(2, 3))
    caught: dict[str, torch.Tensor] = {}

    def catch(name):
        return lambda _block, inputs: caught.update({name: pool(inputs[0])})

    handles = [block.register_forward_pre_hook(catch(name)) for name, block in blocks.items()]
    network.eval()
    with torch.no_grad():
        network(se.training.normalise(x))
    for handle in handles:
        handle.remove()

    state = torch.get_rng_state()
    z, untrained = se.excitations.record_controls(
        network, x, y, classes=se.data.SHAPES_CLASSES, seed=1, precision="no", cpu=True
    )
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(1)
    for name, block in blocks.items():
        fresh = copy.deepcopy(block)
        fresh.reset_parameters()
        s = se.excite(caught[name], fresh.fc1.weight, fresh.fc2.weight).detach()
        torch.testing.assert_close(z[name].total_mean, caught[name].double().mean(0), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(untrained[name].movement(), s.double().std(0, correction=0), atol=1e-5, rtol=1e-3)
        assert not block._forward_pre_hooks


def test_two_parts_of_the_images_merge_to_all(network, images) -> None:
    x, y = images
    record = lambda i: se.record_excitations(  # noqa: E731
        network, x[i], y[i], classes=se.data.SHAPES_CLASSES, sample=[0], precision="no", cpu=True
    )
    whole, one, other = record(slice(None)), record(slice(25)), record(slice(25, None))
    for name in whole:
        merged = one[name].merge(other[name])
        torch.testing.assert_close(merged.mean, whole[name].mean, equal_nan=True, atol=1e-6, rtol=1e-5)
        assert torch.equal(merged.count, whole[name].count)
        assert torch.equal(merged.sample, torch.cat([one[name].sample, other[name].sample]))
        assert not torch.equal(one["SE_2_1"].sample, other["SE_2_1"].sample)


def test_a_compiled_network_is_refused(network, images) -> None:
    """Its code does not call hooks: it would have no gates, or keep its own in place of others."""
    x, y = images[0][:4], images[1][:4]
    wrapped = torch.compile(network, backend="eager")
    in_place = copy.deepcopy(network)
    in_place.compile(backend="eager")
    for compiled in (wrapped, in_place):
        with pytest.raises(ValueError, match="was compiled"):
            se.record_excitations(compiled, x, y)
        with pytest.raises(ValueError, match="was compiled"), se.override_gates(compiled, {"SE_2_1": 1.0}):
            pass
    selective = torch.compile(se.create_model("sk_resnet18", width=1 / 8), backend="eager")
    with pytest.raises(ValueError, match="was compiled"):
        se.record_attention(selective, x, y)


def test_gates_that_are_no_numbers_are_said(network, images) -> None:
    """A network that diverged must not look like one whose gates are shut."""
    x, y = images
    diverged = copy.deepcopy(network)
    torch.nn.init.constant_(se.models.se_blocks(diverged)["SE_4_1"].fc2.bias, float("nan"))
    with pytest.raises(ValueError, match="SE_4_1 are not numbers"):
        se.record_excitations(diverged, x, y, classes=se.data.SHAPES_CLASSES, batch_size=25, cpu=True)


def test_controls_do_not_see_gates_put_in_place(network, images) -> None:
    x, y = images
    with se.override_gates(network, {"SE_5_1": 1.0}):
        _, untrained = se.excitations.record_controls(network, x, y, precision="no", cpu=True)
    assert untrained["SE_5_1"].total_mean.mean() < 0.9


@pytest.mark.parametrize("gates", [torch.ones(3), lambda s: s[:1, :3]])
def test_gates_of_another_shape_name_the_block(network, images, gates) -> None:
    message = r"do not fit SE_2_1, whose own are \(2, 4\)"
    with se.override_gates(network, {"SE_2_1": gates}), pytest.raises(ValueError, match=message):
        network(se.training.normalise(images[0][:2]))


def test_a_function_may_give_a_number(network, images) -> None:
    network.eval()
    x = se.training.normalise(images[0][:2])
    with torch.no_grad(), se.override_gates(network, {"SE_2_1": lambda s: 1.0}):
        by_function = network(x)
    with torch.no_grad(), se.override_gates(network, {"SE_2_1": 1.0}):
        assert torch.equal(by_function, network(x))


def test_two_networks_in_one_are_refused(network) -> None:
    both = torch.nn.ModuleList([network, copy.deepcopy(network)])
    with pytest.raises(ValueError, match="two blocks are called SE_2_1"):
        se.models.se_blocks(both)


def test_saving_keeps_everything(network, images, tmp_path) -> None:
    found = se.record_excitations(network, *images, classes=se.data.SHAPES_CLASSES, sample=[1, 2], cpu=True)
    found.save(tmp_path / "gates.safetensors")
    again = Excitations.load(tmp_path / "gates.safetensors")
    assert again.classes == found.classes
    assert list(again) == list(found)
    for name in found:
        assert torch.equal(again[name].histogram, found[name].histogram)
        torch.testing.assert_close(again[name].mean, found[name].mean, atol=1e-6, rtol=1e-6, equal_nan=True)
        torch.testing.assert_close(again[name].squares, found[name].squares, atol=1e-6, rtol=1e-5)
        assert torch.equal(again[name].sample, found[name].sample)


def test_summary_has_a_row_a_block(network, images) -> None:
    rows = se.record_excitations(network, *images, classes=se.data.SHAPES_CLASSES, cpu=True).summary()
    assert [row["block"] for row in rows] == list(se.models.se_blocks(network))
    assert [row["channels"] for row in rows] == [4, 4, 8, 8, 16, 16, 32, 32]


@pytest.mark.parametrize(
    ("n", "labels", "message"),
    [(0, [], "0 images"), (2, [0], "2 images and 1 labels"), (2, [0, 10], "up to 10"), (2, [-1, 0], "least is -1")],
)
def test_bad_labels_are_refused(network, n: int, labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        se.record_excitations(
            network, torch.zeros(n, 3, 32, 32, dtype=torch.uint8), torch.tensor(labels, dtype=torch.int64),
            classes=se.data.SHAPES_CLASSES,
        )  # fmt: skip


def test_a_sample_may_be_a_mask(network, images) -> None:
    mask = images[1] == 3
    found = se.record_excitations(network, *images, sample=mask, cpu=True)
    by_index = se.record_excitations(network, *images, sample=mask.nonzero()[:, 0], cpu=True)
    assert len(found["SE_2_1"].sample) == mask.sum() > 0
    assert torch.equal(found["SE_2_1"].sample, by_index["SE_2_1"].sample)


def test_a_mask_of_another_length_is_refused(network, images) -> None:
    with pytest.raises(ValueError, match=r"a mask of \[3\] for 60 images"):
        se.record_excitations(network, *images, sample=torch.ones(3, dtype=torch.bool), cpu=True)


def test_a_block_that_is_called_twice_is_refused(network, images) -> None:
    """Its second call would be filed under the next images."""
    twice = torch.nn.Sequential(network, torch.nn.Linear(10, 10))
    twice.register_forward_hook(lambda module, inputs, logits: logits + module[0](*inputs))
    with pytest.raises(ValueError, match="SE_2_1 computes gates more than once"):
        se.record_excitations(twice, *images, batch_size=20, cpu=True)


@pytest.mark.parametrize("sample", [[-1], [60]])
def test_a_sample_beyond_the_images_is_refused(network, images, sample: list[int]) -> None:
    with pytest.raises(ValueError, match="beyond the 60 images"):
        se.record_excitations(network, *images, classes=se.data.SHAPES_CLASSES, sample=sample, cpu=True)


def test_low_precision_gates_are_summed_in_float64() -> None:
    found = statistics_of(torch.rand(9, 3).bfloat16(), torch.zeros(9, dtype=torch.int64), 1, (0.0, 1.0))
    assert found.mean.dtype == found.squares.dtype == found.movement().dtype == torch.float64


def test_override_of_a_gate_a_position(images) -> None:
    """NoSqueeze: a value a channel holds at every position, also where C equals the width of the map."""
    model = se.create_model("se_resnet18", width=0.5, squeeze="none")
    wanted = torch.linspace(0, 1, 32)
    x, y = images[0][:2], images[1][:2]
    with se.override_gates(model, {"SE_2_1": wanted}):
        found = se.record_excitations(
            model, x, y, classes=se.data.SHAPES_CLASSES, sample=[0, 1], precision="no", cpu=True
        )
    torch.testing.assert_close(found["SE_2_1"].sample, wanted.expand(2, 32))


# Networks with SE of their library's own; in each the path of one block, the layer before its gates, and their function
STOCK = [
    (torchvision.models.mobilenet_v3_small, "features.4.block.2", "fc2", torch.nn.functional.hardsigmoid),
    (partial(timm.create_model, "seresnet18"), "layer2.1.se", "fc2", torch.sigmoid),
    (partial(timm.create_model, "legacy_seresnet18"), "layer2.1.se_module", "fc2", torch.sigmoid),
    (partial(timm.create_model, "efficientnet_b0"), "blocks.1.1.se", "conv_expand", torch.sigmoid),
    (
        partial(timm.create_model, "ese_vovnet19b_slim_dw"),
        "stages.1.blocks.0.attn",
        "fc",
        torch.nn.functional.hardsigmoid,
    ),
]


@pytest.mark.parametrize(("make", "path", "last", "gate"), STOCK)
def test_gates_of_other_libraries_blocks(images, make, path: str, last: str, gate) -> None:
    """Recorded as they are computed, and replaced; parts that are ours alone say so."""
    torch.manual_seed(0)
    network = make(num_classes=10)
    x, y = images[0][:6], images[1][:6]
    name = "SE_" + path.replace(".", "_")
    logits: list[torch.Tensor] = []
    handle = network.get_submodule(f"{path}.{last}").register_forward_hook(lambda _m, _i, out: logits.append(out))
    options = {"classes": se.data.SHAPES_CLASSES, "sample": range(6), "precision": "no", "cpu": True}
    found = se.record_excitations(network, x, y, **options)
    handle.remove()
    torch.testing.assert_close(found[name].sample, gate(logits[0]).flatten(1))
    assert len(found) == sum("Squeeze" in type(m).__name__ or "SEModule" in type(m).__name__ for m in network.modules())

    wanted = torch.linspace(0, 1, found[name].mean.shape[1])
    with se.override_gates(network, {name: wanted}):
        assert torch.equal(se.record_excitations(network, x, y, **options)[name].sample, wanted.expand(6, -1))
    with pytest.raises(ValueError, match="is another library's"):
        se.excitations.record_controls(network, x, y, classes=se.data.SHAPES_CLASSES)


def test_a_plain_network_has_no_gates(images) -> None:
    with pytest.raises(ValueError, match="no gates"):
        se.record_excitations(se.create_model("resnet18", width=1 / 16), *images)


def test_blocks_that_cannot_be_told_apart_are_refused(images) -> None:
    """Left out in silence, they would be missing from every figure."""
    mine = nn.Sequential(nn.Conv2d(3, 4, 1), se.SEBlock(4, 2), se.SEBlock(4, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    mine[1].name = "SE_2_1"
    with pytest.raises(ValueError, match="SE blocks without a name: 1"):
        se.record_excitations(mine, *images)
    block = torchvision.ops.SqueezeExcitation(4, 2)
    theirs = nn.ModuleDict({"a": nn.ModuleDict({"b_c": block}), "a_b": nn.ModuleDict({"c": copy.deepcopy(block)})})
    with pytest.raises(ValueError, match="two places are both called SE_a_b_c"):
        se.record_excitations(theirs, *images)
    del block.scale_activation
    with pytest.raises(ValueError, match="a.b_c, a SqueezeExcitation, has no part"):
        se.record_excitations(theirs, *images)


def test_override_with_number_tensor_and_function(network, images) -> None:
    x, y = images[0][:4], images[1][:4]
    wanted = torch.linspace(0, 1, 32)
    overrides = {"SE_2_1": 0.25, "SE_5_2": wanted, "SE_3_1": lambda s: s.flip(0)}
    own = se.record_excitations(
        network, x, y, classes=se.data.SHAPES_CLASSES, sample=range(4), precision="no", cpu=True
    )
    with se.override_gates(network, {"SE_3_1": overrides["SE_3_1"]}):
        flipped = se.record_excitations(
            network, x, y, classes=se.data.SHAPES_CLASSES, sample=range(4), precision="no", cpu=True
        )
    torch.testing.assert_close(flipped["SE_3_1"].sample, own["SE_3_1"].sample.flip(0))
    with se.override_gates(network, overrides):
        found = se.record_excitations(
            network, x, y, classes=se.data.SHAPES_CLASSES, sample=range(4), precision="no", cpu=True
        )
    assert (found["SE_2_1"].sample == 0.25).all()
    assert torch.equal(found["SE_5_2"].sample, wanted.expand(4, 32))


def test_override_ends_with_the_with_even_after_an_error(network, images) -> None:
    x = se.training.normalise(images[0][:2])
    network.eval()
    with torch.no_grad():
        before = network(x)
        with pytest.raises(RuntimeError, match="inside"), se.override_gates(network, {"SE_2_1": 0.0}):
            assert not torch.equal(network(x), before)
            raise RuntimeError("inside")
        assert torch.equal(network(x), before)


def test_override_names_what_there_is(network) -> None:
    with pytest.raises(ValueError, match=r"SE_5_3.*there are SE_2_1"), se.override_gates(network, {"SE_5_3": 1.0}):
        pass


def test_gates_of_one_are_the_plain_network_bit_for_bit(images) -> None:
    model = se.create_model("se_resnet18", width=1 / 8).double().eval()
    plain = se.create_model("resnet18", width=1 / 8).double().eval()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if ".se." not in k})
    x = se.training.normalise(images[0][:3]).double()
    with torch.no_grad(), se.override_gates(model, dict.fromkeys(se.models.se_blocks(model), 1.0)):
        assert torch.equal(model(x), plain(x))


def test_histogram_bins_are_where_they_say() -> None:
    gates = torch.tensor([[0.0], [0.049], [0.05], [0.95], [1.0]], dtype=torch.float64)
    found = statistics_of(gates, torch.zeros(5, dtype=torch.int64), 1, (0.0, 1.0))
    assert found.histogram[0, 0].tolist() == [2, 1] + [0] * (BINS - 3) + [2]
    assert isinstance(found, GateStatistics)
