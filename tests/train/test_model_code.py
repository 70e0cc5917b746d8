"""A temporal model in a file outside the repository is trained, saved and scored like featx's own, and asked for before it runs."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from own_models import GRU, write_models
from safetensors.numpy import load_file
from synthetic import make_episodes
from test_train_resume import assert_same, log_of, start, steps_logged, when

from featx.errors import FeatxError
from featx.manifest.videos import read_manifest
from featx.model.adapter import load_adapter, read_header
from featx.scoring.results import read_results

SETTINGS = [
    "--prompts", 2, "--batch-size", 8, "--strides", "1,2", "--stride-weights", "1,1", "--learning-rate", 1e-3, "--device", "cpu",
]  # fmt: skip
GRU_OPTIONS = ["--model-option", "hidden=16", "--model-option", "dropout=0.2"]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_models(tmp_path / "models")


@pytest.fixture
def train(order_data: Path, tmp_path: Path, featx):
    def run(name: str, *words: object, code: int = 0):
        outcome = featx(*words_of(order_data, tmp_path / name, *words))
        assert outcome.code == code, outcome.err
        return tmp_path / name if code == 0 else outcome.err

    return run


def words_of(data: Path, run: Path, *words: object) -> list[object]:
    where = ["--store", data / "features", "--manifest", data / "manifest.jsonl", "--to", run]
    return ["train", *where, *SETTINGS, *words]


def rows(outcome) -> list[dict]:
    assert outcome.code == 0, outcome.err
    found: list[dict] = json.loads(outcome.out)["rows"]
    return found


def test_a_gru_of_somebody_stands_in_one_table_with_a_run_of_featx(train, models: Path, featx) -> None:
    code = f"{models}/my_gru.py:MyGRU"
    both = train("both", "--layers", 1, "--steps", 120)
    gru = train("gru", "--steps", 120, "--model-code", code, *GRU_OPTIONS)
    header = read_header(gru / "adapter.safetensors")
    assert header.config.model_code is not None
    assert header.config.model_code.options == {"hidden": 16, "dropout": 0.2}
    assert header.config.model_code.source == (models / "my_gru.py").read_text()
    assert (header.featx_adapter, header.config.layers, header.config.positions) == (2, 0, False)

    first, second = rows(featx("eval", gru, both, "--trust-code", "--format", "json"))
    sha256 = header.config.model_code.sha256
    assert first["learned"] == f"prompts 2+X+2, my_gru.py:MyGRU {sha256[:8]}"
    assert second["learned"] == "prompts 2+X+2, Transformer 1 layer"
    assert min(first["top-1 %"], second["top-1 %"]) >= 80  # only the order of frames parts the classes
    written = read_results(gru)[0].config["model_code"]
    assert written["sha256"] == sha256 and written.keys() == {"reference", "name", "sha256", "options"}

    described = featx("adapter", "info", gru).out
    assert "my_gru.py:MyGRU(hidden=16, dropout=0.2), clips of 16 frames" in described and sha256 in described
    assert featx("adapter", "code", gru).out == (models / "my_gru.py").read_text()
    outcome = featx("table", "closed-set", gru, both)
    assert outcome.code == 0 and "my_gru.py:MyGRU" in outcome.out


def test_the_documentation_shows_the_gru_that_is_tested() -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    lines = sum(bool(line.strip()) for line in GRU.splitlines())
    assert f"```python\n{GRU}```\n\nThese are {lines} lines without the empty ones." in page


def test_every_command_that_opens_an_adapter_takes_it(train, models: Path, order_data: Path, featx) -> None:
    run = train("gru", "--steps", 5, "--model-code", f"{models}/my_gru.py:MyGRU", *GRU_OPTIONS)
    store = order_data / "features"
    for words in (
        ["eval", run],
        ["eval", run, "--precision", "bf16"],
        ["diagnose", run],
        ["predict", "--adapter", run, "--store", store],
        ["predict", "--adapter", run, "--store", store, "--window", 0.5],
        ["search", store, "star growing", "--adapter", run],
    ):
        refused, trusted = featx(*words), featx(*words, "--trust-code")
        assert (refused.code, trusted.code) == (2, 0), trusted.err
        assert "was trained with code that is not featx's: my_gru.py:MyGRU" in refused.err
    assert "the adapter's temporal model" in trusted.out + trusted.err


def test_a_plain_mean_of_ones_own_is_layers_0_to_the_bit(train, models: Path, featx) -> None:
    plain = train("plain", "--layers", 0, "--steps", 12)
    own = train("own", "--steps", 12, "--model-code", f"{models}/mean.py:Mean")
    masked = train("masked", "--steps", 12, "--model-code", f"{models}/others.py:MaskedMean")
    tables = [load_file(run / "adapter.safetensors") for run in (plain, own)]
    assert tables[0].keys() == tables[1].keys() == {"prompt_table"}
    assert tables[0]["prompt_table"].tobytes() == tables[1]["prompt_table"].tobytes()
    assert log_of(plain) == log_of(own) != log_of(masked)  # some videos have fewer than 16 rows
    for run in (plain, own):
        assert featx("eval", run, "--trust-code").code == 0
    one, two = (read_results(run)[0] for run in (plain, own))
    assert (one.metrics, one.learned_parameters) == (two.metrics, two.learned_parameters)


def test_featxs_own_transformer_as_somebodys_is_featxs_own(train, models: Path, featx) -> None:
    whole = train("whole", "--layers", 1, "--steps", 12, "--accumulate", 2)
    own = train("own", "--model-code", f"{models}/others.py:Transformer", "--steps", 12, "--accumulate", 2)
    assert log_of(whole) == log_of(own)
    mine, somebodys = (load_file(run / "adapter.safetensors") for run in (whole, own))
    for name, value in mine.items():
        other = somebodys[name.replace("temporal.", "temporal.module.", 1)]
        assert value.tobytes() == other.tobytes(), name


def test_nothing_learned_is_not_called_zero_shot(train, models: Path, featx) -> None:
    run = train("run", "--prompts", 0, "--model-code", f"{models}/mean.py:Mean")
    (row,) = rows(featx("eval", run, "--trust-code", "--format", "json"))
    assert row["learned"].startswith("mean.py:Mean ") and row["parameters"] == 0


def test_an_adapter_without_code_is_what_it_was(train) -> None:
    run = train("run", "--layers", 1, "--steps", 3)
    content = (run / "adapter.safetensors").read_bytes()
    assert b"model_code" not in content and b"model_option" not in content
    assert read_header(run / "adapter.safetensors").featx_adapter == 1


@pytest.mark.parametrize(("version", "said"), [(1, "schema version 1 does not fit"), (3, "this featx reads versions 1 and 2")])  # fmt: skip
def test_the_version_says_that_there_is_code(train, models: Path, version: int, said: str) -> None:
    """So a featx that knows version 1 alone refuses the file; and no file of version 1 brings code along."""
    from featx.model.adapter import save_adapter

    run = train("run", "--steps", 3, "--model-code", f"{models}/mean.py:Mean")
    file = run / "adapter.safetensors"
    adapter, header = load_adapter(file, trust_code=True)
    save_adapter(file, adapter, header.model_copy(update={"featx_adapter": version}))
    with pytest.raises(FeatxError, match=said):
        load_adapter(file, trust_code=True)


def test_code_that_is_not_the_recorded_one_never_runs(train, models: Path, tmp_path: Path, featx) -> None:
    file, ran = models / "mean.py", tmp_path / "ran"
    run = train("run", "--steps", 3, "--model-code", f"{file}:Mean")
    before = file.read_text()
    file.write_text(before + f"\nopen({str(ran)!r}, 'w')\n")
    outcome = featx("eval", run, "--trust-code")
    recorded, now = re.findall(r"sha256 ([0-9a-f]{64})", outcome.err)
    assert outcome.code == 2 and recorded != now and not ran.exists() and str(file) in outcome.err
    err = train(
        "run", "--steps", 3, "--model-code", f"{file}:Mean", code=2
    )  # given again, it is agreed to: another run
    assert f"model code was Mean of sha256 {recorded}, is Mean of sha256 {now}" in err

    file.unlink()
    outcome = featx("eval", run, "--trust-code")
    assert outcome.code == 2 and "there is no" in outcome.err and "featx adapter code" in outcome.err
    assert featx("adapter", "code", run, "--to", run / "mean.py").code == 0  # beside the adapter it is found
    assert (run / "mean.py").read_text() == before
    assert featx("eval", run, "--trust-code").code == 0
    outcome = featx("adapter", "code", run, "--to", run / "mean.py")
    assert outcome.code == 2 and "is there already" in outcome.err


def test_the_environment_can_trust_a_hash_or_a_file(train, models: Path, featx, monkeypatch) -> None:
    run = train("run", "--steps", 3, "--model-code", f"{models}/mean.py:Mean")
    sha256 = read_header(run / "adapter.safetensors").config.model_code.sha256
    for value, code in [
        ("", 2),
        ("0" * 64, 2),
        (sha256[:12], 2),
        (f"{'0' * 64}, {sha256}", 0),
        (models / "mean.py", 0),
        (models / "others.py", 2),
        (models, 2),
    ]:
        monkeypatch.setenv("FEATX_TRUST_CODE", str(value))
        outcome = featx("eval", run)
        assert outcome.code == code, value
    assert f"FEATX_TRUST_CODE={sha256}" in outcome.err and "--trust-code" in outcome.err


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"\n", 2), (b"no\n", 2)])
def test_on_a_terminal_it_is_asked(answer: bytes, code: int, train, models: Path) -> None:
    run = train("run", "--steps", 3, "--model-code", f"{models}/mean.py:Mean")
    ours, theirs = pty.openpty()
    words = [sys.executable, "-W", "ignore", "-m", "featx.cli", "eval", str(run)]
    process = subprocess.Popen(words, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE)
    os.close(theirs)
    said = b""
    while not said.endswith(b"[y/N] "):
        said += os.read(ours, 1000)
    os.write(ours, answer)
    out, _ = process.communicate(timeout=120)
    os.close(ours)
    assert process.returncode == code
    assert (b"mean.py:Mean" in out) == (code == 0)
    sha256 = read_header(run / "adapter.safetensors").config.model_code.sha256
    assert sha256.encode() in said and str(models / "mean.py").encode() in said


def test_it_takes_the_place_of_the_transformer(train, models: Path) -> None:
    code = ["--model-code", f"{models}/mean.py:Mean"]
    for words in (["--layers", 2], ["--positions"]):
        err = train("run", *code, *words, code=2)
        assert (
            words[0][2:] in err
            and "model_code" in err
            and "takes the place of the temporal Transformer" in err
        )
    assert "model_option is for the class of model_code" in train("run", "--model-option", "hidden=3", code=2)
    train("run", *code, "--layers", 0, "--no-positions", "--steps", 1)


def test_options_are_settings(train, models: Path, tmp_path: Path) -> None:
    code = ["--steps", 3, "--model-code", f"{models}/my_gru.py:MyGRU"]
    recipe = tmp_path / "gru.toml"
    recipe.write_text("[model_option]\nhidden = 16\ndropout = 0.2\n")
    first = train("first", *code, *GRU_OPTIONS)
    second = train("second", *code, "--recipe", recipe)
    assert (first / "adapter.safetensors").stat().st_size > 0
    one, two = (load_file(run / "adapter.safetensors") for run in (first, second))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert "hidden was 16, is 8" in train("first", *code, "--model-option", "hidden=8", code=2)
    assert "--model-option bias=True: values are JSON" in train(
        "no", *code, "--model-option", "bias=True", code=2
    )
    shutil.move(models, tmp_path / "moved")  # where the file lies may change
    train("first", "--steps", 3, "--model-code", f"{tmp_path}/moved/my_gru.py:MyGRU", *GRU_OPTIONS)


def test_a_dry_run_counts_its_parameters(
    train, models: Path, order_data: Path, tmp_path: Path, featx
) -> None:
    words = words_of(order_data, tmp_path / "run", "--dry-run", "--model-code", f"{models}/my_gru.py:MyGRU")
    outcome = featx(*words, *GRU_OPTIONS)
    width, hidden = 128, 16
    gru = 2 * 3 * (width * hidden + hidden * hidden + 2 * hidden)
    own = gru + 2 * hidden * width + width
    assert outcome.code == 0 and f"# {own:,} of them are of my_gru.py:MyGRU" in outcome.out
    assert f"# {own + 4 * 64:,} learned parameters" in outcome.out
    outcome = featx(*words, "--model-option", "hiden=16")
    assert outcome.code == 2 and "unexpected keyword argument 'hiden'" in outcome.err
    assert not (tmp_path / "run").exists()


def test_a_killed_run_with_dropout_ends_as_if_it_had_not_been(
    order_data: Path, models: Path, tmp_path: Path
) -> None:
    """What dropout draws is a function of the clips: no random state has to be saved."""
    more = [
        "--model-code", f"{models}/my_gru.py:MyGRU", *GRU_OPTIONS, "--steps", 60, "--ema", 0.9, "--validation", 0.2,
        "--validate-every", 20, "--log-every", 1, "--checkpoint-steps", 7,
    ]  # fmt: skip
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert start([str(word) for word in words_of(order_data, whole, *more)]).wait() == 0
    words = [str(word) for word in words_of(order_data, run, *more)]
    process = start(words)
    when(lambda: steps_logged(run) > 25, lambda: process.send_signal(signal.SIGKILL)).join()
    assert process.wait() == -signal.SIGKILL
    again = start(words)
    said = again.communicate()[1].decode()
    assert again.returncode == 0 and "going on after step" in said
    assert_same(run, whole)


def test_another_file_cannot_go_on(train, models: Path, order_data: Path, tmp_path: Path, featx) -> None:
    more = ["--steps", 400, "--log-every", 1, "--checkpoint-steps", 5]
    code = ["--model-code", f"{models}/my_gru.py:MyGRU", *GRU_OPTIONS]
    run = tmp_path / "run"
    thread = when(lambda: steps_logged(run) > 10, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert "saved in" in train("run", *more, *code, code=130)
    thread.join()
    file = models / "my_gru.py"
    file.write_text(file.read_text() + "# changed\n")
    assert "model code was MyGRU of sha256" in train("run", *more, *code, code=2)
    assert "model code was MyGRU of sha256" in train("run", *more, "--layers", 0, code=2)


def test_parts_of_a_step_see_the_same_dropout_twice(train, models: Path) -> None:
    """The symmetric loss encodes each part twice; with other numbers the gradients would be of another function."""
    from featx.train.adapter.step import encode_training_clips

    run = train("run", "--steps", 2, "--model-code", f"{models}/my_gru.py:MyGRU", *GRU_OPTIONS)
    adapter = load_adapter(run / "adapter.safetensors", trust_code=True)[0].train()
    clips, rows = torch.randn(4, 16, 128), np.arange(64).reshape(4, 16)
    first = encode_training_clips(adapter, clips, np.arange(4), rows)
    assert torch.equal(first, encode_training_clips(adapter, clips, np.arange(4), rows))
    assert not torch.equal(first, encode_training_clips(adapter, clips, np.arange(4), rows + 1))
    assert not torch.equal(first, encode_training_clips(adapter, clips, np.arange(4) + 1, rows))


def test_two_ranks_learn_what_one_does(train, models: Path) -> None:
    more = [
        "--steps", 12, "--batch-size", 7, "--log-every", 1, "--validation", 0.3, "--validate-every", 6, "--accumulate", 2,
        "--model-code", f"{models}/my_gru.py:MyGRU", "--model-option", "hidden=16",
    ]  # fmt: skip
    one, two = train("one", *more), train("two", *more, "--devices", 2)
    losses = [[line.get("loss", line.get("validation_loss")) for line in log_of(run)] for run in (one, two)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert len(losses[0]) == 14


def test_batch_norm_is_averaged_and_scored_with_its_own_statistics(train, models: Path, featx) -> None:
    run = train("run", "--steps", 20, "--ema", 0.9, "--model-code", f"{models}/others.py:WithBatchNorm")
    tensors = load_file(run / "adapter.safetensors")
    assert tensors["temporal.module.norm.num_batches_tracked"] == 20
    assert np.abs(tensors["temporal.module.norm.running_mean"]).max() > 0
    assert rows(featx("eval", run, "--trust-code", "--format", "json"))
    err = train(
        "no", "--steps", 2, "--accumulate", 2, "--model-code", f"{models}/others.py:WithBatchNorm", code=2
    )
    assert "leave out --accumulate" in err


def test_frozen_parameters_stay_as_they_are(train, models: Path) -> None:
    more = ["--weight-decay", 0.5, "--model-code", f"{models}/others.py:PartlyFrozen"]
    short, long = train("short", "--steps", 1, *more), train("long", "--steps", 9, *more, "--devices", 2)
    one, two = (load_file(run / "adapter.safetensors") for run in (short, long))
    assert np.array_equal(one["temporal.module.frozen.weight"], two["temporal.module.frozen.weight"])
    assert not np.array_equal(one["temporal.module.learned.weight"], two["temporal.module.learned.weight"])
    assert json.loads((long / "summary.json").read_text())["parameters"] == 128 * 129 + 4 * 64


def test_episodes_learn_it_one_after_the_other(class_data: Path, models: Path, tmp_path: Path, featx) -> None:
    episodes = tmp_path / "3way.jsonl"
    make_episodes(read_manifest(class_data / "manifest.jsonl"), episodes, count=3, ways=3, shots=4)
    more = [
        "--steps",
        8,
        "--episodes",
        episodes,
        "--model-code",
        f"{models}/my_gru.py:MyGRU",
        "--model-option",
        "hidden=16",
    ]
    for name, together in (("together", 3), ("alone", 1)):
        words = words_of(class_data, tmp_path / name, *more, "--episodes-together", together)
        outcome = featx(*words)
        assert outcome.code == 0, outcome.err
    for index in range(3):
        one, two = (
            load_file(tmp_path / name / "episodes" / f"{index:04d}.safetensors")
            for name in ("together", "alone")
        )
        for name, value in two.items():
            assert np.median(np.abs(value - one[name])) < 1e-5, name
    file = models / "my_gru.py"
    file.write_text(file.read_text() + "# changed\n")
    outcome = featx(*words)
    assert outcome.code == 2 and "model code was MyGRU of sha256" in outcome.err


def test_a_sweep_takes_it(order_data: Path, models: Path, tmp_path: Path, featx) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f"store = '{order_data}/features'\nmanifest = '{order_data}/manifest.jsonl'\nsteps = 3\nbatch_size = 8\ndevice = 'cpu'\n"
        f"model_code = '{models}/my_gru.py:MyGRU'\nmodel_option = {{ hidden = 16 }}\n"
    )
    outcome = featx("sweep", recipe, "--grid", "prompts=0,1", "--to", tmp_path / "sweep")
    assert outcome.code == 0, outcome.err
    assert len(read_results(tmp_path / "sweep")) == 2
    outcome = featx("sweep", recipe, "--grid", "layers=0,1", "--to", tmp_path / "no")
    assert outcome.code == 2 and "layers=1" in outcome.err and "model_code" in outcome.err


@pytest.mark.parametrize("task", ["retrieval", "localisation"])
def test_other_tasks_take_it(
    task: str, models: Path, tmp_path: Path, featx, request: pytest.FixtureRequest
) -> None:
    data = request.getfixturevalue({"retrieval": "caption_data", "localisation": "segment_data"}[task])
    code = ["--model-code", f"{models}/my_gru.py:MyGRU", *GRU_OPTIONS]
    outcome = featx(*words_of(data, tmp_path / "run", "--task", task, "--steps", 5, *code))
    assert outcome.code == 0, outcome.err
    more = ["--proposals", "ground-truth"] if task == "localisation" else []
    found = rows(featx("eval", tmp_path / "run", *more, "--trust-code", "--format", "json"))
    assert all("my_gru.py:MyGRU" in row["learned"] for row in found) and found


def test_one_bad_module_is_one_line(train, tmp_path: Path) -> None:
    file = tmp_path / "my.py"
    file.write_text(
        "from torch import nn\n\n\nclass My(nn.Module):\n    def __init__(self, width):\n        super().__init__()\n"
    )
    err = train("run", "--model-code", f"{file}:My", code=2)
    assert err.count("\n") == 1 and err.startswith("featx: my.py:My: forward on clips (3, 16, 128)")
    assert "Traceback" not in err and not (tmp_path / "run" / "adapter.safetensors").exists()
