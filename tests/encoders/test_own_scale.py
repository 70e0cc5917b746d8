"""`featx train --own-scale` and `--loss sigmoid`: the model's own logit scale and bias, kept in the adapter."""

from pathlib import Path

import numpy as np
import pytest

from featx.encoders.load import load_model
from featx.model.adapter import ADAPTER_FILE, load_adapter

SHORT = ["--set", "prompts=2", "--set", "steps=4", "--set", "batch_size=4", "--set", "warmup=0"]


def test_the_scale_is_the_models_own_where_videos_are_scored_too(made_run) -> None:
    run = made_run("train", *SHORT, "--own-scale")
    adapter, header = load_adapter(run / ADAPTER_FILE)
    assert adapter.config.temperature == pytest.approx(1 / load_model("tiny").logit_scale)
    assert header.settings["own_scale"] is True
    from torch import tensor

    from featx.scoring.clip_scores import score_clips

    clips, text = tensor([[[1.0, 0.0]]]), tensor([[1.0, 0.0], [0.6, 0.8]])
    scale = 1 / adapter.config.temperature
    expected = 1 / (1 + np.exp(-0.4 * scale))
    assert score_clips(clips, text, adapter.config.temperature)[0, 0] == pytest.approx(expected, abs=1e-6)


def test_by_default_adapters_are_what_they_were(made_run) -> None:
    run = made_run("train", *SHORT)
    adapter, header = load_adapter(run / ADAPTER_FILE)
    assert adapter.config.temperature == 0.07
    assert "temperature" not in header.config.model_dump() and "own_scale" not in header.settings


def test_the_sigmoid_loss_learns(made_run, class_data: Path, featx) -> None:
    run = made_run(
        "train", *SHORT[:2], "--loss", "sigmoid", "--logit-bias", "-5", "--steps", 20, "--batch-size", 8
    )
    done = featx("eval", run, "--store", class_data / "features", "--manifest", class_data / "manifest.jsonl")
    assert done.code == 0 and "top-1" in done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--loss", "sigmoid", "--own-scale"], "has no bias of its own; give --logit-bias"),
        (["--logit-bias", "-3"], "logit_bias is for loss=sigmoid"),
        (["--loss", "sigmoid", "--own-scale", "--logit-bias", "-3"], "logit_bias is for loss=sigmoid"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: list[str], message: str, class_data: Path, tmp_path: Path, featx
) -> None:
    given = [
        "--store",
        class_data / "features",
        "--manifest",
        class_data / "manifest.jsonl",
        "--to",
        tmp_path / "x",
    ]
    done = featx("train", *given, *words)
    assert done.code == 2 and message in done.err and len(done.err.strip().splitlines()) == 1
