"""The examples of README and docs: what they are, in the order of a page, and what is changed to run them here."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# Lines that are not run, by the reason. All but the last group are still parsed by the command's own parser.
ABBREVIATED = re.compile(r"…|RECIPE|featx eval RUN ")
NOT_HERE = {
    "needs the official annotation files; tests/data_manifests runs these commands on files of their form": re.compile(
        r"featx manifest (hmdb51|ucf101|kinetics|thumos14|activitynet |msrvtt|lsmdc|didemo|smit)|activity_net.v1-3"
    ),
    "needs the authors' class lists or checkpoint": re.compile(
        r"--lists |--train-list |featx adapter import|few_shot/5way"
    ),
    "needs a GPU": re.compile(r"cuda"),
    "needs several machines; tests/extract/parts runs it": re.compile(r"/shared/features"),
    "needs a bucket, or a cluster; tests of stores and parts run it": re.compile(r"s3://"),
    "needs weights of other libraries; tests/encoders/test_families_in_the_pipeline.py runs it with random ones": re.compile(
        r"(hf-clip|siglip|align|open_clip):|features/siglip"
    ),
    "serves until it is stopped; tests/evaluate/serve runs it": re.compile(r"featx serve"),
    "is about a run that the page does not make": re.compile(r"runs/open|runs/seen --proposals|demo/r-1"),
}
WITHOUT_A_RUN = {"docs/results.md": "measured results; the commands take hours together"}

# Real weights and data sets are not here; long trainings have no place in a test.
SUBSTITUTES = {
    "ViT-B/16": "tiny",
    " --store S ": " --store features/mine ",
    " --manifest M ": " --manifest mine.jsonl ",
    " /data/features": " data/features",
    'to="runs/both")': 'to="runs/both", steps=3, batch_size=4)',
}
SHORTER = {
    "train": "--set steps=3 --set batch_size=4 --set warmup=0",
    "sweep": "--set steps=2 --set batch_size=4 --set warmup=0",
    "manifest moving-shapes": "--train 2 --test 1",
    "manifest episodes": "--ways 2 --shots 1 --episodes 2",
    "extract videos": "--model tiny",
}
# A block of Python that the page says to save as a file.
FILES = {"class MyGRU": "my_gru.py"}


@dataclass(frozen=True)
class Example:
    """A command or a block of Python on a page.

    Attributes:
        page: The page, as the repository names it.
        line: Where it begins.
        text: The command line, or the Python.
        is_python: Which of both.
    """

    page: str
    line: int
    text: str
    is_python: bool

    @property
    def reason(self) -> str | None:
        """Why it is not run; None if it is."""
        if self.is_python:
            return "needs a bucket; tests/store/test_remote.py runs it" if "s3://" in self.text else None
        if self.page in WITHOUT_A_RUN:
            return WITHOUT_A_RUN[self.page]
        if ABBREVIATED.search(self.text):
            return "is abbreviated"
        return next((reason for reason, found in NOT_HERE.items() if found.search(self.text)), None)

    def as_run(self) -> str:
        """Returns it with what stands in for real weights and data sets."""
        text = self.text
        for real, substitute in SUBSTITUTES.items():
            text = text.replace(real, substitute)
        for command, words in SHORTER.items():
            if not self.is_python and text.startswith(f"featx {command} ") and "--dry-run" not in text:
                text = f"{text.partition('  #')[0]} {words}"
        return text

    def words(self) -> list[str]:
        """Returns a command's words, without featx and comments."""
        words = shlex.split(self.as_run(), comments=True)[1:]
        return [
            found
            for word in words
            for found in ((sorted(map(str, Path().glob(word))) or [word]) if "*" in word else [word])
        ]


def examples_of(page: Path) -> Iterator[Example]:
    """Yields the commands of featx and the Python blocks of a page, from top to bottom."""
    name = page.relative_to(ROOT).as_posix()
    fence, block, began = None, [], 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            if fence == "python":
                yield Example(name, began, "\n".join(block) + "\n", True)
            fence, block, began = (None, [], 0) if fence is not None else (line[3:].strip(), [], number + 1)
        elif fence is not None:
            block.append(line)
        elif line.startswith("    featx "):
            yield Example(name, number, line.strip(), False)


EXAMPLES = [example for page in PAGES for example in examples_of(page)]
