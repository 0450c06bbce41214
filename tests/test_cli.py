"""The commands from a shell, on a tiny copy of drawn images in CIFAR-10's layout."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from archives import encode, image_files, write
from typer.testing import CliRunner

from senet_edu import cli, figures, results, training
from senet_edu.cli import app
from senet_edu.course import CourseError, run_chapter
from senet_edu.data import TINY_IMAGENET_CLASSES, DataError, load_cifar10, shapes
from senet_edu.excitations import Excitations, record_excitations
from senet_edu.models import create_model
from senet_edu.training import Recipe, TrainingError

TINY = ["--width", "0.0625", "--epochs", "2", "--batch-size", "20", "--cpu", "--precision", "no"]


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SENET_EDU_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SENET_EDU_CIFAR10", raising=False)
    return write(tmp_path / "drawn.tar.gz", image_files(per_class=4))


def invoke(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def shell(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "senet_edu", *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, env={**os.environ, **environment})


def test_train_then_excitations(images: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    said = invoke("train", run, "--data", images, *TINY)
    assert "single view" in said
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    assert record["model"]["width"] == 0.0625
    assert record["recipe"]["epochs"] == len(record["history"]) == 2
    results.load_run(run)

    said = invoke("excitations", out, "--run", run, "--data", images, "--cpu")
    assert said.count("SE_") == 8
    found = Excitations.load(out / "excitations.safetensors")
    assert all(gates.count.sum() == 10 for gates in found.values())  # one test image a class
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert [row["block"] for row in rows] == list(found)
    assert len(list(out.glob("*.png"))) == 4
    gates = json.loads((out / "record.json").read_text(encoding="utf-8"))
    assert gates["SE_5_2"]["channels"] == 32
    assert gates["data"] == record["data"]


def test_the_second_score_of_excitations_has_every_gate_at_its_mean(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke("train", tmp_path / "run", "--data", images, *TINY)
    movements = []

    def count(network: torch.nn.Module, *images_and_labels: torch.Tensor, mirror: bool, **options: Any) -> torch.Tensor:
        gates = record_excitations(network, *images_and_labels, **options)
        movements.append(max(block.movement().max().item() for block in gates.values()))
        return torch.tensor([[2 ** len(movements)], [1], [1]])

    monkeypatch.setattr(training.evaluation, "count_right", count)
    said = invoke("excitations", tmp_path / "out", "--run", tmp_path / "run", "--data", images, "--cpu")
    assert "50.00% of 10 images right; with every gate frozen at its mean 25.00%" in said
    record = json.loads((tmp_path / "out" / "record.json").read_text(encoding="utf-8"))
    assert (record["accuracy"], record["accuracy_frozen"]) == (1 / 2, 1 / 4)
    own, frozen = movements
    assert own > 1e-3 and frozen < 1e-6


def test_every_setting_of_the_recipe_is_an_option(images: Path, tmp_path: Path) -> None:
    """Given another value than it has, each stands in the record."""
    others = {"schedule": "one-cycle", "epochs": 1, "batch_size": 20, "freeze_norms": 1, "warmup": 0.5}
    given = {name: others.get(name, 0) for name in vars(Recipe())} | {"momentum": 0.5, "label_smoothing": 0.125}
    given |= {"flip": False, "decay_norms": True, "translate": 2, "cutout": 4, "se_rate": 0.5, "se_weight_decay": 0.25}
    assert all(given[name] != value for name, value in vars(Recipe()).items())
    arguments = []
    for name, value in given.items():
        option = name.replace("_", "-")
        switch = f"--{option}" if value else f"--no-{option}"
        arguments += [switch] if isinstance(value, bool) else [f"--{option}", str(value)]
    invoke("train", tmp_path / "run", "--data", images, "--width", "0.0625", "--cpu", "--precision", "no", *arguments)
    record = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))
    assert record["recipe"] == given


def test_excitations_of_another_librarys_blocks_have_no_controls(tmp_path: Path) -> None:
    drawn = shapes(20, seed=0)[0].permute(0, 2, 3, 1).numpy()
    pictures = {f"val/{name}/0.png": encode(image) for name, image in zip(TINY_IMAGENET_CLASSES, drawn, strict=True)}
    write(tmp_path / "pictures", pictures)
    weights = ("--weights", "mobilenet_v3_small-tiny-imagenet", "--images", tmp_path / "pictures")
    said = invoke("excitations", tmp_path / "out", *weights, "--cpu")
    assert said.count("SE_features") == 9
    record = json.loads((tmp_path / "out" / "record.json").read_text(encoding="utf-8"))
    assert record["SE_features_1_block_1"]["channels"] == 16
    assert "untrained_movement" not in record["SE_features_1_block_1"]


def test_a_finished_run_is_not_trained_again_and_other_settings_are_refused(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    invoke("train", run, "--data", images, *TINY)
    first = json.loads((run / "record.json").read_text(encoding="utf-8"))
    invoke("train", run, "--data", images, *TINY)
    again = json.loads((run / "record.json").read_text(encoding="utf-8"))
    assert again == first

    # What is written about a run that ended stays, whatever this call would have done otherwise
    (run / "record.json").write_text(json.dumps(first | {"compiled": True}), encoding="utf-8")
    invoke("train", run, "--data", images, *TINY)
    assert json.loads((run / "record.json").read_text(encoding="utf-8")) == first | {"compiled": True}

    refused = shell("train", run, "--data", images, *TINY, "--seed", "1")
    assert refused.returncode == 1
    assert "seed = 0 (now 1)" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_run_can_start_from_another_ones_weights(images: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    invoke("train", first, "--data", images, *TINY)
    still = ["--data", images, *TINY, "--peak-rate", "0", "--start-from", first]  # a rate of zero: nothing is learned
    invoke("train", second, *still)
    before, after = results.load_run(first), results.load_run(second)
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))
    record = json.loads((second / "record.json").read_text(encoding="utf-8"))
    weights = json.loads((first / "record.json").read_text(encoding="utf-8"))["weights_sha256"]
    assert record["started_from"] == f"the weights of the run first (SHA-256 {weights})"

    refused = shell("train", second, *still[:-2])  # as if it had begun with fresh ones
    assert refused.returncode == 1
    assert "had started_from = the weights of the run first" in refused.stderr
    refused = shell("train", tmp_path / "third", *still, "--reduction", "2")
    assert refused.returncode == 1
    assert f"{first} holds" in refused.stderr


def test_held_out_images_are_not_trained_on(images: Path, tmp_path: Path) -> None:
    invoke("train", tmp_path / "run", "--data", images, *TINY, "--hold-out", "1")
    record = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))
    assert "Trained on 30 training images, scored on 10 held out" in record["data"]


def test_what_the_command_asks_for_reaches_the_training(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def note(folder: Path, model: Any, train: Any, test: Any, recipe: Recipe, **more: Any) -> dict[str, float]:
        asked.update(model=model, train=train, test=test, **more)
        return {"accuracy": 0.0, "accuracy_flipped": 0.0}

    monkeypatch.setattr(results, "train_recorded", note)
    options = ("--hold-out", "1", "--compiled", "--min-hidden", "3", "--seed", "7", "--precision", "bf16")
    invoke("train", tmp_path / "run", "--data", images, "--width", "0.0625", *options)
    assert (asked["compiled"], asked["seed"], asked["precision"], asked["cpu"]) == (True, 7, "bf16", False)
    assert asked["model"].config["min_hidden"] == 3
    torch.manual_seed(7)
    fresh = create_model("se_resnet18", width=0.0625, min_hidden=3).state_dict()
    assert all(torch.equal(value, fresh[key]) for key, value in asked["model"].state_dict().items()), "seed 7"
    together = torch.cat([asked["train"][0], asked["test"][0]]).flatten(1)  # [40, 3072]
    every = load_cifar10(images, "train")[0].flatten(1)
    assert len(together) == len(every) == len(together.unique(dim=0)), "none is in both parts"
    assert torch.equal(together.unique(dim=0), every.unique(dim=0))


def test_data_counts_and_names_its_source(images: Path) -> None:
    said = invoke("data", "--data", images)
    assert "train 40 images, 10 classes" in said
    assert "drawn.tar.gz" in said


def test_models_counts_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    from senet_edu.models import table

    few = {name: table.NETWORKS[name] for name in ("resnet18", "resnet50", "inception_resnet_v2")}
    monkeypatch.setattr(table, "NETWORKS", few)
    said = invoke("models").splitlines()
    rows = {line.split()[0]: line for line in said[1:7]}
    assert list(rows) == [prefix + name for name in few for prefix in ("", "se_")]
    for part in ("standard", "28,088,024", " 3.860", " 3.87", "224×224", "SENet, table 2"):
        assert part in rows["se_resnet50"]
    assert "standard" not in rows["resnet50"]
    (note,) = said[7:]  # a count that differs from the paper's has its reason
    assert note.startswith("inception_resnet_v2: ")
    assert [line.split()[:3] for line in invoke("models", "--placement", "pre", "--no-bias").splitlines()[1:]] == [
        ["se_resnet18", "pre", f"{11_689_512 + 54_784:,}"],
        ["se_resnet50", "pre", f"{25_557_032 + 1_991_168:,}"],
    ]
    with pytest.raises(ValueError, match="placement is one of standard, pre"):
        invoke("models", "--placement", "before")

    monkeypatch.setitem(sys.modules, "timm", None)  # as if it were not installed
    *rows, missing = invoke("models").splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["resnet18", "se_resnet18", "resnet50", "se_resnet50"]
    assert "pip install timm" in missing


def test_networks_for_large_images_alone_can_be_trained_too(images: Path, tmp_path: Path) -> None:
    invoke("train", tmp_path, "--data", images, *TINY, "--model", "bn_inception", "--cpu")
    assert results.load_run(tmp_path).config["name"] == "bn_inception"


def test_images_too_small_for_a_network_are_refused(images: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inception_v3 takes images of at least 75×75; these are 32×32"):
        invoke("train", tmp_path, "--data", images, "--model", "inception_v3", "--width", "1", "--cpu")


def test_doctor_says_what_is_here(images: Path) -> None:
    said = invoke("doctor", "--data", images)
    for word in ("processor", "torch", "precision", "speed", "disk", "drawn.tar.gz"):
        assert word in said


def test_doctor_explains_a_torchvision_that_does_not_fit(tmp_path: Path, images: Path) -> None:
    fake = tmp_path / "fake" / "torchvision"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')", encoding="utf-8"
    )
    sick = shell("doctor", "--data", images, PYTHONPATH=str(fake.parent))
    assert sick.returncode == 1
    assert "do not belong together" in sick.stderr
    assert "pip install --upgrade torch torchvision" in sick.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "--data", "nowhere.tar.xz"], "nowhere.tar.xz: no such file"),
        (["excitations", "out"], "--run FOLDER or --weights NAME"),
        (["excitations", "out", "--weights", "unknown"], "unknown"),
        (["excitations", "out", "--run", "no-run"], "no finished run in no-run"),
        (["course", "--notebooks", "nowhere"], "no chapters in nowhere"),
        (["train", "out", "--model", "typo", "--data", "nowhere.tar.xz"], "no network 'typo'"),
        (["train", "out", "--reduction", "0", "--data", "nowhere.tar.xz"], "the reduction ratio must be at least 1"),
        (["train", "out", "--size", "64"], "--size goes with --images"),
        (["course", "--only", "00", "--only", "99"], "no chapter 99"),
        (["train", "r", "--model", "vgg"], "no network 'vgg'"),
        (["train", "r", "--width", "0.0625", "--reduction", "0"], "r = 0"),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    if arguments[0] == "train":
        arguments = [*arguments, "--data", str(images)]
    failed = shell(*arguments, SENET_EDU_OFFLINE="1")
    assert failed.returncode == 1
    assert message in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TrainingError("out of memory"), "senet-edu: out of memory"),
        (PermissionError(13, "Permission denied", "runs"), "senet-edu: [Errno 13] Permission denied: 'runs'"),
        (ModuleNotFoundError("No module named 'jupytext'"), "senet-edu: No module named 'jupytext' (an extra of"),
    ],
)
def test_what_the_course_knows_is_said_without_a_traceback(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith(words)


def test_doctor_ends_with_the_trouble_it_found(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--data", str(tmp_path / "nowhere")])
    assert result.exit_code == 1
    assert "trouble: " in result.output and "no such file or folder" in result.output


def test_the_course_keeps_its_times_if_all_chapters_ran(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    for stem in ("01_one", "02_two"):
        (notebooks / f"{stem}.py").write_text("# %%\nprint('fine')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SENET_EDU_CIFAR10", str(images))
    invoke("course", "--notebooks", notebooks, "--only", "02")
    assert (tmp_path / "runs" / "course" / "02_two.ipynb").exists()
    assert not (tmp_path / "runs" / "chapter-times.json").exists()
    invoke("course", "--notebooks", notebooks)
    times = json.loads((tmp_path / "runs" / "chapter-times.json").read_text(encoding="utf-8"))
    assert times["01_one"]["seconds"] > 0 and times["02_two"]["seconds"] > 0


@pytest.mark.parametrize(
    ("cell", "timeout", "words"), [("import os; os._exit(1)", 60, "died"), ("import time; time.sleep(60)", 1, "1 s")]
)
def test_a_kernel_that_dies_or_hangs_is_named_and_what_ran_is_kept(
    tmp_path: Path, cell: str, timeout: int, words: str
) -> None:
    chapter = tmp_path / "01_bad.py"
    chapter.write_text(f"# %%\nprint('before')\n\n# %%\n{cell}\n", encoding="utf-8")
    with pytest.raises(CourseError, match=rf"01_bad\.py stopped: .*{words}"):
        run_chapter(chapter, tmp_path / "out", timeout=timeout)
    assert "before" in (tmp_path / "out" / "01_bad.ipynb").read_text(encoding="utf-8")


def test_a_failing_cell_stops_the_course_and_is_named(tmp_path: Path, images: Path) -> None:
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    (notebooks / "01_good.py").write_text("# %%\nprint('fine')\n", encoding="utf-8")
    (notebooks / "02_bad.py").write_text("# %%\nprint('before')\n\n# %%\nraise KeyError('oh no')\n", encoding="utf-8")
    out = tmp_path / "out"
    failed = shell("course", "--notebooks", notebooks, "--out", out, SENET_EDU_CIFAR10=str(images))
    assert failed.returncode == 1
    assert "02_bad.py stopped" in failed.stderr
    assert "oh no" in failed.stderr
    assert "fine" in (out / "01_good.ipynb").read_text(encoding="utf-8")
    assert "before" in (out / "02_bad.ipynb").read_text(encoding="utf-8")  # what ran is kept


def test_two_runs_of_a_chapter_give_the_same_file(tmp_path: Path) -> None:
    chapter = tmp_path / "01_widget.py"
    chapter.write_text("# %%\nimport ipywidgets\nipywidgets.IntSlider()\n\n# %%\nprint(object())\n", encoding="utf-8")
    first = run_chapter(chapter, tmp_path / "a").read_text(encoding="utf-8")
    assert first == run_chapter(chapter, tmp_path / "b").read_text(encoding="utf-8")
    assert "0x0" in first


def drawn_folder(path: Path) -> Path:
    """Two classes in ImageNet's layout: four images each to train on, two to score on."""
    files = {}
    for name, content in image_files(per_class=6).items():
        split, label, number = name.split("/")
        if split == "train" and label in ("cat", "dog"):
            files[f"{'train' if number < '0004' else 'val'}/{label}/{number}"] = content
    return write(path, files)


def test_train_and_excitations_on_a_folder_of_images(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "png", lambda _: b"")
    run, out, folder = tmp_path / "run", tmp_path / "out", drawn_folder(tmp_path / "pets")
    invoke("train", run, "--images", folder, "--size", "16", *TINY)
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    assert record["model"]["num_classes"] == len(record["accuracy_per_class"]) == 2
    assert record["model"]["stem"] == "cifar"
    assert record["data"] == "Images of 2 classes from the folder pets, at 16×16."
    invoke("excitations", out, "--run", run, "--images", folder, "--size", "16", "--cpu")
    found = Excitations.load(out / "excitations.safetensors")
    assert found.classes == ("cat", "dog")
    assert all(gates.count.tolist() == [2, 2] for gates in found.values())

    held = tmp_path / "held"
    invoke("train", held, "--images", folder / "train", "--size", "80", "--hold-out", "1", *TINY, "--epochs", "1")
    record = json.loads((held / "record.json").read_text(encoding="utf-8"))
    assert "Trained on 6 training images, scored on 2 held out" in record["data"]
    assert record["model"]["stem"] == "imagenet"
    invoke("excitations", out, "--run", held, "--images", folder / "train", "--size", "16", "--cpu")
    found = Excitations.load(out / "excitations.safetensors")
    assert all(gates.count.tolist() == [4, 4] for gates in found.values()), "without train/ and val/ all images"


def test_a_folder_of_images_that_does_not_fit(images: Path, tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path / "pets")
    for arguments, words in (
        (("train", tmp_path / "a", "--images", folder, "--data", images), "either --data"),
        (("train", tmp_path / "a", "--images", folder / "train"), "no val/<class>/ to score on: --hold-out 50 scores"),
        (("excitations", tmp_path / "a", "--weights", "se_resnet18-quarter", "--images", folder), "knows 10 classes"),
    ):
        with pytest.raises((ValueError, DataError), match=words):
            invoke(*arguments, "--cpu")
    (folder / "val" / "dog").rename(folder / "val" / "wolf")
    with pytest.raises(DataError, match="different classes"):
        invoke("train", tmp_path / "a", "--images", folder, *TINY)
    shutil.rmtree(folder / "val")
    with pytest.raises(DataError, match="nowhere"):
        invoke("train", tmp_path / "a", "--images", tmp_path / "nowhere", "--hold-out", "1", *TINY)
    with pytest.raises(DataError, match="pets has no val/<class>/$"):
        invoke("excitations", tmp_path / "a", "--weights", "se_resnet18-quarter", "--images", folder)


def test_help_tells_the_recipe_as_it_is_if_nothing_is_given() -> None:
    options = {option.name: option.help for option in typer.main.get_command(app).commands["train"].params}  # type: ignore[attr-defined]
    for field in dataclasses.fields(Recipe):
        value = ("no", "yes")[field.default] if isinstance(field.default, bool) else field.default
        said = f"{value:g}" if isinstance(value, float) else value
        assert options[field.name].endswith(f"({said})."), field.name


def test_doctor_says_where_the_cache_is(images: Path, tmp_path: Path) -> None:
    invoke("data", "--data", images)  # less than half a megabyte
    (tmp_path / "cache" / "mnist").mkdir()
    (tmp_path / "cache" / "mnist" / "train.gz").write_bytes(bytes(5_000_000))
    assert re.search(rf"cache +5 MB in {tmp_path / 'cache'} \(may be deleted", invoke("doctor", "--data", images))


def test_bench_lists_the_measurements_and_runs_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = invoke("bench")
    assert [line.split()[0] for line in listed.splitlines()] == [
        "explorers",
        "faults",
        "loading",
        "recording",
        "se_overhead",
        "training",
    ]
    assert "How fast SE-ResNet-18 trains" in listed
    with pytest.raises(ValueError, match="no measurement 'speed'; there are explorers, faults"):
        invoke("bench", "speed")

    for folder, name in (("notebooks", "00_start.py"), ("benchmarks", "tiny.py")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text('"""Writes runs/bench/ and fails."""\nraise SystemExit(3)\n')
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["bench", "tiny"]).exit_code == 3
