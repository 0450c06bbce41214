"""Records of runs and shipped weights: package data, so that an installed course has them.

A record is one JSON file a run: what was trained on what, when and where, and what came out. A number in a
chapter about our own runs is read from a record.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from senet_edu.data import CIFAR10_CLASSES, Images
from senet_edu.excitations import Excitations
from senet_edu.files import write_atomically
from senet_edu.models import NamedNetwork, create_model
from senet_edu.training import Evaluation, Recipe, Run, describe, evaluate, fit, processes
from senet_edu.training.machine import Precision

ASSETS = Path(str(files("senet_edu"))) / "assets"
RECORDS, WEIGHTS, EXCITATIONS = ASSETS / "records", ASSETS / "weights", ASSETS / "excitations"


class AssetError(RuntimeError):
    """A record or weights file of the package is missing or damaged; the message names it."""


def make_record(name: str, model: dict[str, Any], run: Run, evaluation: Evaluation, data: str) -> dict[str, Any]:
    """All that is needed to understand a run and to repeat it.

    Args:
        name: of the record, and of its file.
        model: `config` of the network: the arguments of `create_model`.
        run: as `fit` returned it.
        evaluation: on the test images.
        data: what the images were, in a sentence.
    """
    return {
        "name": name,
        "model": model,
        "recipe": dataclasses.asdict(run.recipe),
        "seed": run.seed,
        "data": data,
        "accuracy": evaluation.accuracy,
        "accuracy_flipped": evaluation.flipped,
        "accuracy_per_class": evaluation.per_class,
        "history": run.history,
        "seconds": run.seconds,
        "precision": run.precision,
        "compiled": run.compiled,
        "processes": run.processes,
        "device": run.device,
        **circumstances(run.started),
    }


def train_recorded(
    folder: str | Path,
    model: nn.Module,
    train: tuple[Images, Tensor],
    test: tuple[Images, Tensor],
    recipe: Recipe,
    *,
    config: dict[str, Any],
    data: str,
    seed: int = 0,
    precision: Precision | None = None,
    cpu: bool = False,
    compiled: bool = False,
) -> dict[str, Any]:
    """Train `model` in place, write its float16 weights and its record into `folder`, and return the record.

    What is scored is what is written: weights rounded to float16, computed in float32. Under a launcher every process
    calls this; the first one writes.

    Args:
        folder: its name is the record's. A run there that was stopped goes on.
        model: the network; its seed is that of `seed`, see `training.fit`.
        train, test: uint8 images [n, C, H, W], or those of a folder, and labels [n].
        recipe, seed, precision, cpu, compiled: as in `training.fit`.
        config, data: see `make_record`.
    """
    folder = Path(folder)
    run = fit(model, *train, recipe, seed=seed, folder=folder, precision=precision, cpu=cpu, compiled=compiled)
    name = folder.resolve().name
    checksum = ""
    if processes.is_main():
        weights = folder / "weights.safetensors"
        checksum = save_weights(model, weights, {"record": name})
        load_weights(model, weights, checksum)
    model.load_state_dict(processes.from_main(model.state_dict(), cpu))
    evaluation = evaluate(model, *test, precision="no", cpu=cpu)
    record = make_record(name, config, run, evaluation, data) | {"weights_sha256": checksum}
    if processes.is_main():
        write_record(record, folder / "record.json")
    return processes.from_main(record, cpu)


def circumstances(started: str) -> dict[str, Any]:
    """Where and when, as every record ends: the machine and its versions, the commit, begin and end (UTC, ISO 8601)."""
    return {
        "machine": describe(),
        "commit": commit(),
        "started": started,
        "finished": now(),
    }


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def compare(name: str, baseline: Sequence[str], changed: Sequence[str]) -> dict[str, Any]:
    """Single-view accuracies of two kinds of network on one recipe, paired by seed, from the shipped records.

    Args:
        name: of the comparison.
        baseline, changed: names of records, in the same order of seeds.

    Returns:
        Seeds, both lists of accuracies and their means (shares, 0 to 1), and the mean and standard error of the
        differences, changed minus baseline, in percentage points.

    Raises:
        ValueError: fewer than two pairs, or records that are not of the same seeds, recipe and data.
    """
    if len(baseline) < 2:
        raise ValueError("a spread needs at least two pairs of runs")
    pairs = [(load_record(b), load_record(c)) for b, c in zip(baseline, changed, strict=True)]
    for before, after in pairs:
        if any(before[key] != after[key] for key in ("seed", "recipe", "data")):
            raise ValueError(f"{before['name']} and {after['name']} differ in seed, recipe or data")
    accuracies = [(before["accuracy"], after["accuracy"]) for before, after in pairs]
    differences = [100 * (after - before) for before, after in accuracies]
    return {
        "name": name,
        "data": pairs[0][0]["data"],
        "seeds": [record["seed"] for record, _ in pairs],
        "baseline": [before for before, _ in accuracies],
        "changed": [after for _, after in accuracies],
        "baseline_mean": statistics.mean(before for before, _ in accuracies),
        "changed_mean": statistics.mean(after for _, after in accuracies),
        "difference_points": statistics.mean(differences),
        "standard_error_points": statistics.stdev(differences) / len(differences) ** 0.5,
    }


def summarise_trials(name: str, baseline: str, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Trials of several seeds each beside those of the baseline: accuracy, and what became of the gates.

    Args:
        name: of the summary.
        baseline: the trial that the others are compared with, seed by seed.
        records: of single runs, each with its "trial", "what" that is (in words), "seed" and "accuracy", and for each
            block "movement", "specificity" and what is left of the norms of W₁ and W₂ ("w1_norm_kept", "w2_norm_kept").

    Returns:
        Per trial: seeds; mean and standard deviation of the accuracy (shares); mean and standard error of its
        difference from the baseline over common seeds (points; None with fewer than two); per block the mean over
        seeds of movement and specificity; the least movement and the least norm kept of any block and seed.
    """
    runs: dict[str, dict[int, dict[str, Any]]] = {}
    for record in sorted(records, key=lambda r: (r["trial"] != baseline, r["trial"], r["seed"])):
        runs.setdefault(record["trial"], {})[record["seed"]] = record
    summary: dict[str, Any] = {"name": name, "baseline": baseline, "trials": {}}
    for trial, by_seed in runs.items():
        accuracies = [record["accuracy"] for record in by_seed.values()]
        common = sorted(by_seed.keys() & runs[baseline].keys()) if trial != baseline else []
        points = [100 * (by_seed[seed]["accuracy"] - runs[baseline][seed]["accuracy"]) for seed in common]
        enough = len(points) > 1
        row: dict[str, Any] = {
            "what": next(iter(by_seed.values()))["what"],
            "seeds": sorted(by_seed),
            "accuracy": statistics.mean(accuracies),
            "accuracy_sd": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
            "difference_points": statistics.mean(points) if enough else None,
            "standard_error_points": statistics.stdev(points) / len(points) ** 0.5 if enough else None,
        }
        blocks = [key for key in next(iter(by_seed.values())) if key.startswith("SE_")]
        for measure in ("movement", "specificity"):
            row[measure] = {b: statistics.mean(record[b][measure] for record in by_seed.values()) for b in blocks}
        if blocks:
            each = [record[b] for record in by_seed.values() for b in blocks]
            row["least_movement"] = min(block["movement"] for block in each)
            row["least_norm_kept"] = min(min(block["w1_norm_kept"], block["w2_norm_kept"]) for block in each)
        summary["trials"][trial] = row
    return summary


def commit() -> str:
    """The commit of the checkout that runs, with "+changes" if it has any; the package's version outside one."""
    import subprocess
    from importlib.metadata import version

    def git(*arguments: str) -> str:
        call = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != Path(__file__).resolve().parents[1]:
            raise FileNotFoundError("an installed package inside somebody else's repository")
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return f"senet-edu {version('senet-edu')}"


def write_record(record: dict[str, Any], path: str | Path) -> None:
    """Write a record as JSON."""
    text = json.dumps(record, indent=1) + "\n"
    write_atomically(Path(path), lambda temporary: Path(temporary).write_text(text, encoding="utf-8"))


def list_records() -> list[str]:
    """Names of the records that the package ships; those of trials begin with the name of their folder."""
    return sorted(path.relative_to(RECORDS).with_suffix("").as_posix() for path in RECORDS.rglob("*.json"))


def load_record(name: str) -> dict[str, Any]:
    """A shipped record by name.

    Raises:
        AssetError: there is none of that name.
    """
    path = RECORDS / f"{name}.json"
    if not path.exists():
        raise AssetError(f"no record {name!r} in {RECORDS}; there are {', '.join(list_records()) or 'none'}")
    return json.loads(path.read_text(encoding="utf-8"))


def look_up(claim: str) -> Any:
    """A value by "record.key.key", e.g. "se_resnet18-quarter.accuracy"; list items by number.

    Raises:
        AssetError: no such record, or no such key in it.
    """
    name, *keys = claim.split(".")
    value = load_record(name)
    for key in keys:
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise AssetError(f"record {name!r} has no {'.'.join(keys)}") from error
    return value


CLAIM = re.compile(r"(?P<number>-?\d[\d,]*\.?\d*)\s?(?P<unit>%|[a-z]*)<!--\s*record:\s*(?P<claim>\S+)\s*-->")


def false_claims(text: str) -> list[str]:
    """Numbers in prose that their record does not bear out.

    A number about our own runs carries its source behind it: ``84.3 %<!-- record: se_resnet18-quarter.accuracy -->``.
    It holds if the record's value, as a percentage where there is a % sign, rounds to it.

    Returns:
        A sentence for each that does not hold.
    """
    wrong = []
    if (annotations := len(re.findall(r"<!--\s*record:", text))) != (read := len(CLAIM.findall(text))):
        wrong.append(f"{annotations - read} of {annotations} comments that name a record have no number before them")
    for match in CLAIM.finditer(text):
        said = match["number"].replace(",", "")
        value = float(look_up(match["claim"])) * (100 if match["unit"] == "%" else 1)
        decimals = len(said.partition(".")[2])
        if f"{round(value, decimals) + 0.0:.{decimals}f}" != said:  # + 0.0 makes -0.0 plain
            wrong.append(f"the text says {match['number']} {match['unit']}, {match['claim']} is {value}")
    return wrong


def save_weights(model: nn.Module, path: str | Path, about: dict[str, Any]) -> str:
    """Write a network's weights as float16 safetensors (counters stay integers), with `about` in the header.

    Returns:
        The file's SHA-256.
    """
    from safetensors.torch import save_file

    tensors = {k: half(v).contiguous().cpu() for k, v in model.state_dict().items()}
    header = {"about": json.dumps(about)}
    write_atomically(Path(path), lambda temporary: save_file(tensors, temporary, metadata=header))
    return sha256(Path(path))


def half(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def list_weights() -> list[str]:
    """Names of the weights that the package ships; each has a record of the same name."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def model_card(name: str) -> str:
    """What a reader of shipped weights should know, in Markdown, from their record."""
    record = load_record(name)
    machine, model, recipe = record["machine"], record["model"], record["recipe"]
    image = "the mirror image's logits added"
    per_class = zip(record.get("classes", CIFAR10_CLASSES), record["accuracy_per_class"], strict=True)
    return f"""# {name}

- **Network:** {settings_in_words(model)}
- **Weights:** float16 safetensors, SHA-256 `{record["weights_sha256"]}`
- **Trained and scored on:** {record["data"]}
- **Accuracy on the 10,000 test images:** {record["accuracy"]:.2%} single view, {record["accuracy_flipped"]:.2%} with \
{image}. By class: {", ".join(f"{k} {a:.1%}" for k, a in per_class)}.
- **Recipe:** {settings_in_words(recipe)}; SGD with Nesterov momentum. Seed {record["seed"]}.
- **Hardware:** {machine["processor"]}, accelerator: {machine["accelerator"]}; {record["device"]}, precision \
{record["precision"]}, {record["processes"]} process(es), {record["seconds"] / 60:.0f} minutes; torch {machine["torch"]}
- **Run:** {record["started"]} to {record["finished"]}, commit `{record["commit"]}`
- **Licence:** MIT, as the code. The images are CIFAR-10 (Krizhevsky, 2009).
- **Limits:** made to study SE blocks and to teach with. It knows ten classes at 32×32 pixels, says one of them of any \
picture, and its logits are not calibrated. One seed: another gives another network.
"""


def settings_in_words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())


def load_network(name: str) -> NamedNetwork:
    """The network that the shipped weights `name` belong to, with those weights, as its record describes it.

    Raises:
        AssetError: there are none of that name, or they are damaged.
    """
    record = load_record(name)
    return restore(record, WEIGHTS / f"{name}.safetensors")


def load_run(folder: str | Path) -> NamedNetwork:
    """The network that `senet-edu train FOLDER` trained.

    Raises:
        AssetError: the folder holds no finished run, or its weights are damaged.
    """
    path = Path(folder) / "record.json"
    if not path.exists():
        raise AssetError(
            f"no finished run in {folder}: {path.name} is missing. `senet-edu train {folder}` goes on with it."
        )
    return restore(json.loads(path.read_text(encoding="utf-8")), path.with_name("weights.safetensors"))


def restore(record: dict[str, Any], path: Path) -> NamedNetwork:
    """Build a record's network and put in its weights, whose checksum the record knows."""
    model = create_model(**record["model"])
    load_weights(model, path, record["weights_sha256"])
    return model


def load_weights(model: nn.Module, path: Path, checksum: str) -> None:
    """Put a weights file into a network; an AssetError if it is missing or its SHA-256 is not `checksum`."""
    from safetensors.torch import load_file

    if not path.exists():
        raise AssetError(f"{path} is missing")
    if sha256(path) != checksum:
        raise AssetError(f"{path} is damaged: its checksum is not the one in its record. Fetch or train it again.")
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()})


def load_pretrained(model: nn.Module, config: dict[str, Any], wanted: bool | str) -> None:
    """Put shipped weights into a network.

    Args:
        model: the network.
        config: the arguments of `create_model` it was built with.
        wanted: a name of shipped weights, or True for those of this very network.

    Raises:
        ValueError: no shipped weights have that name, or fit this network.
        AssetError: the file's checksum is not the one in its record.
    """
    records = {name: load_record(name) for name in list_weights()}
    for name, record in records.items():
        if wanted in (True, name) and config_of(record) == config:
            return load_weights(model, WEIGHTS / f"{name}.safetensors", record["weights_sha256"])
    have = "; ".join(f"{name}: {record['model']}" for name, record in records.items()) or "none"
    raise ValueError(
        f"no shipped weights{f' {wanted!r}' if wanted is not True else ''} for {config}. There are: {have}"
    )


def config_of(record: dict[str, Any]) -> dict[str, Any]:
    """All arguments that build a record's network; one younger than the record stands at its default."""
    with torch.device("meta"):  # shapes without values: nothing is computed
        return create_model(**record["model"]).config


def load_excitations(name: str) -> Excitations:
    """Shipped statistics of the gates of the network `name` over the test images.

    Raises:
        AssetError: there are none of that name.
    """
    path = EXCITATIONS / f"{name}.safetensors"
    if not path.exists():
        raise AssetError(f"no recorded excitations {name!r} in {EXCITATIONS}")
    return Excitations.load(path)
