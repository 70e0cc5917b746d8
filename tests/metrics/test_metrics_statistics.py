"""Intervals against scipy's, the harmonic mean by hand, and results that are means over items."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from featx.errors import FeatxError
from featx.metrics.statistics import Spread, harmonic_mean, spread_of
from featx.scoring.results import Item, Results, Videos, read_results, summarise, write_results


@given(st.lists(st.floats(0, 1), min_size=2, max_size=250))
def test_interval_equals_that_of_scipy(values: list[float]) -> None:
    spread = spread_of(values)
    assert spread.n == len(values)
    assert spread.std == pytest.approx(np.std(values, ddof=1), abs=1e-15)
    assert spread.interval95 is not None
    if len(set(values)) > 1 and spread.std:  # scipy's interval around equal values is NaN
        low, high = scipy.stats.t.interval(
            0.95, len(values) - 1, loc=np.mean(values), scale=scipy.stats.sem(values)
        )
        assert 2 * spread.interval95 == pytest.approx(high - low, rel=1e-9, abs=1e-12)
    else:
        assert spread.interval95 == pytest.approx(0, abs=1e-12)


def test_one_value_has_no_interval_and_none_or_nan_is_an_error() -> None:
    assert spread_of([0.5]) == Spread(n=1)
    for bad in ([], [0.5, float("nan")]):
        with pytest.raises(ValueError, match="finite"):
            spread_of(bad)


@given(st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_harmonic_mean_equals_that_of_scipy(first: float, second: float) -> None:
    assert harmonic_mean(first, second) == pytest.approx(scipy.stats.hmean([first, second]))
    assert harmonic_mean(first, 0) == harmonic_mean(0, 0) == 0


def results_of(items: list[Item], **changes: object) -> Results:
    metrics, spread = summarise(items)
    fields = {
        "task": "recognition", "run": "elsewhere", "date": "2026-01-01", "config": {}, "learned_parameters": 0,
        "data_set": "hmdb51", "manifest": "m.jsonl", "store": "s", "split": "5way", "clips": 5, "classes": 5,
        "fingerprint": {}, "videos": Videos(scored=sum(item.scored for item in items), missing=["a", "b"]),
    }  # fmt: skip
    return Results(**fields | changes, metrics=metrics, spread=spread, items=items)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    items = [
        Item(name="split_0", scored=8, missing=2, metrics={"top1": 0.5}),
        Item(name="split_1", scored=9, missing=1, metrics={"top1": 0.75}),
    ]
    results = results_of(items)
    assert results.metrics == {"top1": 0.625} and results.spread["top1"].n == 2
    assert (results.videos.scored, results.asked) == (17, 20)
    assert write_results(results, tmp_path).name == "results-hmdb51-5way.json"
    assert (tmp_path / "missing-hmdb51-5way.txt").read_text() == "a\nb\n"
    open_set = results.model_copy(update={"class_set": "unseen", "class_split": "lists/75-25.jsonl#split_0"})
    assert write_results(open_set, tmp_path).name == "results-hmdb51-5way-75-25_split_0-unseen.json"
    varied = results.model_copy(update={"variant": "prompts=4,layers=1", "data_set": "my/own set"})
    assert write_results(varied, tmp_path).name == "results-my_own_set-5way-prompts=4,layers=1.json"
    read = read_results(tmp_path)
    assert {one.stem for one in read} == {one.stem for one in (results, open_set, varied)}
    assert all(one.run == str(tmp_path) and one.spread == results.spread for one in read)


def test_items_must_have_the_same_metrics() -> None:
    one, other = Item(name="a", scored=1, metrics={"top1": 1}), Item(name="b", scored=1, metrics={"top5": 1})
    for bad in ([], [one, other]):
        with pytest.raises(ValueError, match="the same metrics"):
            summarise(bad)


def test_a_run_without_results_names_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(FeatxError, match=f"no results yet; make them with: featx eval {tmp_path}"):
        read_results(tmp_path)
    with pytest.raises(FeatxError, match="no such folder"):
        read_results(tmp_path / "nowhere")
    for content, message in (
        ("{", "cannot read it"),
        ('{"featx_results": 9}', "schema version 9"),
        ('{"featx_results": 1}', "task: Field required"),
    ):
        (tmp_path / "results-a.json").write_text(content)
        with pytest.raises(FeatxError, match=message):
            read_results(tmp_path)
