"""Run the course, train networks, and record what their gates do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from torch import Tensor

    from senet_edu.data import Images
    from senet_edu.data.sources import Split

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Data = Annotated[
    str | None,
    typer.Option(
        "--data", help="CIFAR-10: a folder or an archive. By default SENET_EDU_CIFAR10, the cache, a download."
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option("--images", help="In place of CIFAR-10: a folder with train/<class>/ and val/<class>/, or <class>/."),
]
Size = Annotated[
    int | None,
    typer.Option(help="Pixels a side that --images are cut to (64); above 64 the network begins with ImageNet's stem."),
]
Cpu = Annotated[bool, typer.Option("--cpu", help="Stay on the CPU even if there is a GPU.")]


def main() -> None:
    """Run a command; errors that the course knows are said in one line, without a traceback."""
    from senet_edu.course import CourseError
    from senet_edu.data import DataError
    from senet_edu.results import AssetError
    from senet_edu.training import CheckpointError, TrainingError

    try:
        app()
    except (AssetError, CheckpointError, CourseError, DataError, TrainingError, ValueError, OSError) as error:
        typer.echo(f"senet-edu: {error}", err=True)
        raise SystemExit(1) from error
    except ModuleNotFoundError as error:
        typer.echo(
            f'senet-edu: {error} (an extra of the package: in a clone, pip install -e ".[course,timm]")', err=True
        )
        raise SystemExit(1) from error


@app.command()
def course(
    notebooks: Annotated[Path | None, typer.Option(help="Folder of the chapters' texts.")] = None,
    out: Annotated[Path, typer.Option(help="Where the executed notebooks go.")] = Path("runs/course"),
    only: Annotated[list[str] | None, typer.Option(help="A chapter: 07, A; may be repeated.")] = None,
) -> None:
    """Get the data, run every chapter at this machine's speed, and say what to open."""
    from tqdm import tqdm

    from senet_edu import results, training
    from senet_edu.course import chapters, find_notebooks, read_chapter, run_chapter
    from senet_edu.data import load_course_data

    folder = find_notebooks(notebooks)
    found = {path.stem.split("_")[0]: path for path in chapters(folder)}
    if unknown := sorted(set(only or ()) - found.keys()):
        raise ValueError(f"no chapter {', '.join(unknown)} in {folder}; there are {', '.join(found)}")
    wanted = [path for number, path in found.items() if not only or number in only]
    about = load_course_data("train").about
    circumstances = results.circumstances(results.now())  # before the chapters write their outputs into the checkout
    typer.echo(f"Speed: {training.speed()}. Images: {about}")
    cells = {path: sum(cell.cell_type == "code" for cell in read_chapter(path).cells) for path in wanted}
    took = {}
    with tqdm(total=sum(cells.values()), unit="cell", disable=False) as bar:
        for path in wanted:
            bar.set_description(path.stem)
            start = time.monotonic()
            run_chapter(path, out, on_cell=lambda: bar.update(1) and None)
            took[path] = time.monotonic() - start
    for path, seconds in took.items():
        typer.echo(f"{seconds:6.0f} s  {out / path.stem}.ipynb")
    if not only:
        times = {path.stem: {"seconds": seconds} for path, seconds in took.items()}
        record = {"name": "chapter-times", "data": about, "speed": training.speed(), **times}
        results.write_record(record | circumstances | {"finished": results.now()}, "runs/chapter-times.json")
    typer.echo(f"Done. Open {out / wanted[0].stem}.ipynb, or run `make lab` and start at {wanted[0].stem}.ipynb.")


def load_split(
    split: Split, data: str | None, folder: Path | None, size: int | None
) -> tuple[Images, Tensor, tuple[str, ...], str]:
    """Images, labels, classes, and what they are in a sentence: of CIFAR-10, or of a folder if there is one."""
    from senet_edu.data import CIFAR10_CLASSES, DataError, cifar10_source, image_folder, load_cifar10

    if folder is None:
        if size is not None:
            raise ValueError("--size goes with --images; CIFAR-10's are 32×32")
        return *load_cifar10(data, split), CIFAR10_CLASSES, cifar10_source(data).description
    if data is not None:
        raise ValueError("give either --data (CIFAR-10) or --images")
    part = folder / ("train" if split == "train" else "val")
    divided = any((folder / name).is_dir() for name in ("train", "val"))
    if divided and not part.is_dir():
        raise DataError(f"{folder} has no {part.name}/<class>/")
    size = 64 if size is None else size
    images, labels = image_folder(part if divided else folder, size)
    about = f"{'Images' if divided else 'All images'} of {len(images.classes)} classes from the folder "
    about += f"{folder.resolve().name}, at {size}×{size}."
    return images, labels, images.classes, about


@app.command()
def doctor(data: Data = None) -> None:
    """Say what this machine is, and what is missing or does not fit."""
    import shutil

    from senet_edu import training
    from senet_edu.data import DataError, cifar10_source
    from senet_edu.data.sources import cache_folder

    troubles = []
    machine = training.describe()
    for key, value in machine.items():
        typer.echo(f"{key:12} {value}")
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError) as error:
        troubles.append(
            f"torch {machine['torch']} and torchvision {machine['torchvision']} do not belong together ({error}). "
            "Install both in one command: pip install --upgrade torch torchvision"
        )
    typer.echo(f"{'precision':12} {training.best_precision()} on {training.best_device()}")
    typer.echo(f"{'speed':12} {training.speed()}")
    typer.echo(f"{'disk':12} {shutil.disk_usage('.').free / 2**30:.0f} GiB free here")
    cached = [path.stat().st_size for path in cache_folder().rglob("*") if path.is_file()]
    typer.echo(f"{'cache':12} {sum(cached) / 1e6:.0f} MB in {cache_folder()} (may be deleted: it is made again)")
    try:
        typer.echo(f"{'CIFAR-10':12} {cifar10_source(data).description}")
    except DataError as error:
        troubles.append(str(error))
    for trouble in troubles:
        typer.echo(f"trouble: {trouble}", err=True)
    raise typer.Exit(1 if troubles else 0)


@app.command("data")
def get_data(data: Data = None) -> None:
    """Find or download CIFAR-10, check every image, and cache it decoded."""
    from senet_edu.data import cifar10_source, load_cifar10

    for split in ("train", "test"):
        images, labels = load_cifar10(data, split)
        typer.echo(f"{split:5} {len(images):,} images, {len(labels.unique())} classes")
    typer.echo(cifar10_source(data).description)


@app.command()
def train(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder of this run; one that was stopped goes on where it stood.")],
    model: Annotated[str, typer.Option(help="A network's name, as `senet-edu models` lists them.")] = "se_resnet18",
    width: Annotated[float, typer.Option(help="Factor on all channel counts; 1.0 is 64 to 512.")] = 1.0,
    reduction: Annotated[int, typer.Option(help="r of the SE blocks: hidden width is channels / r.")] = 16,
    min_hidden: Annotated[int, typer.Option(help="Least hidden width of an SE block.")] = 1,
    epochs: Annotated[int | None, typer.Option(help="Passes over the images (8).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step (128).")] = None,
    peak_rate: Annotated[float | None, typer.Option(help="Highest learning rate (0.2).")] = None,
    momentum: Annotated[float | None, typer.Option(help="Nesterov momentum, 0 to 1 (0.9).")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay outside the SE layers (0.0005).")] = None,
    se_weight_decay: Annotated[float | None, typer.Option(help="Weight decay on the SE and SK layers (0).")] = None,
    decay_norms: Annotated[bool | None, typer.Option(help="Weight decay also on gains and biases (no).")] = None,
    se_rate: Annotated[
        float | None, typer.Option(help="Rate of the SE layers, as a multiple of the others' (1).")
    ] = None,
    schedule: Annotated[str | None, typer.Option(help="triangular or one-cycle (triangular).")] = None,
    warmup: Annotated[float | None, typer.Option(help="Share of all steps before the peak rate (0.2).")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="Of the labels, 0 to 1 (0.05).")] = None,
    freeze_norms: Annotated[int | None, typer.Option(help="Epochs at the end with BN frozen (0).")] = None,
    flip: Annotated[bool | None, typer.Option(help="Mirror half of the images (yes).")] = None,
    translate: Annotated[int | None, typer.Option(help="Largest shift in pixels (1).")] = None,
    cutout: Annotated[int | None, typer.Option(help="Side of the blanked square in pixels (0).")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")] = 0,
    start_from: Annotated[
        Path | None, typer.Option(help="Folder of a finished run of the same network: begin with its weights.")
    ] = None,
    hold_out: Annotated[
        int, typer.Option(help="Training images a class to hold out and score on, in place of the test images.")
    ] = 0,
    precision: Annotated[
        str | None, typer.Option(help="no (float32), bf16 or fp16; by default this machine's best.")
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compiled", help="Compile first: half a minute and a C++ compiler for shorter steps.")
    ] = False,
    data: Data = None,
    folder_of_images: Folder = None,
    size: Size = None,
    cpu: Cpu = False,
) -> None:
    """Train on CIFAR-10 or a folder of images; writes the weights and a record into FOLDER.

    What is not given of the recipe is as in `senet_edu.Recipe`; the record has all of it.
    """
    import dataclasses

    import torch

    from senet_edu import results, training
    from senet_edu.data import DataError
    from senet_edu.data import hold_out as split_off
    from senet_edu.models import Stem, create_model, find

    settings = {field.name: context.params[field.name] for field in dataclasses.fields(training.Recipe)}
    recipe = training.Recipe(**{name: value for name, value in settings.items() if value is not None})
    shape: dict[str, Any] = {"width": width, "reduction": reduction, "min_hidden": min_hidden}
    with torch.device("meta"):
        create_model(model, **shape)  # refuses what cannot be, before images are loaded
    images, labels, classes, source = load_split("train", data, folder_of_images, size)
    side, (known, _) = images.shape[-1], find(model)
    if side < known.smallest:
        raise ValueError(
            f"{model} takes images of at least {known.smallest}×{known.smallest}; these are {side}×{side}: --images, "
            f"--size {known.smallest}"
        )
    if hold_out:
        kept, held = split_off(labels, hold_out, seed=0)
        test_images, test_labels = images[held], labels[held]
        images, labels = images[kept], labels[kept]
        source += f" Trained on {len(images):,} training images, scored on {len(held):,} held out of them."
    elif folder_of_images is not None and not (folder_of_images / "val").is_dir():
        raise DataError(
            f"{folder_of_images} has no val/<class>/ to score on: --hold-out 50 scores on a part of the others"
        )
    else:
        test_images, test_labels, test_classes, _ = load_split("test", data, folder_of_images, size)
        if test_classes != classes:
            raise DataError(f"{folder_of_images}: train/ and val/ have different classes")
    torch.manual_seed(seed)
    fitting: Stem = "imagenet" if side > 64 else "cifar"
    stem = fitting if fitting in known.stems else None  # many networks have one stem only
    network = create_model(model, num_classes=len(classes), stem=stem, **shape)
    started_from = ""
    if start_from is not None:
        earlier = results.load_run(start_from)
        if earlier.config != network.config:
            raise ValueError(f"{start_from} holds {earlier.config}, not {network.config}")
        network.load_state_dict(earlier.state_dict())
        checksum = results.sha256(start_from / "weights.safetensors")
        started_from = f"the weights of the run {start_from.resolve().name} (SHA-256 {checksum})"
    record = results.train_recorded(
        folder,
        network,
        (images, labels),
        (test_images, test_labels),
        recipe,
        data=source,
        seed=seed,
        precision=precision,  # type: ignore[arg-type]
        cpu=cpu,
        compiled=compiled,
        started_from=started_from,
    )
    if not training.processes.is_main():
        return
    accuracy, flipped = record["accuracy"], record["accuracy_flipped"]
    typer.echo(f"{accuracy:.2%} single view, {flipped:.2%} with the mirror image; see {folder / 'record.json'}")


@app.command("models")
def list_networks(
    placement: Annotated[
        str, typer.Option(help="Of the SE blocks: standard, or pre, post, identity, 3x3 (residual networks).")
    ] = "standard",
    bias: Annotated[bool, typer.Option(help="Biases in the SE layers; the paper's ablations have none.")] = True,
) -> None:
    """Count weights and multiply-adds of every named network, and compare with the papers."""
    from typing import get_args

    from senet_edu.models.table import count_models
    from senet_edu.placement import Placement

    if placement not in get_args(Placement):
        raise ValueError(f"placement is one of {', '.join(get_args(Placement))}, not {placement!r}")
    form = "{:23} {:9} {:>13} {:>9} {:>8} {:>7}  {}".format
    typer.echo(form("network", "placement", "parameters", "GMAdds", "printed", "image", "source"))
    notes: dict[str, str] = {}
    missing: dict[str, str] = {}
    for row in count_models(placement, bias, missing):  # type: ignore[arg-type]
        printed = "" if row.printed is None else f"{row.printed:.3g}" if row.printed < 1 else f"{row.printed:.2f}"
        counted = f"{row.multiply_adds / 1e9:.3f}"
        image = f"{row.size[1]}×{row.size[2]}"
        typer.echo(form(row.network, row.placement, f"{row.parameters:,}", counted, printed, image, row.source))
        notes |= {row.network.removeprefix("se_"): row.note} if row.note else {}
    for name, note in (notes | missing).items():
        typer.echo(f"{name}: {note}")


@app.command()
def excitations(
    out: Annotated[Path, typer.Argument(help="Folder for figures, table and statistics.")],
    run: Annotated[Path | None, typer.Option(help="Folder that `senet-edu train` wrote.")] = None,
    weights: Annotated[str | None, typer.Option(help="Shipped weights by name, in place of --run.")] = None,
    data: Data = None,
    folder_of_images: Folder = None,
    size: Size = None,
    cpu: Cpu = False,
) -> None:
    """Record every gate over the test images: per-class figures, a table for all blocks, accuracy with frozen gates.

    A folder of images without train/ and val/ has no test images: all of them are taken, those trained on too.
    """
    import csv

    from senet_edu import figures, results, training
    from senet_edu.excitations import override_gates, record_controls, record_excitations
    from senet_edu.models import se_blocks
    from senet_edu.training.evaluation import count_right

    if run is not None and weights is None:
        name, network = run.resolve().name, results.load_run(run)
    elif weights is not None and run is None:
        name, network = weights, results.load_network(weights)
    else:
        raise ValueError("give either --run FOLDER or --weights NAME")
    started = results.now()
    images, labels, classes, source = load_split("test", data, folder_of_images, size)
    if (known := network.config["num_classes"]) != len(classes):
        raise ValueError(f"the network knows {known} classes, the images have {len(classes)}")
    found = record_excitations(network, images, labels, classes=classes, precision="no", cpu=cpu)
    if se_blocks(network):  # we do not know how those of other libraries begin
        z, untrained = record_controls(network, images, labels, classes=classes, precision="no", cpu=cpu)
    frozen = {block: gates.total_mean for block, gates in found.items()}  # [C] each
    scores = []
    for gates in ({}, frozen):
        with override_gates(network, gates):
            n, right, _ = count_right(network, images, labels, mirror=False, precision="no", cpu=cpu)
        scores.append((right.sum() / n.sum()).item())
    if not training.processes.is_main():
        return
    found.save(out / "excitations.safetensors")
    rows = found.summary()
    record: dict[str, Any] = {"name": f"{name}-gates", "network": name, "data": source, "images": len(images)}
    record |= dict(zip(("accuracy", "accuracy_frozen"), scores, strict=True))
    record |= {str(row["block"]): {key: row[key] for key in row if key != "block"} for row in rows}
    for block in se_blocks(network):
        record[block]["z_specificity"] = z[block].specificity().mean().item()
        record[block]["untrained_specificity"] = untrained[block].specificity().mean().item()
        record[block]["untrained_movement"] = untrained[block].movement().mean().item()
    results.write_record(record | results.circumstances(started), out / "record.json")
    blocks = list(found)
    pictures = {
        "class_means": figures.class_gates(found, blocks, classes[:4]),
        "class_spread": figures.class_gates(found, blocks, classes[:4], spread=True),
        "all_channels": figures.gate_map(found, blocks),
        "distributions": figures.gate_distributions(found, blocks),
    }
    for name, picture in pictures.items():
        (out / f"{name}.png").write_bytes(figures.png(picture))
    with open(out / "summary.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    typer.echo("  ".join(f"{key:>11}" for key in rows[0]))
    for row in rows:
        typer.echo("  ".join(f"{v:>11.3f}" if isinstance(v, float) else f"{v!s:>11}" for v in row.values()))
    typer.echo(f"{scores[0]:.2%} of {len(images):,} images right; with every gate frozen at its mean {scores[1]:.2%}.")
    typer.echo(f"Figures and table are in {out}.")


@app.command()
def bench(
    name: Annotated[str | None, typer.Argument(help="training, recording, …; without a name: what there is.")] = None,
) -> None:
    """Repeat a measurement on this machine, of speed or of faults; writes its record into runs/bench/."""
    import ast
    import subprocess
    import sys

    from senet_edu.course import find_notebooks

    scripts = {path.stem: path for path in sorted((find_notebooks().parent / "benchmarks").glob("*.py"))}
    timed = {stem: path for stem, path in scripts.items() if "runs/bench/" in path.read_text(encoding="utf-8")}
    if name is None:
        for stem, path in timed.items():
            typer.echo(
                f"{stem:12} {(ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or '').splitlines()[0]}"
            )
        return
    if name not in timed:
        raise ValueError(f"no measurement {name!r}; there are {', '.join(timed)}")
    raise SystemExit(subprocess.run([sys.executable, str(timed[name])]).returncode)
