"""Average precision against plain loops, and the cases of the rules one by one."""

import math

import numpy as np
import plain_localisation as plain
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.localisation.metrics.average_precision import (
    ACTIVITYNET_TIOU,
    RULES,
    THUMOS14_TIOU,
    average_precision,
    match,
    without_repeats,
)
from featx.localisation.metrics.false_positives import KINDS, best_of_each_class, breakdown
from featx.localisation.metrics.intervals import (
    Detections,
    Instances,
    Spans,
    overlapping_pairs,
    take_turns,
    temporal_iou,
)
from featx.localisation.metrics.proposals import recall_curve

# Few values, so that ties, duplicates, intervals without length and intervals far outside happen all the time.
TIMES = st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 3.3, 5.0, 1e4])
SPAN = st.tuples(TIMES, TIMES).map(sorted)
VIDEO, LABEL = st.integers(0, 2), st.integers(0, 2)
INSTANCE = st.tuples(VIDEO, LABEL, SPAN).map(lambda one: (one[0], one[1], *one[2]))
SCORE = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(-2, 2, width=32))
DETECTION = st.tuples(INSTANCE, SCORE).map(lambda one: (*one[0], one[1]))
AMBIGUOUS = st.tuples(VIDEO, SPAN).map(lambda one: (one[0], *one[1]))
THRESHOLDS = [*THUMOS14_TIOU, 0.95, 1.0]


def columns(rows, width):
    return [np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)] or [
        np.empty(0) for _ in range(width)
    ]


def spans(rows) -> Spans:
    videos, start, end = columns(rows, 3)
    return Spans(videos.astype(np.int64), start, end)


def instances_of(rows) -> Instances:
    videos, labels, start, end = columns(rows, 4)
    return Instances(videos.astype(np.int64), start, end, labels.astype(np.int64))


def detections_of(rows) -> Detections:
    videos, labels, start, end, score = columns(rows, 5)
    return Detections(videos.astype(np.int64), start, end, labels.astype(np.int64), score)


def ap(detections, instances, rule, thresholds, ambiguous=()) -> dict[float, dict[int, float]]:
    found, shown, rule = detections_of(detections), instances_of(instances), RULES[rule]
    result = average_precision(
        found, shown, match(found, shown, rule, thresholds, spans(ambiguous)), rule.area
    )
    labels = result.labels.tolist()
    return {
        threshold: dict(zip(labels, row, strict=True))
        for threshold, row in zip(thresholds, result.ap.tolist(), strict=True)
    }


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=500, deadline=None)
@given(
    detections=st.lists(DETECTION, max_size=30),
    instances=st.lists(INSTANCE, min_size=1, max_size=15),
    ambiguous=st.lists(AMBIGUOUS, max_size=3),
)
def test_average_precision_equals_plain_loops(rule: str, detections, instances, ambiguous) -> None:
    ours = ap(detections, instances, rule, THRESHOLDS, ambiguous)
    expected = plain.mean_average_precision(detections, instances, ambiguous, THRESHOLDS, rule)
    for at, threshold in enumerate(THRESHOLDS):
        values = {label: aps[at] for label, aps in expected.items()}
        assert ours[threshold] == pytest.approx(values, rel=0, abs=1e-12)


def test_a_generated_data_set_equals_the_program_restated() -> None:
    """Many detections around each instance, of which most cannot win; 40 videos of 3 classes, ten overlaps."""
    rng = np.random.default_rng(0)
    instances, detections = [], []
    for video in range(40):
        for _ in range(int(rng.integers(1, 5))):
            label, start = int(rng.integers(3)), rng.random() * 100
            instances.append((video, label, start, start + 2 + rng.random() * 30))
        for score in rng.random(60).round(2).tolist():
            _, label, start, end = instances[-1 - int(rng.integers(min(3, len(instances))))]
            begin = start + rng.normal(0, 3)
            detections.append((video, label, begin, begin + abs(end - start + rng.normal(0, 3)), score))
    ours = ap(detections, instances, "official", ACTIVITYNET_TIOU)
    for loops in ("program", "official"):
        expected = plain.mean_average_precision(detections, instances, [], ACTIVITYNET_TIOU, loops)
        for at, threshold in enumerate(ACTIVITYNET_TIOU):
            values = {label: aps[at] for label, aps in expected.items()}
            assert ours[threshold] == pytest.approx(values, rel=0, abs=1e-12)
    assert 0.05 < np.mean([list(one.values()) for one in ours.values()]) < 0.95


@settings(max_examples=200, deadline=None)
@given(
    proposals=st.lists(DETECTION, min_size=1, max_size=40),
    instances=st.lists(INSTANCE, min_size=1, max_size=10),
    most=st.sampled_from([1, 3, 7.5, 100]),
)
def test_average_recall_equals_plain_loops(proposals, instances, most) -> None:
    try:
        numbers, recalls = plain.average_recall(proposals, instances, ACTIVITYNET_TIOU, most)
    except ZeroDivisionError:  # no proposal is left in a video that has an instance
        with pytest.raises(ValueError, match="no proposal"):
            recall_curve(detections_of(proposals), instances_of(instances), most=most)
        return
    curve = recall_curve(detections_of(proposals), instances_of(instances), most=most)
    assert curve.number == pytest.approx(numbers, abs=1e-12)
    assert curve.recall == pytest.approx(np.array(recalls), abs=1e-12)
    assert curve.area == pytest.approx(
        np.trapezoid(np.mean(recalls, axis=0), numbers) / numbers[-1], abs=1e-12
    )


@settings(max_examples=200, deadline=None)
@given(
    detections=st.lists(DETECTION, max_size=30),
    instances=st.lists(INSTANCE, min_size=1, max_size=15).map(
        lambda rows: [row for row in rows if row[3] > row[2]] or [(0, 0, 0.0, 1.0)]
    ),
)
def test_false_positives_equal_plain_loops(detections, instances) -> None:
    found, shown, rule = detections_of(detections), instances_of(instances), RULES["official"]
    matches = match(found, shown, rule, [0.3, 0.5])
    broken = breakdown(found, shown, rule, matches, 1, 0.5)
    for index, detection in enumerate(detections):
        kind = KINDS[broken.kinds[index]]
        assert (kind == "true positive") == matches.hits[1, index]
        if not matches.hits[1, index]:
            assert kind == plain.kind_of_false_positive(detection, instances, 0.5)
    assert broken.instances - broken.missed == broken.counts()["true positive"]
    assert sum(broken.counts().values()) == len(detections)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_taking_turns_equals_taking_turns_one_by_one(data) -> None:
    choosers, items = data.draw(st.integers(0, 12)), data.draw(st.integers(1, 8))
    wishes = [data.draw(st.permutations(range(items))) for _ in range(choosers)]
    wishes = [wish[: data.draw(st.integers(0, items))] for wish in wishes]
    taken = {}
    for chooser, wish in enumerate(wishes):
        free = [item for item in wish if item not in taken]
        if free:
            taken[free[0]] = chooser
    chooser = np.array([one for one, wish in enumerate(wishes) for _ in wish], dtype=np.int64)
    item = np.array([one for wish in wishes for one in wish], dtype=np.int64)
    expected = [taken.get(one, choosers) for one in range(items)]
    assert take_turns(chooser, item, choosers, items).tolist() == expected


def test_pairs_are_the_same_however_many_are_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    first, second = (
        Spans(rng.integers(5, size=50), start, start + rng.random(50))
        for start in (rng.random(50), rng.random(50))
    )
    whole = overlapping_pairs(first, second, temporal_iou, 0.2)
    monkeypatch.setattr("featx.localisation.metrics.intervals.PAIRS_AT_ONCE", 3)
    pieces = overlapping_pairs(first, second, temporal_iou, 0.2)
    for name in ("first", "second", "overlap"):
        assert np.array_equal(getattr(whole, name), getattr(pieces, name))
    every = [
        (a, b)
        for a in range(50)
        for b in range(50)
        if first.videos[a] == second.videos[b]
        and plain.iou(first.start_s[a], first.end_s[a], second.start_s[b], second.end_s[b]) >= 0.2
    ]
    assert list(zip(whole.first.tolist(), whole.second.tolist(), strict=True)) == every


POINT, SPAN_3_5 = (0, 0, 4.0, 4.0), (0, 0, 3.0, 5.0)


def test_no_length_counts_as_a_match_only_in_the_official_program() -> None:
    detection = [(*POINT, 0.9)]
    assert ap(detection, [POINT], "official", [0.5])[0.5] == {0: 1.0}
    assert ap(detection, [POINT, (0, 1, 0.0, 1.0)], "dedup", [0.5])[0.5] == {1: 0.0}
    assert ap(detection, [POINT], "thumos-matlab", [0.5])[0.5] == {0: 0.0}


def test_an_instance_annotated_twice_halves_recall_only_in_the_official_program() -> None:
    detection = [(*SPAN_3_5, 0.9)]
    assert ap(detection, [SPAN_3_5, SPAN_3_5], "official", [0.5])[0.5] == {0: 0.5}
    assert ap(detection, [SPAN_3_5, SPAN_3_5], "dedup", [0.5])[0.5] == {0: 1.0}


@pytest.mark.parametrize("rule", RULES)
def test_of_equal_scores_the_earlier_detection_is_first(rule: str) -> None:
    right, wrong = (*SPAN_3_5, 0.5), (0, 0, 50.0, 60.0, 0.5)
    assert ap([right, wrong], [SPAN_3_5], rule, [0.5])[0.5] == {0: 1.0}
    assert ap([wrong, right], [SPAN_3_5], rule, [0.5])[0.5] == {0: 0.5}


def test_rounded_scores_make_ties_and_move_results() -> None:
    exact = [(0, 0, 50.0, 60.0, 0.51), (*SPAN_3_5, 0.52)]
    rounded = [(*row[:4], round(row[4], 1)) for row in exact]
    assert ap(exact, [SPAN_3_5], "official", [0.5])[0.5] == {0: 1.0}
    assert ap(rounded, [SPAN_3_5], "official", [0.5])[0.5] == {0: 0.5}


def test_overlap_equal_to_the_threshold_counts_but_not_for_thumos() -> None:
    half = [(0, 0, 0.0, 1.0, 0.9)]
    assert ap(half, [(0, 0, 0.0, 2.0)], "official", [0.5])[0.5] == {0: 1.0}
    assert ap(half, [(0, 0, 0.0, 2.0)], "thumos-matlab", [0.5])[0.5] == {0: 0.0}


def test_if_the_best_is_taken_the_next_best_is_tried() -> None:
    instances = [(0, 0, 0.0, 10.0), (0, 0, 2.0, 12.0)]
    detections = [(0, 0, 0.0, 10.0, 0.9), (0, 0, 0.0, 10.0, 0.8)]
    assert ap(detections, instances, "official", [0.5, 0.7]) == {0.5: {0: 1.0}, 0.7: {0: 0.5}}


def test_the_ground_truth_chooses_in_thumos() -> None:
    """A sure detection that fits less well is a hit by the one rule, a false positive by the other."""
    instance = [(0, 0, 0.0, 10.0)]
    detections = [(0, 0, 0.0, 8.0, 0.9), (0, 0, 0.0, 10.0, 0.8)]
    assert ap(detections, instance, "official", [0.5])[0.5] == {0: 1.0}
    assert ap(detections, instance, "thumos-matlab", [0.5])[0.5] == {0: 0.5}


def test_a_detection_over_an_ambiguous_interval_is_neither_right_nor_wrong() -> None:
    detections = [(0, 0, 50.0, 60.0, 0.9), (*SPAN_3_5, 0.8), (0, 0, 70.0, 80.0, 0.7)]
    ambiguous = [(0, 59.0, 65.0), (0, 4.0, 6.0), (0, 80.0, 90.0), (1, 70.0, 80.0)]
    assert ap(detections, [SPAN_3_5], "thumos-matlab", [0.5], ambiguous)[0.5] == {0: 1.0}
    assert ap(detections, [SPAN_3_5], "official", [0.5], ambiguous)[0.5] == {0: 0.5}
    found, shown, rule = detections_of(detections), instances_of([SPAN_3_5]), RULES["thumos-matlab"]
    matches = match(found, shown, rule, [0.5], spans(ambiguous))
    assert breakdown(found, shown, rule, matches, 0, 0.5).counts() == {
        **dict.fromkeys(KINDS, 0),
        "true positive": 1,
        "background": 1,
        "ambiguous": 1,
    }


def test_a_class_without_detections_has_ap_0_and_one_without_instances_none() -> None:
    assert ap([(0, 2, 0.0, 1.0, 0.9)], [SPAN_3_5], "official", [0.5])[0.5] == {0: 0.0}
    assert ap([], [SPAN_3_5], "thumos-matlab", [0.5])[0.5] == {0: 0.0}


def test_thresholds_are_those_of_the_official_programs() -> None:
    assert np.array_equal(ACTIVITYNET_TIOU, np.linspace(0.5, 0.95, 10))
    assert THUMOS14_TIOU == (0.3, 0.4, 0.5, 0.6, 0.7) and 0.4 not in np.linspace(0.3, 0.7, 5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_an_error(bad: float) -> None:
    found, shown = detections_of([(*SPAN_3_5, bad)]), instances_of([SPAN_3_5])
    with pytest.raises(ValueError, match="NaN or infinite"):
        match(found, shown, RULES["official"], [0.5])
    with pytest.raises(ValueError, match="NaN or infinite"):
        recall_curve(found, shown)


def test_repeats_are_exact_repeats() -> None:
    rows = [
        (0, 0, 1.0, 2.0),
        (0, 0, 1.0, 2.0),
        (0, 1, 1.0, 2.0),
        (1, 0, 1.0, 2.0),
        (0, 0, 1.0, 2.0000001),
        POINT,
    ]
    assert without_repeats(instances_of(rows)).tolist() == [0, 2, 3, 4]


def test_the_best_of_each_class_are_as_many_as_it_has_instances() -> None:
    detections = [(0, 0, 0.0, 1.0, 0.1), (0, 0, 0.0, 1.0, 0.3), (0, 0, 0.0, 1.0, 0.2), (0, 1, 0.0, 1.0, 0.9)]
    found, shown = detections_of(detections), instances_of([SPAN_3_5])
    matches = match(found, shown, RULES["official"], [0.5])
    assert best_of_each_class(found, shown, matches, 1).tolist() == [1]
    assert sorted(best_of_each_class(found, shown, matches, 2).tolist()) == [1, 2]
