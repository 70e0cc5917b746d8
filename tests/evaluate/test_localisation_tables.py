"""The paper's localisation numbers stand only beside results about the same thing."""

import pytest
from test_benchmark_tables import ADAPTER, results_of, rows_of

from featx.evaluate.tables.paper_rows import same_settings
from featx.localisation.detection_scores import ACTIVITYNET_TIOU, THUMOS14_TIOU
from featx.scoring.results import Item, Localisation, Results, TrainedOn, summarise


def localisation(**changes: object) -> Localisation:
    fields: dict[str, object] = {
        "proposals": "p.json", "rule": "official", "tiou": list(THUMOS14_TIOU), "instances": 3358,
        "proposal_weight": 0.5, "top_classes": 2,
    }  # fmt: skip
    return Localisation(**fields | changes)


def closed(**changes: object) -> Results:
    metrics = {f"map@{tiou:g}": 0.3 for tiou in THUMOS14_TIOU} | {"average_map": 0.35, "proposals_ar@50": 0.5}
    fields: dict[str, object] = {
        "task": "localisation", "data_set": "thumos14", "classes": 20, "metrics": metrics,
        "trained_on": TrainedOn(data_set="thumos14", classes=[str(n) for n in range(20)]),
        "localisation": localisation(),
    }  # fmt: skip
    return results_of(**fields | changes)


def open_set(splits: int, seen: int, **changes: object) -> Results:
    items = [
        Item(name=f"split_{n}", scored=50, metrics={"average_map": 0.2 + 0.01 * n}) for n in range(splits)
    ]
    metrics, spread = summarise(items)
    about = {
        "class_set": "unseen", "class_split": "75.jsonl#10 splits", "classes": 20 - seen, "metrics": metrics,
        "trained_on": TrainedOn(data_set="thumos14", classes=[str(n) for n in range(seen)]),
    }  # fmt: skip
    return closed(**about | changes).model_copy(update={"items": items, "spread": spread})


def test_closed_set_rows_have_the_papers_numbers_beside_them() -> None:
    zero_shot = closed(method="zero-shot", config={"templates": ["{}"]}, trained_on=None)
    template, ours = rows_of("localisation-closed", closed(), zero_shot)  # in the paper's order
    assert template["learned"] == "zero-shot" and template["paper mAP avg"] == 24.3
    assert (
        ours["paper mAP avg"] == 34.5
        and ours["mAP avg difference"] == "+0.5"
        and ours["paper mAP@0.7"] == 15.7
    )
    assert ours["proposals"] == "p.json" and ours["AR@50 %"] == 50.0


@pytest.mark.parametrize(
    "changes",
    [
        {"localisation": localisation(proposals="ground-truth")},
        {"localisation": localisation(tiou=[0.5])},
        {"localisation": localisation(tiou=list(ACTIVITYNET_TIOU))},
        {"split": "train"},
        {"classes": 19},
        {"config": ADAPTER | {"clip_frames": 8}},
        {"data_set": "mine"},
    ],
)
def test_beside_anything_else_there_is_none(changes: dict[str, object]) -> None:
    assert same_settings(closed()) and not same_settings(closed(**changes))
    for row in rows_of("localisation-closed", closed(**changes)):
        assert row.get("paper mAP avg") is None


def test_open_set_rows_are_means_over_ten_class_splits() -> None:
    rows = {
        row["learned on"]: row for row in rows_of("localisation-open", open_set(10, 15), open_set(10, 10))
    }
    assert rows["thumos14, 15 classes"]["paper mAP avg"] == 23.3
    assert rows["thumos14, 10 classes"]["paper mAP avg"] == 21.9
    assert rows["thumos14, 15 classes"]["splits"] == 10 and rows["thumos14, 15 classes"]["mAP avg % ±"] > 0
    for other in (open_set(9, 15), open_set(10, 15, class_set="all"), open_set(10, 14)):
        (row,) = (one for one in rows_of("localisation-open", other) if one["run"])
        assert row.get("paper mAP avg") is None


def test_of_activitynets_ten_overlaps_the_usual_are_shown() -> None:
    metrics = {f"map@{tiou:g}": tiou / 2 for tiou in ACTIVITYNET_TIOU} | {"average_map": 0.3}
    learned = TrainedOn(data_set="activitynet", classes=[str(n) for n in range(200)])
    about = {
        "data_set": "activitynet",
        "classes": 200,
        "split": "val",
        "metrics": metrics,
        "trained_on": learned,
    }
    rows = rows_of(
        "localisation-closed", closed(**about, localisation=localisation(tiou=list(ACTIVITYNET_TIOU)))
    )
    ours = next(row for row in rows if row["run"])
    assert [name for name in ours if name.startswith("mAP@") and name.endswith("%")] == ["mAP@0.5 %", "mAP@0.75 %", "mAP@0.95 %"]  # fmt: skip
    assert ours["paper mAP@0.95"] == 5.1
