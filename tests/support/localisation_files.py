"""Small annotation files in the official forms of THUMOS14 and ActivityNet, carrying their traps; detections for them."""

import json
from pathlib import Path
from typing import Any

THUMOS14_FILES = {
    "val/annotation/CricketBowling_val.txt": "video_validation_0000051 67.50 75.90\nvideo_validation_0000051  85.9   90.6\n",
    "val/annotation/CleanAndJerk_val.txt": "video_validation_0000160 1.5 9.0\n",
    "val/annotation/Ambiguous_val.txt": "video_validation_0000051 2.0 3.0\n",
    "val/annotation/readme.txt": "not annotations\n",
    "test/annotations/annotation/CricketBowling_test.txt": "video_test_0000004 0.2 1.1\n"
    "video_test_0000004    1.4   2.3 \r\nvideo_test_0000270 1.0 2.0\nvideo_test_0000814 200.0 900.0\n",
    "test/annotations/annotation/CliffDiving_test.txt": "video_test_0000028 10.0 14.5\n",
    "test/annotations/annotation/Diving_test.txt": "video_test_0000028 10.0 14.5\nvideo_test_0001496 3.0 4.0\n"
    "video_test_0000028 30.0 33.0\n",
    "test/annotations/annotation/CleanAndJerk_test.txt": "video_test_0001081 5 6\n",
    "test/annotations/annotation/Ambiguous_test.txt": "video_test_0001292 1.1 20.6\nvideo_test_0000028 40.0 45.0\n",
}

ACTIVITYNET = {
    "version": "VERSION 1.3",
    "taxonomy": [{"nodeName": "Root", "nodeId": 269, "parentId": None, "parentName": None}],
    "database": {
        "sJQeCE2jiVk": {
            "subset": "training",
            "duration": 30.5,
            "resolution": "320x240",
            "url": "u",
            "annotations": [
                {"label": "Ballet", "segment": [1.0, 12.5]},
                {"label": "Ballet", "segment": [20.0, 31.25]},
                {"label": "Ballet", "segment": [1.0, 12.5]},
            ],
        },
        "-0r0HEwAYiQ": {
            "subset": "training",
            "duration": 10,
            "annotations": [{"label": "Zumba", "segment": [5, 5]}],
        },
        "_EHF2JTpBd4": {
            "subset": "validation",
            "duration": 100.0,
            "annotations": [
                {"label": "Ballet", "segment": [10.0, 20.0]},
                {"label": "Zumba", "segment": [40.0, 60.0]},
            ],
        },
        "v_abcdefghi": {
            "subset": "validation",
            "duration": 50.0,
            "annotations": [{"label": "Zumba", "segment": [0.0, 50.0]}],
        },
        "bbbbbbbbbbb": {"subset": "testing", "duration": 8.0, "annotations": []},
    },
}


def write_thumos14(folder: Path) -> None:
    for name, text in THUMOS14_FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def write_json(file: Path, content: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def results(**videos: list[tuple[str, float, float, float]]) -> dict[str, Any]:
    """The content of a detections file; each detection is label, start, end, score."""
    rows = {
        video: [
            {"label": label, "segment": [start, end], "score": score} for label, start, end, score in found
        ]
        for video, found in videos.items()
    }
    return {"version": "VERSION 1.3", "results": rows, "external_data": {}}
