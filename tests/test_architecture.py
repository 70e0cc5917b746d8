"""The rules of the architecture, checked on the source: who may import whom, and no circles between rooms."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAGES = ("extract", "train", "evaluate", "data_manifests")
# Everybody's, at the root of featx/; whatever else is shared has a room.
EVERYBODYS = {
    *(
        "__init__",
        "__main__",
        "cli",
        "completion",
        "devices",
        "errors",
        "help_pages",
        "named_values",
        "page_layout",
        "processes",
        "ray_cluster",
        "settings",
        "signals",
    )
}
# What `import featx` offers is listed there: names and modules as text, and the same imports for type checkers.
LIST_OF_NAMES = "featx"


def name_of(file: Path) -> str:
    """The dotted name that a module is imported by when featx is installed."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(
        part for part in (("featx", *parts) if parts[0] in STAGES else parts) if part != "__init__"
    )


FILES = {name_of(file): file for top in ("featx", *STAGES) for file in (ROOT / top).rglob("*.py")}


def stage_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in STAGES else "featx"


def room_of(module: str) -> str:
    """The package that a module lies in."""
    return module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]


def imports_of(module: str) -> Iterator[tuple[str, bool, int]]:
    """Yields what a module imports of ours, whether relatively, and the line; imports inside functions too."""
    package = room_of(module).split(".")
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            whole = ".".join(base)
            names = [
                f"{whole}.{alias.name}" if f"{whole}.{alias.name}" in FILES else whole for alias in node.names
            ]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "featx":
                yield name, isinstance(node, ast.ImportFrom) and node.level > 0, node.lineno


IMPORTS = [(module, *one) for module in FILES for one in imports_of(module)]


def test_the_rules_look_at_something() -> None:
    assert len(FILES) > 250 and len(IMPORTS) > 800
    assert {stage_of(module) for module in FILES} == {"featx", *STAGES}


def test_every_import_names_a_module_of_ours() -> None:
    assert [one for one in IMPORTS if one[1] not in FILES] == []


def test_stages_meet_only_on_disk() -> None:
    """A stage imports the shared part and itself; the shared part imports no stage."""
    broken = [
        (module, name, line)
        for module, name, _, line in IMPORTS
        if stage_of(name) not in ("featx", stage_of(module)) and module != LIST_OF_NAMES
    ]
    assert broken == []


def test_imports_inside_a_stage_are_relative() -> None:
    """So editors and type checkers follow them: a stage's folder does not lie in featx/ before it is installed."""
    broken = [
        (module, name, line)
        for module, name, relative, line in IMPORTS
        if relative != (stage_of(module) != "featx" and stage_of(name) == stage_of(module))
    ]
    assert broken == []


def test_only_what_is_everybodys_lies_at_the_root() -> None:
    assert {file.stem for file in (ROOT / "featx").glob("*.py")} == EVERYBODYS


@pytest.mark.parametrize("stage", ["featx", *STAGES])
def test_rooms_do_not_go_round_in_circles(stage: str) -> None:
    needs: dict[str, set[str]] = defaultdict(set)
    for module, name, *_ in IMPORTS:
        ours, theirs = room_of(module), room_of(name)
        if stage_of(module) == stage_of(name) == stage and ours != theirs and theirs != "featx":
            needs[ours].add(theirs)
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
    assert len(order) > 2


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_leads_back_up(stage: str) -> None:
    """Only what starts a stage lies at its root: rooms do not import it."""
    root = f"featx.{stage}"
    assert [
        one for one in IMPORTS if room_of(one[1]) == root and room_of(one[0]).startswith(f"{root}.")
    ] == []


def test_only_the_encoders_know_the_libraries_of_image_text_models() -> None:
    """All else sees an `ImageTextModel`, whatever family it is of; imports for type checkers count too."""
    libraries = {"clip", "huggingface_hub", "open_clip", "timm", "tokenizers", "transformers"}
    found = {
        (name, alias.partition(".")[0])
        for name, file in FILES.items()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0)
        for alias in ([one.name for one in node.names] if isinstance(node, ast.Import) else [node.module])
        if alias.partition(".")[0] in libraries
    }
    assert {name for name, _ in found if room_of(name) != "featx.encoders"} == set()
    assert "clip" in {library for _, library in found}
