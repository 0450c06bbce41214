"""The recipe, the plan of an epoch, the loop on a tiny set, evaluation, and the choice of precision."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from senet_edu.blocks import SEBlock
from senet_edu.data import CIFAR10_MEAN, CIFAR10_STD
from senet_edu.models import create_model
from senet_edu.selective import SKConv
from senet_edu.training import (
    CheckpointError,
    EpochPlan,
    Recipe,
    TrainingError,
    best_precision,
    describe,
    evaluate,
    fit,
    learning_rate,
    loop,
    normalise,
    parameter_groups,
    predict,
    speed,
)
from senet_edu.training import machine as machine_module
from senet_edu.training.loop import start
from senet_edu.training.recipe import blank, move
from senet_edu.training.session import progress_bar

few = settings(max_examples=60, deadline=None)
on_cpu = {"cpu": True, "precision": "no", "progress": False}

recipes = st.builds(
    Recipe,
    peak_rate=st.floats(1e-3, 10),
    warmup=st.floats(0.02, 0.95),
    schedule=st.sampled_from(["one-cycle", "triangular"]),
)


def network(classes: int = 2, channels: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        SEBlock(8, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, classes),
    )


def bright_or_dark(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    images = torch.randint(0, 100, (n, 3, 8, 8), generator=generator) + 120 * labels[:, None, None, None]
    return images.to(torch.uint8), labels


# Learning rate


@few
@given(recipes)
def test_learning_rate_at_start_peak_and_end(recipe):
    assert learning_rate(recipe, 0.0) == pytest.approx(0.1 * recipe.peak_rate)
    assert learning_rate(recipe, recipe.warmup) == pytest.approx(recipe.peak_rate)
    assert learning_rate(recipe, 1.0) == pytest.approx(0.0, abs=1e-12)


@few
@given(recipes)
def test_learning_rate_rises_then_falls_without_a_jump(recipe):
    progress = np.linspace(0, 1, 2001)
    rates = np.array([learning_rate(recipe, p) for p in progress])
    steps = np.diff(rates)
    before = progress[1:] <= recipe.warmup
    after = progress[:-1] >= recipe.warmup
    assert (steps[before] > -1e-12).all()
    assert (steps[after] < 1e-12).all()
    steepest = math.pi / 2 * recipe.peak_rate / min(recipe.warmup, 1 - recipe.warmup)
    assert np.abs(steps).max() <= steepest * (progress[1] - progress[0]) * 1.01
    assert (rates >= 0).all()
    assert (rates <= recipe.peak_rate * (1 + 1e-12)).all()


def test_learning_rate_between():
    line = Recipe(peak_rate=2.0, warmup=0.2, schedule="triangular")
    assert [learning_rate(line, p) for p in (0.1, 0.6, 0.8)] == pytest.approx([1.1, 1.0, 0.5])
    cosine = dataclasses.replace(line, schedule="one-cycle")
    assert learning_rate(cosine, 0.6) == pytest.approx(1.0)
    assert learning_rate(cosine, 0.8) == pytest.approx(2 * (1 - math.cos(math.pi / 4)) / 2)
    assert learning_rate(cosine, 0.1) == pytest.approx(1.1)


@pytest.mark.parametrize("schedule", ["one-cycle", "triangular"])
@pytest.mark.parametrize(("warmup", "start", "end"), [(0.0, 1.0, 0.0), (1.0, 0.1, 1.0)])
def test_learning_rate_that_only_falls_or_rises(schedule, warmup, start, end):
    recipe = Recipe(peak_rate=1.0, warmup=warmup, schedule=schedule)
    assert learning_rate(recipe, 0.0) == pytest.approx(start)
    assert learning_rate(recipe, 1.0) == pytest.approx(end)


# Weight decay


def test_se_layers_are_a_group_without_decay():
    model = create_model("se_resnet18", width=0.0625)
    weights, gains, se = parameter_groups(model, Recipe())
    assert (weights["weight_decay"], gains["weight_decay"], se["weight_decay"]) == (5e-4, 0.0, 0.0)
    inside = {id(p) for key, p in model.named_parameters() if ".se." in key}
    assert {id(p) for p in se["params"]} == inside
    assert len(se["params"]) == 8 * 4
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {id(p) for p in gains["params"]} == {id(p) for m in norms for p in m.parameters()} | {id(model.fc.bias)}
    every = [id(p) for p in weights["params"] + gains["params"] + se["params"]]
    assert len(every) == len(set(every))
    assert set(every) == {id(p) for p in model.parameters()}


def test_a_single_number_is_trained_without_decay():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.net, self.config = nn.Parameter(torch.tensor(1.0)), network(), types.SimpleNamespace(n=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.scale * self.net(x)

    model = Scaled()
    assert any(p is model.scale for p in parameter_groups(model, Recipe())[1]["params"])
    fit(model, *bright_or_dark(16), Recipe(epochs=1, batch_size=8), **on_cpu)  # whatever its `config` is
    assert model.scale != 1


def test_se_layers_of_other_libraries_are_in_the_group_without_decay():
    model = create_model("mobilenet_v3_small")
    *_, se = parameter_groups(model, Recipe())
    theirs = [m for m in model.modules() if isinstance(m, SqueezeExcitation)]
    assert len(theirs) == 9
    assert {id(p) for p in se["params"]} == {id(p) for block in theirs for p in block.parameters()}
    assert se["weight_decay"] == 0


def test_the_layers_of_selective_kernels_are_in_the_group_without_decay():
    model = create_model("sk_resnet18", width=1 / 8)
    *_, gates = parameter_groups(model, Recipe())
    convolutions = [m for m in model.modules() if isinstance(m, SKConv)]
    assert len(convolutions) == 8
    assert {id(p) for p in gates["params"]} == {id(m.weight) for sk in convolutions for m in (sk.fc1, sk.fc2)}
    assert gates["weight_decay"] == 0
    summed = SKConv(8, groups=2, attention=False)  # no attention: nothing to spare
    assert [group["weight_decay"] for group in parameter_groups(summed, Recipe())] == [5e-4, 0.0]


def test_decay_and_rate_of_the_se_layers_can_be_set():
    groups = parameter_groups(network(), Recipe(weight_decay=0.1, se_weight_decay=0.2, se_rate=3.0))
    assert [g["weight_decay"] for g in groups] == [0.1, 0.0, 0.2]
    assert [g["multiple"] for g in groups] == [1.0, 1.0, 3.0]


def test_decay_can_include_gains_and_biases():
    groups = parameter_groups(network(), Recipe(weight_decay=0.1, decay_norms=True))
    assert [g["weight_decay"] for g in groups] == [0.1, 0.1, 0.0]


def test_the_multiple_reaches_the_optimiser():
    """With a rate of zero for them the SE block (module 3) stays where it began; all else moves."""
    model = network()
    before = {key: value.clone() for key, value in model.named_parameters()}
    images, labels = torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8), torch.arange(16) % 2
    fit(model, images, labels, Recipe(epochs=1, batch_size=8, se_rate=0.0), **on_cpu)
    still = {key for key, value in model.named_parameters() if torch.equal(value, before[key])}
    still.discard("0.bias")  # BN takes it out again: its gradient is rounding, and may be zero
    assert still == {key for key in before if key.startswith("3.")}


def test_a_plain_network_has_no_group_of_se_layers():
    model = create_model("resnet18", width=0.0625)
    groups = parameter_groups(model, Recipe())
    assert len(groups) == 2
    assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in model.parameters()}
    assert len(parameter_groups(SEBlock(8, 2), Recipe())) == 1


# The plan of an epoch


def same(a: EpochPlan, b: EpochPlan) -> bool:
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(EpochPlan))


@few
@given(st.integers(1, 200), st.integers(0, 2**31), st.integers(0, 1000))
def test_plan_is_drawn_from_seed_and_epoch_alone(n, seed, epoch):
    recipe = Recipe()
    first = EpochPlan.draw(n, (32, 32), recipe, seed, epoch)
    torch.rand(3)  # moves the global generator
    state = torch.get_rng_state()
    assert same(first, EpochPlan.draw(n, (32, 32), recipe, seed, epoch))
    assert torch.equal(state, torch.get_rng_state())
    assert first.order.sort().values.tolist() == list(range(n))
    if n >= 50:
        assert not torch.equal(first.order, EpochPlan.draw(n, (32, 32), recipe, seed, epoch + 1).order)
        assert not torch.equal(first.order, EpochPlan.draw(n, (32, 32), recipe, seed + 1, epoch).order)


def test_plan_draws_all_of_its_range():
    plan = EpochPlan.draw(20_000, (5, 9), Recipe(translate=2), seed=0, epoch=0)
    assert plan.mirrored.float().mean().item() == pytest.approx(0.5, abs=0.02)
    for column in plan.shift.unbind(1):
        assert column.unique().tolist() == [-2, -1, 0, 1, 2]
        assert (column == 0).float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert plan.hole[:, 0].unique().tolist() == list(range(5))
    assert plan.hole[:, 1].unique().tolist() == list(range(9))
    assert abs(torch.corrcoef(plan.shift.T.double())[0, 1]) < 0.05  # down and right are drawn apart


def test_plan_without_augmentation_gives_the_images():
    images, _ = bright_or_dark(10)
    recipe = Recipe(flip=False, translate=0)
    plan = EpochPlan.draw(10, (8, 8), recipe, seed=1, epoch=2)
    x, index = plan.batch(images, slice(3, 7), recipe)
    assert torch.equal(index, plan.order[3:7])
    assert torch.equal(x, normalise(images[index]))


def test_batch_flips_shifts_normalises_and_blanks():
    images = torch.randint(0, 256, (6, 3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    recipe = Recipe(translate=3, cutout=4)
    plan = EpochPlan.draw(6, (9, 7), recipe, seed=1, epoch=0)
    x, index = plan.batch(images, slice(2, 6), recipe)
    for k, place in enumerate(range(2, 6)):
        image = images[plan.order[place]].numpy()
        image = moved_by_hand(image, bool(plan.mirrored[place]), plan.shift[place].tolist())
        wanted = normalise(torch.from_numpy(image)[None])[0]
        wanted = blanked_by_hand(wanted, plan.hole[place].tolist(), 4)
        assert index[k] == plan.order[place]
        assert torch.equal(x[k], wanted)


# The augmentation


def moved_by_hand(image: np.ndarray, mirrored: bool, shift: list[int]) -> np.ndarray:
    """Flip, pad by reflection, crop: one image, the usual way."""
    _, height, width = image.shape
    pad = max(abs(s) for s in shift)
    if mirrored:
        image = image[:, :, ::-1]
    image = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), mode="reflect")
    top, left = pad - shift[0], pad - shift[1]
    return np.ascontiguousarray(image[:, top : top + height, left : left + width])


def blanked_by_hand(image: Tensor, hole: list[int], side: int) -> Tensor:
    image = image.clone()
    top, left = hole[0] - side // 2, hole[1] - side // 2
    for y in range(max(top, 0), min(top + side, image.shape[1])):
        for x in range(max(left, 0), min(left + side, image.shape[2])):
            image[:, y, x] = 0
    return image


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 4),
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 12),
    st.integers(0, 99),
)
def test_move_is_flip_reflect_pad_and_crop(n, channels, height, width, most, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, channels, height, width), dtype=torch.uint8, generator=generator)
    mirrored = torch.rand(n, generator=generator) < 0.5
    shift = torch.randint(-most, most + 1, (n, 2), generator=generator)
    moved = move(images, mirrored, shift)
    assert moved.shape == images.shape
    assert moved.dtype == images.dtype
    for i in range(n):
        wanted = moved_by_hand(images[i].numpy(), bool(mirrored[i]), shift[i].tolist())
        assert np.array_equal(moved[i].numpy(), wanted)


def test_move_against_torch_on_cifar_sizes():
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plan = EpochPlan.draw(8, (32, 32), Recipe(), seed=0, epoch=0)
    moved = move(images, plan.mirrored, plan.shift)
    for i in range(8):
        image = images[i : i + 1].float()
        image = image.flip(-1) if plan.mirrored[i] else image
        y, x = (4 - plan.shift[i]).tolist()
        wanted = nn.functional.pad(image, (4, 4, 4, 4), mode="reflect")[0, :, y : y + 32, x : x + 32]
        assert torch.equal(moved[i].float(), wanted)


@few
@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(0, 12), st.integers(0, 99))
def test_blank_is_a_square_of_zeros(n, height, width, side, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, 2, height, width, generator=generator) + 1
    hole = (torch.rand(n, 2, generator=generator) * torch.tensor([height, width])).long()
    before = images.clone()
    out = blank(images, hole, side)
    assert torch.equal(images, before)
    for i in range(n):
        assert torch.equal(out[i], blanked_by_hand(images[i], hole[i].tolist(), side))


def test_normalise():
    images = torch.randint(0, 256, (4, 3, 5, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    x = normalise(images)
    assert x.dtype == torch.float32
    for c in range(3):
        wanted = (images[:, c].double() / 255 - CIFAR10_MEAN[c]) / CIFAR10_STD[c]
        torch.testing.assert_close(x[:, c].double(), wanted, rtol=1e-5, atol=1e-6)
    grey = normalise(images[:, :1])
    wanted = (images[:, :1].double() / 255 - sum(CIFAR10_MEAN) / 3) / (sum(CIFAR10_STD) / 3)
    torch.testing.assert_close(grey.double(), wanted, rtol=1e-5, atol=1e-6)


# The loop


def trained(seed: int = 0, weights: int = 0, recipe: Recipe = Recipe(epochs=2, batch_size=16), **kwargs):  # noqa: B008
    torch.manual_seed(weights)
    model = network()
    run = fit(model, *bright_or_dark(96), recipe, seed=seed, **on_cpu, **kwargs)
    return model, run


def test_fit_learns_a_separable_set():
    seen = []
    held_out = bright_or_dark(64, seed=9)
    model, run = trained(
        recipe=Recipe(epochs=6, batch_size=16), validation=held_out, on_epoch=lambda h: seen.append(len(h))
    )
    result = evaluate(model, *held_out, precision="no", cpu=True)
    assert result.accuracy > 0.95
    assert result.flipped > 0.95
    assert run.history[-1]["validation_accuracy"] == result.accuracy
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    assert [row["epoch"] for row in run.history] == seen == [1, 2, 3, 4, 5, 6]
    assert all(0 <= row["accuracy"] <= 1 and row["images_per_second"] > 0 for row in run.history)
    assert run.seconds == pytest.approx(sum(row["seconds"] for row in run.history))
    assert (run.device, run.precision, run.processes) == ("cpu", "no", 1)


def test_loss_and_accuracy_of_a_row_are_means_over_what_was_seen():
    """At a learning rate of zero nothing moves, so the row can be counted by hand."""
    torch.manual_seed(0)
    model = network().eval()
    model.train = lambda mode=True: model  # stays in eval mode, so that batches do not matter
    images, labels = bright_or_dark(40)
    recipe = Recipe(epochs=1, batch_size=16, peak_rate=0.0, flip=False, translate=0, label_smoothing=0.1)
    run = fit(model, images, labels, recipe, seed=5, **on_cpu)
    order = EpochPlan.draw(40, (8, 8), recipe, 5, 0).order[:32]  # two whole batches; eight images wait
    with torch.no_grad():
        logits = model(normalise(images[order]))
    wanted = nn.functional.cross_entropy(logits, labels[order], label_smoothing=0.1).item()
    assert run.history[0]["loss"] == pytest.approx(wanted, rel=1e-5)
    assert run.history[0]["accuracy"] == (logits.argmax(1) == labels[order]).float().mean().item()


@pytest.mark.parametrize(
    "wrong",
    [
        {"schedule": "cosine"},
        {"epochs": 0},
        {"batch_size": 0},
        {"warmup": 1.5},
        {"label_smoothing": -0.1},
        {"translate": -1},
        {"freeze_norms": -1},
        {"freeze_norms": 9, "epochs": 8},
        {"epochs": 2.5},
        {"momentum": 1.0},
        *({name: -0.1} for name in ("peak_rate", "momentum", "weight_decay", "se_weight_decay", "se_rate")),
        {"cutout": -1},
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Recipe(**wrong)


def test_one_step_is_sgd_with_nesterov_by_hand():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2, bias=False))
    w = model[1].weight.detach().clone()
    images, labels = bright_or_dark(8)
    recipe = Recipe(
        epochs=2, batch_size=8, peak_rate=0.01, weight_decay=0.1, label_smoothing=0.0, flip=False, translate=0
    )
    fit(model, images, labels, recipe, **on_cpu)
    x, velocity = normalise(images).flatten(1), torch.zeros_like(w)
    for step in range(2):
        w.requires_grad_()
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(x @ w.T, labels), w)
        w = w.detach()
        gradient = gradient + 0.1 * w
        velocity = gradient if step == 0 else 0.9 * velocity + gradient
        w = w - learning_rate(recipe, step / 2) * (gradient + 0.9 * velocity)
    torch.testing.assert_close(model[1].weight.detach(), w, rtol=1e-4, atol=1e-6)


def test_frozen_norms_neither_move_nor_learn():
    """Of three epochs the last two leave BN as it is; all else goes on learning."""
    torch.manual_seed(0)
    model, seen = network(), []
    fit(
        model,
        *bright_or_dark(64),
        Recipe(epochs=3, batch_size=16, freeze_norms=2, decay_norms=True),
        on_epoch=lambda _: seen.append({k: v.clone() for k, v in model.state_dict().items()}),
        **on_cpu,
    )
    first, second, third = seen
    of_norm = {key for key in first if key.startswith("1.")}
    assert len(of_norm) == 5
    for key in first:
        assert torch.equal(first[key], second[key]) == torch.equal(second[key], third[key]) == (key in of_norm), key
    assert not torch.equal(first["1.weight"], torch.ones(8))  # before that it learned
    assert all(p.requires_grad for p in model.parameters())


def test_same_seed_same_bits():
    (a, run_a), (b, run_b), (c, _), (d, _) = trained(), trained(), trained(seed=1), trained(weights=1)
    for key, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[key]), key
    assert [r["loss"] for r in run_a.history] == [r["loss"] for r in run_b.history]
    assert not torch.equal(a[0].weight, c[0].weight)
    assert not torch.equal(a[0].weight, d[0].weight)


@pytest.mark.skipif(sys.platform == "win32", reason="torch.compile wants a compiler that Windows rarely has")
def test_a_compiled_run_learns_the_same_and_leaves_the_network_as_it_was(tmp_path, monkeypatch):
    """It stops after one of two epochs and goes on, as a reader's would."""
    (eager, before), whole = trained(), Recipe(epochs=2, batch_size=16)
    calls, compiling, compile_ = [], [], torch.compile
    monkeypatch.setattr(torch, "compile", lambda *of, **how: compiling.append(how) or compile_(*of, **how))

    def stop(history):
        calls.append(len(history))
        if len(calls) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(recipe=whole, compiled=True, folder=tmp_path, on_epoch=stop)
    model, run = trained(recipe=whole, compiled=True, folder=tmp_path, on_epoch=stop)
    assert calls == [1, 2]
    assert (before.compiled, run.compiled) == (False, True)
    assert [how["backend"] for how in compiling] == ["inductor"] * 2
    for key, value in eager.state_dict().items():
        torch.testing.assert_close(
            model.state_dict()[key], value, rtol=1e-3, atol=1e-4, msg=lambda m, k=key: f"{k}: {m}"
        )
    assert [r["loss"] for r in run.history] == pytest.approx([r["loss"] for r in before.history], rel=1e-4)
    assert type(model) is nn.Sequential


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_the_model_computes_in_its_own_precision_before_and_after(precision):
    torch.manual_seed(0)
    model, twin, inside = network(), network(), []
    handle = model[0].register_forward_pre_hook(lambda *_: inside.append(torch.is_autocast_enabled("cpu")))
    images, labels = bright_or_dark(32)
    for _ in range(2):  # a second call finds the model as the first left it
        inside.clear()
        fit(
            model,
            images,
            labels,
            Recipe(epochs=1, batch_size=16),
            cpu=True,
            precision=precision,
            progress=False,
        )
        assert inside == [precision == "bf16"] * 2
        assert vars(model).keys() == vars(twin).keys(), "nothing of Accelerate's stays on it"
    handle.remove()
    twin.load_state_dict(model.state_dict())
    x = normalise(images)
    with torch.no_grad():
        assert torch.equal(model.eval()(x), twin.eval()(x))  # bit for bit, so no autocast is left


def test_momentum_may_be_left_out():
    model, run = trained(recipe=Recipe(epochs=1, batch_size=16, momentum=0.0))
    assert math.isfinite(run.history[0]["loss"])


def test_the_scale_of_a_loss_in_fp16_goes_on_where_it_stood(tmp_path, monkeypatch):
    """GPUs alone need it; a CPU's scaler stands in here."""
    scalers = []

    def start_with_scaler(*arguments):
        accelerator, precision = start(*arguments)
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0, growth_interval=1)
        scalers.append(accelerator.scaler)
        return accelerator, precision

    monkeypatch.setattr(loop, "start", start_with_scaler)
    images, labels = bright_or_dark(32)
    recipe = Recipe(epochs=2, batch_size=16)
    torch.manual_seed(0)
    whole = network()
    fit(whole, images, labels, recipe, **on_cpu)
    assert scalers[-1].get_scale() == 2.0 * 2**4, "it doubles at each of four steps"
    torch.manual_seed(0)
    stopped = network()

    def stop(history):
        raise Stopped

    with pytest.raises(Stopped):
        fit(stopped, images, labels, recipe, folder=tmp_path, on_epoch=stop, **on_cpu)
    fit(stopped, images, labels, recipe, folder=tmp_path, **on_cpu)
    assert scalers[-1].get_scale() == 2.0 * 2**4


def test_precisions_can_follow_each_other():
    images, labels = bright_or_dark(16)
    recipe = Recipe(epochs=1, batch_size=16)
    for precision in ("no", "bf16", "no"):
        run = fit(network(), images, labels, recipe, cpu=True, precision=precision, progress=False)
        assert run.precision == precision


def test_cpu_is_asked_for_after_a_run_on_a_gpu(monkeypatch):
    from accelerate.state import AcceleratorState, PartialState

    start("no", cpu=True)
    monkeypatch.setitem(PartialState._shared_state, "device", torch.device("cuda"))  # as a run before left it
    AcceleratorState._reset_state()
    accelerator, _ = start("no", cpu=True)
    assert accelerator.device.type == "cpu"


def test_fewer_images_than_a_batch():
    model = network()
    images, labels = bright_or_dark(5)
    run = fit(model, images, labels, Recipe(epochs=2, batch_size=128), **on_cpu)
    assert len(run.history) == 2
    assert run.history[0]["accuracy"] * 5 == pytest.approx(round(run.history[0]["accuracy"] * 5))


def test_views_of_tensors_train_too(tmp_path):
    images, labels = bright_or_dark(32)
    a, b = (
        trained_on(images[::2], labels[::2], tmp_path / "a"),
        trained_on(images[::2].clone(), labels[::2].clone()),
    )
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def trained_on(images, labels, folder=None) -> nn.Module:
    torch.manual_seed(0)
    model = network()
    fit(model, images, labels, Recipe(epochs=1, batch_size=8), folder=folder, **on_cpu)
    return model


def test_grey_images_train():
    images, labels = bright_or_dark(16)
    run = fit(network(channels=1), images[:, :1], labels, Recipe(epochs=1, batch_size=8), **on_cpu)
    assert math.isfinite(run.history[0]["loss"])


@pytest.mark.parametrize(("shown", "variable", "wanted"), [(True, "1", True), (False, "", True), (True, "0", None)])
def test_progress_bar_can_be_switched_off(monkeypatch, shown, variable, wanted):
    """Also in a notebook, where TQDM_DISABLE does not reach the bar by itself."""
    import tqdm.auto

    monkeypatch.setattr(tqdm.auto, "tqdm", lambda **kwargs: kwargs)
    monkeypatch.setenv("TQDM_DISABLE", variable)
    assert progress_bar(shown, total=40, done=12) == {
        "total": 40,
        "initial": 12,
        "unit": "img",
        "disable": wanted,
        "leave": False,
    }


@pytest.mark.parametrize(("n_images", "n_labels"), [(0, 0), (4, 3), (3, 4), (0, 4)])
def test_images_and_labels_must_fit(n_images, n_labels):
    images, labels = bright_or_dark(8)
    with pytest.raises(ValueError, match=f"{n_images} images and {n_labels} labels"):
        fit(network(), images[:n_images], labels[:n_labels], Recipe(), **on_cpu)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, -1, 1, 0]), "from 0 on"),
        (torch.tensor([0, 1, 1, 0], dtype=torch.int32), "int64"),
        (torch.tensor([0, 1, 2, 0]), "labels go up to 2, the network has 2 logits"),
    ],
)
def test_labels_that_are_none_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        fit(network(), bright_or_dark(4)[0], labels, Recipe(epochs=1), **on_cpu)


def test_a_network_with_more_than_logits_is_refused():
    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.net(x), self.net(x)

    with pytest.raises(ValueError, match="tuple, not logits"):
        fit(TwoHeads(), *bright_or_dark(4), Recipe(epochs=1), **on_cpu)


def test_a_wrapped_network_is_refused():
    """Its weights would be written under names that no network has."""
    in_place = network()
    in_place.compile(backend="eager")
    prepared = Accelerator(cpu=True).prepare(network())
    for wrapped in (torch.compile(network(), backend="eager"), in_place, prepared, nn.DataParallel(network())):
        with pytest.raises(ValueError, match="the network itself"):
            fit(wrapped, *bright_or_dark(4), Recipe(epochs=1), **on_cpu)


class Stopped(Exception):
    pass


def stopped_after_an_epoch(model: nn.Module, folder, epochs: int = 2) -> None:
    def stop(history):
        raise Stopped

    with pytest.raises(Stopped):
        fit(model, *bright_or_dark(8), Recipe(epochs=epochs, batch_size=4), folder=folder, on_epoch=stop, **on_cpu)


@pytest.mark.parametrize("other", [{"gate": "tanh"}, {"squeeze": "max"}, {"placement": "post"}])
def test_a_checkpoint_of_another_network_of_the_same_sizes_is_refused(tmp_path, other):
    settings = {"name": "se_resnet18", "num_classes": 2, "width": 1 / 16, "min_hidden": 2}
    stopped_after_an_epoch(create_model(**settings), tmp_path)
    again = create_model(**settings, **other)
    key, value = next(iter(other.items()))
    with pytest.raises(CheckpointError, match=rf"network\.{key} = .*\(now {value}\)"):
        fit(again, *bright_or_dark(8), Recipe(epochs=2, batch_size=4), folder=tmp_path, **on_cpu)


def test_a_checkpoint_that_does_not_tell_its_network_is_taken(tmp_path):
    """As those from before it was written down."""
    stopped_after_an_epoch(network(), tmp_path)
    told = network()
    told.config = {"name": "told"}
    run = fit(told, *bright_or_dark(8), Recipe(epochs=2, batch_size=4), folder=tmp_path, **on_cpu)
    assert len(run.history) == 2


def test_weights_that_two_layers_share_are_kept(tmp_path):
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()
            self.twin = self.net[0]

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

    stopped_after_an_epoch(Tied(), tmp_path)
    again = Tied()
    run = fit(again, *bright_or_dark(8), Recipe(epochs=2, batch_size=4), folder=tmp_path, **on_cpu)
    assert len(run.history) == 2
    assert again.twin.weight is again.net[0].weight


def test_a_checkpoint_goes_on_in_its_own_precision(tmp_path, monkeypatch):
    """A student who gets another machine back, with another best precision, goes on as the run began."""
    from senet_edu.training import loop

    images, labels = bright_or_dark(16)
    stop = pytest.raises(KeyboardInterrupt)

    def interrupt(history):
        raise KeyboardInterrupt

    recipe = Recipe(epochs=2, batch_size=8)
    with stop:
        fit(
            network(),
            images,
            labels,
            recipe,
            folder=tmp_path,
            cpu=True,
            precision="bf16",
            progress=False,
            on_epoch=interrupt,
        )
    monkeypatch.setattr(loop, "best_precision", lambda device=None: "no")
    run = fit(network(), images, labels, recipe, folder=tmp_path, cpu=True, progress=False)
    assert run.precision == "bf16"
    assert len(run.history) == 2


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (lambda images, labels: (images, labels[:7]), "8 images and 7 labels"),
        (lambda images, labels: (images[:0], labels[:0]), "0 images"),
        (lambda images, labels: (images, labels.double()), "labels are int64"),
    ],
)
def test_validation_that_cannot_be_scored_is_refused_before_the_first_step(spoilt, words, tmp_path):
    images, labels = bright_or_dark(8)
    with pytest.raises(ValueError, match=words):
        fit(network(), images, labels, validation=spoilt(images, labels), folder=tmp_path, **on_cpu)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "act",
    [
        predict,
        lambda *of, **how: evaluate(*of, torch.zeros(8, dtype=torch.int64), **how),
        lambda *of, **how: fit(*of, torch.zeros(8, dtype=torch.int64), Recipe(epochs=1), **how),
    ],
)
def test_an_unknown_precision_is_refused(act):
    """It would compute in float32 and say nothing."""
    with pytest.raises(ValueError, match="precision is one of .* not 'half'"):
        act(network(), bright_or_dark(8)[0], precision="half", cpu=True)


def test_running_statistics_that_are_no_numbers_end_a_run(tmp_path):
    """They are no parameters, the loss does not show them, and every answer afterwards would be NaN."""
    model = network()
    model[1].running_var.fill_(math.nan)
    with pytest.raises(TrainingError, match="no longer a number"):
        fit(model, *bright_or_dark(8), Recipe(epochs=1, batch_size=8), folder=tmp_path, **on_cpu)


def test_fp16_on_a_cpu_is_refused():
    """Accelerate would train in float32, and the record would say fp16."""
    with pytest.raises(ValueError, match="fp16 is for GPUs"):
        fit(network(), *bright_or_dark(8), Recipe(epochs=1, batch_size=8), precision="fp16", cpu=True, progress=False)


def test_the_wait_for_a_gpu_is_counted_and_what_follows_an_epoch_is_not(monkeypatch):
    """By a clock that moves when a step's sums are read, which waits for a GPU, and after an epoch."""
    from senet_edu.training import loop, session

    moments = [0.0]
    step_done = session.Session.step_done

    def waits(self, *of_step):
        read = Tensor.tolist

        def slowly(values):
            moments[0] += 1
            return read(values)

        with monkeypatch.context() as within:
            within.setattr(Tensor, "tolist", slowly)
            step_done(self, *of_step)

    def scores(*_):
        moments[0] += 100
        return 0.5

    def shows(_history):
        moments[0] += 10_000

    monkeypatch.setattr(session, "time", types.SimpleNamespace(monotonic=lambda: moments[0]))
    monkeypatch.setattr(session.Session, "step_done", waits)
    monkeypatch.setattr(loop, "accuracy_on", scores)
    run = fit(network(), *bright_or_dark(16), Recipe(epochs=2, batch_size=8), on_epoch=shows, **on_cpu)
    assert [row["seconds"] for row in run.history] == [1, 1]  # the sums are read once, at the epoch's end


# Evaluation


class ByPixel(nn.Module):
    """Logits read off the first pixel's three values; a BN that would move if it trained."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(x)[:, :, 0, 0]


def test_evaluation_by_hand():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (400, 3, 4, 4), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 2, (400,), generator=generator)  # class 2 has no image
    model = ByPixel().train()
    result = evaluate(model, images, labels, batch_size=7, precision="no", cpu=True)
    assert model.training
    assert model.bn.training
    assert not model.bn.running_mean.any()
    assert model.bn.num_batches_tracked == 0

    mean, std = np.array(CIFAR10_MEAN), np.array(CIFAR10_STD)
    right, flipped = [], []
    for image, label in zip(images.numpy(), labels.tolist(), strict=True):
        left = (image[:, 0, 0] / 255 - mean) / std
        corner = (image[:, 0, -1] / 255 - mean) / std
        right.append(left.argmax() == label)
        flipped.append((left + corner).argmax() == label)
    right, flipped = np.array(right), np.array(flipped)
    assert result.accuracy == pytest.approx(right.mean())
    assert result.flipped == pytest.approx(flipped.mean())
    assert right.mean() != flipped.mean()
    assert result.per_class[:2] == pytest.approx([right[labels == k].mean() for k in (0, 1)])
    assert len(result.per_class) == 3
    assert math.isnan(result.per_class[2])
    whole = evaluate(model, images, labels, precision="no", cpu=True)
    assert (whole.accuracy, whole.flipped) == (result.accuracy, result.flipped)

    logits = predict(model.eval(), images, batch_size=13, precision="no", cpu=True)
    assert logits.shape == (400, 3)
    assert logits.dtype == torch.float32
    assert not logits.requires_grad
    assert not model.training


def test_predict_in_bf16_gives_float32():
    logits = predict(network(), bright_or_dark(6)[0], precision="bf16", cpu=True)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, logits.bfloat16().float())  # it did compute in bfloat16


def test_predict_computes_in_its_own_precision_within_another():
    model, images = network().eval(), bright_or_dark(6)[0]
    alone = predict(model, images, precision="no", cpu=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(predict(model, images, precision="no", cpu=True), alone)


def test_labels_that_do_not_fit_are_not_scored():
    images, labels = bright_or_dark(8)
    for wrong, words in ((labels[:7], "8 images and 7"), (labels - 1, "the least is -1"), (labels.float(), "float32")):
        with pytest.raises(ValueError, match=words):
            evaluate(network(), images, wrong, cpu=True)
    with pytest.raises(ValueError, match="4 images and 8"):
        evaluate(network(), images[:4], labels, cpu=True)


def test_images_of_another_type_are_refused():
    """Numbers from 0 to 1 would be divided by 255 once more."""
    images, model = bright_or_dark(4)[0], network().train()
    with pytest.raises(ValueError, match=r"uint8.*float32"):
        predict(model, images / 255, cpu=True)
    assert all(module.training for module in model.modules()), "it is left as it was, also after an error"


def test_nothing_to_evaluate():
    images, labels = bright_or_dark(4)
    with pytest.raises(ValueError, match="0 images"):
        evaluate(network(), images[:0], labels[:0], cpu=True)


# The machine


@pytest.mark.parametrize(("native", "wanted"), [(False, "fp16"), (True, "bf16")])
def test_precision_on_a_gpu(monkeypatch, native, wanted):
    """A T4 says it supports bfloat16 unless emulation is excluded."""
    asked = []

    def is_bf16_supported(including_emulation: bool = True) -> bool:
        asked.append(including_emulation)
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    assert best_precision() == best_precision(torch.device("cuda")) == wanted
    assert asked == [False, False]


def test_each_process_of_a_launcher_has_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert machine_module.best_device() == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert machine_module.best_device() == torch.device("cuda", 3)


@pytest.mark.parametrize(("avx512", "amx", "wanted"), [(0, 0, "no"), (1, 0, "bf16"), (0, 1, "bf16")])
def test_precision_on_a_cpu(monkeypatch, avx512, amx, wanted):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bool(avx512), raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: bool(amx), raising=False)
    assert best_precision(torch.device("cpu")) == wanted
    assert best_precision(torch.device("mps")) == "no"


def test_precision_on_a_torch_without_those_checks(monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    assert best_precision(torch.device("cpu")) == "no"


@pytest.mark.parametrize(
    ("value", "gpu", "wanted"),
    [
        ("quick", True, "quick"),
        ("full", False, "full"),
        (None, True, "full"),
        (None, False, "quick"),
        ("", True, "full"),
    ],
)
def test_speed(monkeypatch, value, gpu, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    if value is None:
        monkeypatch.delenv("SENET_EDU_SPEED", raising=False)
    else:
        monkeypatch.setenv("SENET_EDU_SPEED", value)
    assert speed() == wanted


def test_speed_is_refused_in_words(monkeypatch):
    monkeypatch.setenv("SENET_EDU_SPEED", "fast")
    with pytest.raises(ValueError, match="'quick' or 'full', not 'fast'"):
        speed()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is kept on Linux alone")
def test_freed_memory_is_kept():
    """A large tensor made again takes no fresh pages: they were not given back."""
    code = """
import resource, torch
from senet_edu.training.machine import keep_freed_memory
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def asked():
    before = faults()
    for _ in range(4):
        torch.ones(2**24)  # 64 MB, 16,384 pages
    return faults() - before
asked()
usual = asked()
keep_freed_memory()
asked()
print(usual, asked())
"""
    usual, kept = map(int, subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.split())
    assert kept < usual / 10


def test_description_of_the_machine():
    found = describe()
    assert found["cores"] >= 1
    assert found["torch"] == torch.__version__.split("+")[0]
    assert all(isinstance(v, (str, int)) and v != "" for v in found.values())
    assert machine_module.best_device().type in ("cpu", "cuda", "mps")
