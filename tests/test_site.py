"""The site, without a browser: every page built, every link and anchor there, pictures described, claims true."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
import torch
import yaml

from senet_edu import figures, results

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
TEXTS = [*sorted((ROOT / "book").glob("*.md")), ROOT / "CONTRIBUTING.md"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

by_text = pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def module(name: str) -> ModuleType:
    """A file of book/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "book" / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found  # where a class looks for its module
    spec.loader.exec_module(found)
    return found


class Tags(HTMLParser):
    """What a page points at, what can be pointed at, and its pictures."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: set[str] = set()
        self.images: list[dict[str, str | None]] = []
        self.feed(read(page))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.ids |= {found[key] for key in ("id", "name") if found.get(key)}
        self.targets += [found[key] for key in ("href", "src") if found.get(key)]
        if tag == "img":
            self.images.append(found)


@pytest.fixture(scope="module")
def built(site: Path) -> dict[Path, Tags]:
    return {page: Tags(page) for page in site.rglob("*.html") if "_static" not in page.parts}


# The pages


def test_every_text_and_notebook_has_its_page(site: Path) -> None:
    """A page that is not in the table of contents would be left out in silence."""
    pages = {page.relative_to(site).as_posix() for page in site.rglob("*.html") if "_static" not in page.parts}
    wanted = {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in (*TEXTS, *NOTEBOOKS)}
    assert pages == wanted | {"index.html", "search.html", "genindex.html"}
    assert 'url=book/index.html"' in read(site / "index.html")


def test_links_and_anchors_resolve(site: Path, built: dict[Path, Tags]) -> None:
    broken, anchors = [], 0
    for page, tags in built.items():
        for target in tags.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            anchors += bool(parts.fragment)
            place = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not place.is_file():
                broken.append(f"{page.relative_to(site)}: {target}")
            elif parts.fragment and place in built and unquote(parts.fragment) not in built[place].ids:
                broken.append(f"{page.relative_to(site)}: {target} (no such place on that page)")
    assert broken == []
    assert anchors > 100


def test_pages_load_nothing_from_other_hosts(site: Path, built: dict[Path, Tags]) -> None:
    """Seen in the text; the browser's tests see it in what is asked for."""
    if not (ROOT / "book" / "_static" / "mathjax" / "tex-mml-chtml.js").exists():
        pytest.skip("npm's files for pages without a kernel are not there")
    for page in built:
        for tag in re.findall(r"<(?:script|img|link|iframe)\b[^>]*>", read(page)):
            assert not re.search(r'(?:src|href)="(?:https?:)?//', tag), (page.name, tag)


def test_every_picture_is_described(built: dict[Path, Tags]) -> None:
    figures = 0
    for page, tags in built.items():
        for image in tags.images:
            assert image.get("alt"), (page.name, str(image)[:200])
            if image["src"].startswith("data:") or image["src"].endswith(".png") and "_images" in image["src"]:
                figures += 1
                assert len(image["alt"]) > 40, (page.name, image["alt"])
    assert figures > 10


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_chapter_can_be_run_and_taken_away(site: Path, built: dict[Path, Tags], notebook: Path) -> None:
    page = site / "notebooks" / f"{notebook.stem}.html"
    links = built[page].targets
    name = REPOSITORY.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{name}/blob/main/notebooks/{notebook.name}"
    assert links.count(colab) == 2  # the theme's button, and the badge
    (download,) = [link for link in links if link.endswith(f"_sources/notebooks/{notebook.name}")]
    assert (page.parent / download).resolve().read_bytes() == notebook.read_bytes()
    assert REPOSITORY in links
    assert any(link.startswith(f"{REPOSITORY}/issues/new") for link in links)
    (badge,) = [image for image in built[page].images if image["alt"] == "Open in Colab"]
    assert badge["src"] == "../_images/colab-badge.svg"


def test_search_knows_the_words_of_the_chapters(site: Path) -> None:
    index = json.loads(read(site / "searchindex.js").removeprefix("Search.setIndex(").removesuffix(")"))
    found = set()
    for kind in ("terms", "titleterms"):
        places = index[kind].get("specif", [])  # stemmed; a page's number, or a list of them
        found |= {index["docnames"][i] for i in ([places] if isinstance(places, int) else places)}
    assert {"notebooks/07_what_the_gates_learned", "notebooks/C_words_and_symbols"} <= found


def test_table_of_run_times_is_the_record(site: Path) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", read(site / "book" / "run_times.html")))
    times = results.load_record("chapter-times")
    for notebook in NOTEBOOKS:
        minutes, seconds = divmod(round(times[notebook.stem]["seconds"]), 60)
        title = re.search(r"^# (.*)$", json.loads(read(notebook))["cells"][0]["source"][0])[1].replace("$", "")
        assert f"{title} {f'{minutes} min ' if minutes else ''}{seconds} s " in text, notebook.stem
    for name in ("se_resnet18", "se_resnet18-quarter", "resnet18-quarter"):
        assert f" {round(results.load_record(name)['seconds']) // 60} min " in text.partition(f" {name} ")[2][:80]
    speeds = results.load_record("training-speed")
    for loop in ("ours", "ours, plain", "notebook", "timm, compiled"):
        assert f" {loop} {speeds[loop]['images_per_second']:.0f} " in text
    assert not re.search(r"\d\s*(s|min|seconds|minutes|hours)\b", read(ROOT / "book" / "run_times.md"))


# Their texts


@by_text
def test_text_agrees_with_the_records(text: Path) -> None:
    assert results.false_claims(read(text)) == []


def test_start_page_sees_in_the_picture_what_is_there() -> None:
    """What it says of frogs, trucks and of lines that part, in the channels that the picture samples."""
    recorded = results.load_excitations("se_resnet18")
    drawn = ("airplane", "cat", "frog", "truck")

    def means(block: str) -> dict[str, torch.Tensor]:
        which = figures.sampled_channels(recorded[block].mean.shape[1], 50)
        return {name: recorded[block].mean[recorded.classes.index(name), which] for name in drawn}

    def apart(block: str) -> torch.Tensor:
        lines = torch.stack(list(means(block).values()))  # [classes, channels]
        return lines.amax(0) - lines.amin(0)

    last = means("SE_5_2")
    assert ((last["frog"] > 0.8) & (last["truck"] < 0.25)).any()
    assert (apart("SE_5_2") > 0.8).any()
    by_stage = [(apart(f"SE_{stage}_1").mean() + apart(f"SE_{stage}_2").mean()) / 2 for stage in (2, 3, 4, 5)]
    assert by_stage == sorted(by_stage)  # from stage to stage further
    assert by_stage[0] < 0.15 < 0.5 < by_stage[-1]


@pytest.mark.parametrize("path", [*TEXTS, ROOT / "book" / "_config.yml", ROOT / "CITATION.cff"], ids=lambda p: p.name)
def test_repository_is_named_as_in_pyproject(path: Path) -> None:
    for link in re.findall(r"https://github\.com/[\w.-]+/[\w.-]+", read(path)):
        assert link == REPOSITORY
    for link in re.findall(r"https://[\w.-]+\.github\.io[^)\s]*", read(path)):
        assert link.startswith(PROJECT["urls"]["Documentation"])


def test_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", read(ROOT / "Makefile"), re.MULTILINE))
    for text in TEXTS:
        assert set(re.findall(r"`make ([a-z]+)", read(text))) <= targets, text.name
    assert targets <= set(re.findall(r"`make ([a-z]+)`", read(ROOT / "CONTRIBUTING.md")))


def test_citation_is_of_this_version() -> None:
    citation = yaml.safe_load(read(ROOT / "CITATION.cff"))
    assert citation["version"] == PROJECT["version"]
    assert citation["repository-code"] == REPOSITORY
    assert citation["license"] in PROJECT["license"].split(" AND ")
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]


def test_publishing_may_do_no_more_than_publish() -> None:
    workflow = yaml.safe_load(read(ROOT / ".github" / "workflows" / "pages.yml"))
    assert workflow["permissions"] == {"contents": "read"}
    build, deploy = workflow["jobs"]["build"], workflow["jobs"]["deploy"]
    assert "permissions" not in build
    assert deploy["permissions"] == {"pages": "write", "id-token": "write"}
    assert deploy["needs"] == "build"
    assert ["make", "site"] in [step["run"].split()[:2] for step in build["steps"] if "run" in step]
    assert build["steps"][-1]["with"]["path"] == "_build/html"
    assert workflow[True]["push"] == {"branches": ["main"]}  # YAML reads "on" as true


# What it is made with


def test_without_npm_a_network_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extension = module("course_site")
    monkeypatch.setattr(extension, "BOOK", tmp_path)
    yml = yaml.safe_load(read(ROOT / "book" / "_config.yml"))["sphinx"]["config"]
    config = SimpleNamespace(mathjax_path=yml["mathjax_path"], nb_ipywidgets_js=yml["nb_ipywidgets_js"])
    extension.without_npm(None, config)
    versions = " ".join((config.mathjax_path, *config.nb_ipywidgets_js))
    for package in module("fetch").PACKAGES[:3]:
        name, _, version = package.name.rpartition("@")
        assert re.search(rf"https://\S+/{name}@({version}|{version.split('.')[0]})/", versions), package.name

    for path in (yml["mathjax_path"], *yml["nb_ipywidgets_js"]):
        (tmp_path / "_static" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "_static" / path).touch()
    config = SimpleNamespace(mathjax_path=yml["mathjax_path"], nb_ipywidgets_js=yml["nb_ipywidgets_js"])
    extension.without_npm(None, config)
    assert (config.mathjax_path, config.nb_ipywidgets_js) == (yml["mathjax_path"], yml["nb_ipywidgets_js"])


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """An npm that knows one package, of two files; returns its archive, or fails with the message given."""
    (tmp_path / "a.js").write_text("wanted", encoding="utf-8")
    archive = tmp_path / "package.tgz"
    with tarfile.open(archive, "w:gz") as out:
        out.add(tmp_path / "a.js", "package/dist/deep/a.js")
        out.add(tmp_path / "a.js", "package/dist/b.txt")
    commands = tmp_path / "bin"
    commands.mkdir()
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")

    def install(trouble: str = "") -> Path:
        act = f"echo {trouble} >&2; exit 1" if trouble else f'cp "{archive}" "${{@: -1}}"'
        (commands / "npm").write_text(f"#!/usr/bin/env bash\n{act}\n", encoding="utf-8")
        (commands / "npm").chmod(0o755)
        return archive

    return install


@pytest.mark.skipif(sys.platform == "win32", reason="the made-up npm is a shell script")
def test_fetch_keeps_what_is_wanted_and_refuses_another_archive(tmp_path: Path, npm: Callable[..., Path]) -> None:
    fetch = module("fetch")
    checksum = hashlib.sha256(npm().read_bytes()).hexdigest()
    package = fetch.Package("p@1", checksum, tmp_path / "target", "package/dist/", ("*.js",))
    fetch.fetch(package)
    assert [path.relative_to(tmp_path / "target").as_posix() for path in (tmp_path / "target").rglob("*.*")] == [
        "deep/a.js"
    ]
    with pytest.raises(SystemExit, match="not the archive that was expected"):
        fetch.fetch(package._replace(checksum="0" * 64, target=tmp_path / "other"))
    npm("no such package")
    with pytest.raises(SystemExit, match="could not fetch p@1: no such package"):
        fetch.fetch(package._replace(target=tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_clean_takes_all_that_was_built_or_fetched() -> None:
    """Whatever git ignores and the site's making leaves behind."""
    recipe = read(ROOT / "Makefile").partition("\nclean:\n")[2]
    for target in {package.target for package in module("fetch").PACKAGES} | {ROOT / "_build"}:
        assert target.relative_to(ROOT).as_posix() in recipe
    ignored = subprocess.run(
        ["git", "check-ignore", "book/_static/mathjax/a.js", "tests/js/fetched/axe.min.js", "_build/html/index.html"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if ignored.returncode != 128:  # a copy without git has nothing to ignore
        assert len(ignored.stdout.split()) == 3
