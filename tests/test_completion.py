"""What a shell offers when the Tab key is pressed: what the code knows, and values that it accepts."""

import os
import subprocess
import sys
import tomllib
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter

from featx.cli import COMMANDS
from featx.completion import one_of, some_of
from featx.evaluate.run.settings import EvalSettings, PredictSettings, RetrieveSettings
from featx.evaluate.search.exact.settings import SearchSettings
from featx.extract.plan.settings import ExtractSettings
from featx.settings import Settings, complete_assignments
from featx.train.adapter.settings import TrainSettings
from featx.train.detector.settings import ProposalSettings


def complete(*words: str) -> tuple[list[str], str]:
    """Asks as bash does what the last word may become; returns the answers, and what is said to the terminal."""
    line = " ".join(["featx", *words])
    asked = {"_FEATX_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['featx']; from featx.cli import main; main()"],
        env=os.environ | asked | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    return done.stdout.split(), done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ext", ["extract"]),
        ("store c", ["convert", "compact"]),
        ("extract --precis", ["--precision"]),
        ("extract --precision b", ["bf16"]),
        ("extract --model ViT-L", ["ViT-L/14", "ViT-L/14@336px"]),
        ("search s --device c", ["cpu", "cuda"]),
        ("train --recipe few-shot-h", ["few-shot-hmdb51"]),
        ("train --task pro", ["proposals"]),
        ("train --set layo", ["layout=sequence", "layout=positional"]),
        ("train --set prompts", ["prompts=16"]),
        ("sweep hmdb51 --grid prompts=2,4 layers", ["layers=2"]),
        ("eval --normalise dual-softmax,", ["dual-softmax,query-bank"]),
        ("table op", ["open-set"]),
        ("--log-format j", ["json"]),
        ("extract ./vid", []),  # the shell offers files
        ("extrct --pre", []),  # and nothing is written onto the line that somebody types
    ],
)
def test_a_shell_completes(words: str, expected: list[str]) -> None:
    assert complete(*words.split()) == (expected, "")


def test_commands_are_completed() -> None:
    assert complete("") == (list(COMMANDS), "")


def test_what_is_offered_is_what_the_code_knows() -> None:
    import clip

    from featx.clip.choices import MODELS
    from featx.data_manifests.building.names import TEXT_RULES
    from featx.data_manifests.official.info.read import read_dataset_info
    from featx.data_manifests.official.msrvtt import PROTOCOLS
    from featx.evaluate.baselines.cli import METHOD_NAMES
    from featx.evaluate.baselines.make import METHODS
    from featx.evaluate.predict import cli as predict_cli
    from featx.evaluate.predict import output
    from featx.evaluate.report.format_option import FORMAT_NAMES
    from featx.evaluate.report.kinds import KINDS
    from featx.evaluate.report.table import FORMATS
    from featx.evaluate.tables.cli import KIND_NAMES

    assert set(MODELS.values) == {*clip.available_models(), "tiny", "siglip:tiny"}
    assert list(FORMATS) == list(FORMAT_NAMES) and output.FORMATS == predict_cli.FORMAT_NAMES
    assert list(KINDS) == list(KIND_NAMES) and METHODS == METHOD_NAMES
    offered = {
        "manifest csv x --class-text ": set(TEXT_RULES),
        "manifest msrvtt --protocol ": set(PROTOCOLS),
        "manifest thumos14 --exclude ": set(read_dataset_info("thumos14").exclusions),
    }
    for words, values in offered.items():
        assert set(complete(*words.split(" "))[0]) == values


def accepts(field: Any, text: str) -> bool:
    """Whether a setting takes a value as it is typed behind --set."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.split(",") if "list" in str(field.annotation) else text
    kind = TypeAdapter(Annotated[field.annotation, "setting", *field.metadata])
    return kind.validate_python(value) is not None


@pytest.mark.parametrize(
    "kind",
    [
        TrainSettings,
        ProposalSettings,
        ExtractSettings,
        EvalSettings,
        RetrieveSettings,
        PredictSettings,
        SearchSettings,
    ],
)
def test_every_setting_is_offered_with_values_that_it_takes(kind: type[Settings]) -> None:
    words = [word.partition("=") for word in complete_assignments(kind)("")]
    assert {name for name, _, _ in words} == set(kind.model_fields)
    given = [(name, value) for name, _, value in words if value]
    assert len(given) > len(kind.model_fields) / 2
    assert all(accepts(kind.model_fields[name], value) for name, value in given)


def test_of_a_list_each_value_is_offered_once() -> None:
    assert some_of(["a", "ab", "c"])("c,a") == ["c,a", "c,ab"]
    assert some_of(["a", "c"])("a,c,") == []
    assert one_of(lambda: ["x", "y"])("y") == ["y"]
