"""A module that cannot be learned, saved and scored is refused before a run begins, by file, class and way out."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from own_models import write_models

from featx.errors import FeatxError
from featx.model.code.check import PlannedUse, check_own
from featx.model.code.own_temporal import OwnModel, open_own, own_rows
from featx.model.code.source import find_source

WIDTH, FRAMES = 8, 4
PLAIN = PlannedUse(FRAMES)
HEAD = "import random, torch\nfrom torch import nn\n"
CLASS = "class My(nn.Module):\n"
INIT = (
    "    def __init__(self, width):\n        super().__init__()\n        self.w = nn.Linear(width, width)\n"
)
FORWARD = "    def forward(self, clips):\n        "


def open_model(file: Path, name: str = "My", **options: object) -> OwnModel:
    return open_own(find_source(f"{file}:{name}"), options)


def check(file: Path, text: str, use: PlannedUse = PLAIN, **options: object) -> None:
    file.write_text(text)
    check_own(open_model(file, **options), WIDTH, use)


def good(forward: str, init: str = INIT) -> str:
    return HEAD + CLASS + init + FORWARD + forward + "\n"


BAD = {
    "no such class": (HEAD + "class Mine(nn.Module):\n    pass\n", "has no My; its modules are Mine"),
    "no module": (HEAD + "My = 3\n", "My is no class of torch.nn.Module"),
    "a function": (HEAD + "def My(width):\n    return nn.Identity()\n", "is no class of torch.nn.Module"),
    "not Python": ("class My(:\n", "my.py:1: SyntaxError"),
    "a library that is not there": ("import no_such_library\n", "my.py:1: ModuleNotFoundError: .*install it"),
    "an error while it is read": (HEAD + "1 / 0\n", "my.py:3: ZeroDivisionError"),
    "an exit while it is read": ("raise SystemExit(0)\n", "my.py:1: SystemExit"),
    "another constructor": (
        HEAD + CLASS + "    def __init__(self, width, depth):\n        super().__init__()\n",
        r"is made as My\(8\).*takes \(width, depth\).*missing a required argument: 'depth'",
    ),
    "an error in the constructor": (
        HEAD + CLASS + "    def __init__(self, width):\n        raise ValueError('odd')\n",
        r"My\(8\): .*my.py:5: ValueError: odd",
    ),
    "an error in forward": (good("raise ValueError('odd')"), r"forward on clips \(3, 4, 8\): .*my.py:8: ValueError: odd"),
    "no forward": (HEAD + CLASS + INIT, "forward"),
    "another shape": (good("return self.w(clips)"), r"into \(3, 4, 8\); it must return one feature a clip, \(3, 8\)"),
    "no tensor": (good("return self.w(clips).mean(1), 0"), "into tuple"),
    "one clip loses its dimension": (good("return self.w(clips.mean(1)).squeeze()"), r"clips \(1, 4, 8\) into \(8,\)"),
    "half precision": (good("return self.w(clips.mean(1)).half()"), "returns torch.float16; return float32"),
    "parameters of another type": (
        good("return clips.mean(1)", INIT.replace("width, width)", "width, width).double()")),
        "parameter 'w.weight' is torch.float64",
    ),
    "not finite": (good("return self.w(clips.mean(1)) / 0"), "not finite numbers, already with its start values"),
    "zeros": (good("return 0 * self.w(clips.mean(1))"), "returns zeros for a clip"),
    "a gradient that is not finite": (
        good("return self.w(clips.mean(1)) + torch.sqrt(0 * self.w.bias)"),
        "gradient of 'w.bias' is not finite",
    ),
    "no gradient": (good("return self.w(clips.mean(1)).detach()"), "no gradient reaches its 2 parameters"),
    "in place": (good("return self.w(clips.mul_(2).mean(1))"), "changes its clips in place"),
    "numbers from elsewhere": (good("return self.w(clips.mean(1)) * (1 + random.random())"), "draw random numbers from torch alone"),
    "state from batch to batch": (
        good("self.last = getattr(self, 'last', 0) + self.w(clips.mean(1)).detach(); return self.last + self.w(clips[:, 0])"),
        "keep no state from one batch to the next",
    ),
    "dropout that never ends": (
        good("return nn.functional.dropout(self.w(clips.mean(1)), 0.5)"),
        "draws random numbers in eval mode too",
    ),
    "clips that see each other": (good("x = self.w(clips.mean(1)); return x - x.mean(0) / 2"), "depends on the other clips of its batch"),
    "time for batch": (good("return self.w(clips.mean(1)) + clips.mean((0, 1))"), "depends on the other clips of its batch"),
    "weights that nobody sees": (
        good("return self.all[0](clips.mean(1))", INIT.replace("self.w = nn.Linear(width, width)", "self.all = [nn.Linear(width, width)]")),
        "is not the same after it is saved and read again",
    ),
    "one weight, two names": (
        good("return self.w(self.v(clips.mean(1)))", INIT + "        self.v = nn.Linear(width, width)\n        self.v.weight = self.w.weight\n"),
        "cannot be saved and read again .*give each weight one name",
    ),
    "state that is no tensor": (
        good("return self.w(clips.mean(1))") + "    def get_extra_state(self):\n        return {'a': 1}\n",
        "'_extra_state', which is no tensor",
    ),
    "lazy": (
        good("return self.w(clips.mean(1))", INIT.replace("nn.Linear(width, width)", "nn.LazyLinear(width)")),
        "'w.weight' has no shape before the first forward",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said(case: str, tmp_path: Path) -> None:
    text, said = BAD[case]
    with pytest.raises(FeatxError, match=f"(?s)^my.py:My: .*{said}") as caught:
        check(tmp_path / "my.py", text)
    assert "\n" not in str(caught.value)


def test_a_file_of_its_own_has_to_be_there(tmp_path: Path) -> None:
    for reference, said in [
        (f"{tmp_path}/no.py:My", "cannot read .*no.py"),
        (f"{tmp_path}/no.py", "say which class of the file"),
        ("no_such_package.models:My", "no module no_such_package.models is installed"),
        ("math:My", "has no source in Python"),
        ("grue", "no installed package has such an entry point in the group featx.temporal_models"),
        ("a b:My", "must be a file and its class"),
        (f"{tmp_path}/no.py:My.Inner", "must be a file and its class"),
    ]:
        with pytest.raises(FeatxError, match=said):
            find_source(reference)


def test_statistics_of_batches_need_whole_batches(tmp_path: Path) -> None:
    own = open_model(write_models(tmp_path) / "others.py", "WithBatchNorm")
    check_own(own, WIDTH, PLAIN)
    with pytest.raises(FeatxError, match="leave out --accumulate and --devices"):
        check_own(own, WIDTH, PlannedUse(FRAMES, parts=True))


def test_a_running_mean_needs_a_copy(tmp_path: Path) -> None:
    text = good("return self.w(clips.mean(1))", INIT + "        self.many = (n for n in range(3))\n")
    check(tmp_path / "my.py", text)
    with pytest.raises(FeatxError, match="cannot be copied .*--ema"):
        check(tmp_path / "my.py", text, PlannedUse(FRAMES, averaged=True))


def test_options_reach_the_constructor(tmp_path: Path) -> None:
    file = write_models(tmp_path) / "my_gru.py"
    own = open_model(file, "MyGRU", hidden=3)
    check_own(own, WIDTH, PLAIN)
    assert own.build(WIDTH).module.gru.hidden_size == 3
    with pytest.raises(FeatxError, match=r"MyGRU\(8, hiden=3\).*unexpected keyword argument 'hiden'"):
        open_model(file, "MyGRU", hiden=3).build(WIDTH)


def test_the_check_leaves_random_numbers_alone(tmp_path: Path) -> None:
    own = open_model(write_models(tmp_path) / "my_gru.py", "MyGRU", hidden=3, dropout=0.5)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    check_own(own, WIDTH, PLAIN)
    assert torch.equal(torch.rand(3), expected)


def test_the_mask_is_false_where_the_last_row_is_repeated(tmp_path: Path) -> None:
    rows = np.array([[0, 2, 4, 6], [0, 1, 1, 1], [5, 5, 5, 5]])
    mask = own_rows(rows)
    assert mask.tolist() == [[True] * 4, [True, True, False, False], [True, False, False, False]]
    model = open_model(write_models(tmp_path) / "others.py", "MaskedMean").build(WIDTH)
    video = torch.randn(9, WIDTH)
    found = model(video[torch.from_numpy(rows)], torch.from_numpy(mask))
    expected = torch.stack([video[[0, 2, 4, 6]].mean(0), video[:2].mean(0), video[5]])
    torch.testing.assert_close(found, expected)


def test_a_module_that_is_installed_is_found_without_running_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "somebodys_models"
    write_models(package)
    (package / "__init__.py").write_text("raise RuntimeError('this was run')\n")
    monkeypatch.syspath_prepend(tmp_path)
    source = find_source("somebodys_models.mean:Mean")
    assert source.file == (package / "mean.py").resolve() and "somebodys_models" not in sys.modules
    with pytest.raises(FeatxError, match="mean.py:Mean: .*this was run"):
        open_own(source, {})
    (package / "__init__.py").write_text("")
    own = open_own(source, {})
    check_own(own, WIDTH, PLAIN)
    assert own.record.reference == "somebodys_models.mean:Mean" and own.record.source == source.text


def test_an_entry_point_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder as pip leaves it: a package, and the list of entry points beside it."""
    write_models(tmp_path / "more_models")
    (tmp_path / "more_models" / "__init__.py").write_text("")
    for name, entry in (("more_models", "mean = more_models.mean:Mean"), ("others", "mean = more_models.others:MaskedMean")):  # fmt: skip
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[featx.temporal_models]\n{entry}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        FeatxError, match="several packages have that entry point .*more_models.mean:Mean, more_models.others"
    ):
        find_source("mean")
    (tmp_path / "others-1.0.dist-info" / "entry_points.txt").unlink()
    with pytest.raises(FeatxError, match="did you mean 'mean'"):
        find_source("means")
    own = open_own(find_source("mean"), {})
    assert (own.record.label, own.record.name) == ("mean", "Mean")
    check_own(own, WIDTH, PLAIN)
