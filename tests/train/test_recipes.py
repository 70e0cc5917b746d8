"""Every shipped recipe begins with the command that runs it, is valid, and can be run dry."""

import re
import tomllib
from pathlib import Path

import pytest
from synthetic import make_episodes

from featx.manifest.episodes import ClassSplit, ClassSplits, ClassSplitsHeader, write_class_splits
from featx.manifest.videos import read_manifest
from featx.settings import gather_task
from featx.train.start import SETTINGS

ROOT = Path(__file__).parents[2]
WORLDS = {
    "recognition": "class_data",
    "localisation": "segment_data",
    "proposals": "segment_data",
    "retrieval": "caption_data",
}
RECIPES = sorted((ROOT / "train" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_recipe(file: Path) -> None:
    command = file.read_text().splitlines()[0]
    assert command.startswith(f"# featx train --recipe train/recipes/{file.name} --to ")
    gather_task(SETTINGS, file, {}, [])


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_dry_run_says_what_is_missing_and_runs_with_data(
    file: Path, request: pytest.FixtureRequest, tmp_path, featx
) -> None:
    world = request.getfixturevalue(WORLDS[tomllib.loads(file.read_text()).get("task", "recognition")])
    missing = tmp_path / "missing"
    data = ["--store", missing, "--manifest", missing]
    outcome = featx("train", "--recipe", file, "--dry-run", "--to", tmp_path / "run", *data)
    lists = sum(word in file.read_text() for word in ("\nepisodes =", "\nclass_split ="))
    said = [line for line in outcome.err.splitlines() if line.startswith("missing: ")]
    assert outcome.code == 2 and len(said) == 2 + lists, outcome.err
    assert "learned parameters" in outcome.out and "GFLOP" in outcome.out
    data = ["--store", world / "features", "--manifest", world / "manifest.jsonl"]
    manifest = read_manifest(world / "manifest.jsonl")
    if "episodes =" in file.read_text():
        make_episodes(manifest, tmp_path / "episodes.jsonl", 2, 3, 4)
        data += ["--episodes", tmp_path / "episodes.jsonl"]
    if "class_split =" in file.read_text():
        split = ClassSplit(name="a", seen=manifest.labels[:4], unseen=manifest.labels[4:])
        header = ClassSplitsHeader(name=manifest.header.name)
        write_class_splits(ClassSplits(header, [split]), tmp_path / "splits.jsonl")
        data += ["--class-split", tmp_path / "splits.jsonl"]
    outcome = featx("train", "--recipe", file, "--dry-run", "--to", tmp_path / "run", *data)
    assert outcome.code == 0, outcome.err
    assert not (tmp_path / "run").exists()


def test_proposals_are_kept_as_actionformers_configurations_say() -> None:
    """test_cfg of configs/thumos_i3d.yaml (multiclass_nms: False) and configs/anet_i3d.yaml."""
    for name, sigma, keep, voting in (("thumos14", 0.5, 200, 0.7), ("activitynet", 0.75, 100, 0.9)):
        recipe = tomllib.loads((ROOT / "train" / "recipes" / f"proposals-{name}.toml").read_text())
        assert (recipe["sigma"], recipe["keep"], recipe["voting"]) == (sigma, keep, voting)


@pytest.mark.parametrize(
    ("layers", "more", "count"),
    [
        *((layers, [], count) for layers, count in enumerate(["39,424", "3,200,000", "6,352,384", "9,504,768", "12,657,152"])),
        (0, ["--positions"], "47,616"),
        (2, ["--no-positions"], "6,344,192"),
    ],
)  # fmt: skip
def test_dry_run_counts_the_papers_parameters_without_weights(
    layers: int, more: list[str], count: str, tmp_path, featx
) -> None:
    words = [
        "--layout",
        "positional",
        "--layers",
        layers,
        *more,
        "--store",
        tmp_path,
        "--manifest",
        tmp_path / "no",
    ]
    outcome = featx("train", "--dry-run", "--to", tmp_path, *words)
    assert outcome.code == 2 and f"# {count} learned parameters" in outcome.out
    learned = "--positions" in more or (layers > 0 and not more)
    assert f"positions = {str(learned).lower()}" in outcome.out.splitlines()


def test_long_recipes_have_the_rate_of_the_released_code() -> None:
    """Over 1,100 steps it is constant but for 1 in 10,000; at step 50,000 it is at 0.855, so saying which matters."""
    for file in RECIPES:
        recipe = tomllib.loads(file.read_text())
        if recipe.get("steps", 0) >= 50_000:
            assert recipe["schedule"] == "released", file


def test_recipes_are_found_by_name_wherever_featx_is(
    tmp_path: Path, featx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    by_name = featx("train", "--recipe", "hmdb51", "--dry-run", "--to", tmp_path / "run")
    by_file = featx(
        "train", "--recipe", ROOT / "train" / "recipes" / "hmdb51.toml", "--dry-run", "--to", tmp_path / "run"
    )
    assert by_name == by_file and "hmdb51.jsonl: cannot read the manifest" in by_name.err
    wrong = featx("train", "--recipe", "hmbd51", "--to", tmp_path / "run")
    assert wrong.code == 2 and "--recipe hmbd51: no such file; did you mean 'hmdb51'" in wrong.err
    elsewhere = featx("train", "--recipe", "train/recipes/hmdb51.toml", "--to", tmp_path / "run")
    assert elsewhere.code == 2 and "comes with featx: --recipe hmdb51" in elsewhere.err
    assert featx("sweep", "hmbd51", "--grid", "prompts=1", "--to", tmp_path / "s").err.startswith(
        "featx: RECIPE"
    )
    (tmp_path / "hmdb51").write_text("steps = 0\n")  # a file of one's own goes first
    assert "--store: is needed" in featx("train", "--recipe", "hmdb51", "--to", tmp_path / "run").err


def test_every_recipe_that_the_documents_name_is_there() -> None:
    names = {file.stem for file in RECIPES}
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = document.read_text()
        named = set(re.findall(r"train/recipes/([\w-]+)\.toml|--recipe ([a-z][\w-]+)(?![\w./-])", text))
        for alternatives in re.findall(r"([\w-]*)\{([\w,-]+)\}([\w-]*)\.toml", text):
            before, middle, after = alternatives
            named |= {(f"{before}{one}{after}", "") for one in middle.split(",")}
        for one, other in named:
            assert (one or other) in names, (document.name, one or other)


def test_there_are_recipes() -> None:
    assert {"moving-shapes-both", "hmdb51", "few-shot-ucf101", "open-set-kinetics700"} <= {
        file.stem for file in RECIPES
    }
    assert {f"retrieval-{name}" for name in ("msrvtt", "lsmdc", "didemo", "smit")} <= {
        file.stem for file in RECIPES
    }
