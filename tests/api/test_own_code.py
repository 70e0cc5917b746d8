"""Temporal models of one's own: naming the code lets it train, opening its run needs trust, and nobody is asked."""

from pathlib import Path

import numpy as np
import pytest
from own_models import write_models

import featx


@pytest.fixture(scope="module")
def own_run(order_data: Path, tmp_path_factory: pytest.TempPathFactory) -> featx.TrainedRun:
    folder = tmp_path_factory.mktemp("own")
    write_models(folder)
    return featx.train_adapter(
        store=order_data / "features",
        manifest=order_data / "manifest.jsonl",
        to=folder / "gru",
        model_code=f"{folder / 'my_gru.py'}:MyGRU",
        model_option={"hidden": 16},
        prompts=0,
        steps=5,
    )


def test_without_trust_its_code_does_not_run(
    own_run: featx.TrainedRun, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)  # a person could answer
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    for call in (featx.load_adapter, featx.evaluate_runs):
        with pytest.raises(featx.FeatxError, match=r"my_gru.py.*allow it with trust_code=True"):
            call(own_run)
    assert capfd.readouterr() == ("", "")


def test_with_trust_it_is_scored_as_any_other(own_run: featx.TrainedRun, order_data: Path) -> None:
    adapter = featx.load_adapter(own_run, trust_code=True)
    probabilities = adapter.classify(order_data / "features")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    (results,) = featx.evaluate_runs(own_run, trust_code=True).results
    assert results.config["model_code"]["options"] == {"hidden": 16}
