"""The HTTP interface answers as `featx.search` does, and describes itself."""

import io
from pathlib import Path

import numpy as np
import pytest
from explorer import extract
from PIL import Image

import featx
from featx.store.reader import FeatureStore

av = pytest.importorskip("av")


def hits_of(answer) -> list[dict]:
    assert answer.status_code == 200, answer.text
    return answer.json()["hits"]


@pytest.mark.parametrize("level", ["moments", "videos", "frames"])
def test_a_sentence_finds_what_the_library_finds(client, served_store: Path, work: Path, level: str) -> None:
    expected = featx.search(served_store, "a red star", level=level, top=7)
    hits = hits_of(client.get("/api/search", params={"q": "a red star", "level": level, "top": 7}))
    assert [(hit["video"], hit["first_row"], hit["rows"], hit["start_s"], hit["end_s"]) for hit in hits] == [
        (hit.id, hit.first_row, hit.rows, hit.start_s, hit.end_s) for hit in expected
    ]
    assert [hit["score"] for hit in hits] == pytest.approx([hit.score for hit in expected], abs=1e-6)
    assert all(Path(hit["file"]) == work / "videos" / hit["video"] for hit in hits)
    bound = (hits[2]["score"] + hits[3]["score"]) / 2
    some = client.get("/api/search", params={"q": "a red star", "level": level, "top": 7, "min_score": bound})
    assert hits_of(some) == hits[:3]


def test_filters_search_only_what_they_name(client) -> None:
    base = {"q": "a star", "level": "videos", "top": 100}
    everything = hits_of(client.get("/api/search", params=base))
    assert len(everything) == 20
    for folder in ("falling", "falling/"):
        assert hits_of(client.get("/api/search", params=base | {"folder": folder})) == [
            hit for hit in everything if hit["video"].startswith("falling/")
        ]
    assert hits_of(client.get("/api/search", params=base | {"folder": "fall"})) == []
    lengths = [hit["end_s"] - hit["start_s"] for hit in everything]
    middle = float(np.median(lengths))
    longer = hits_of(client.get("/api/search", params=base | {"min_length_s": middle + 0.001}))
    expected = [hit for hit, length in zip(everything, lengths, strict=True) if length > middle + 0.001]
    assert longer == expected
    shorter = hits_of(client.get("/api/search", params=base | {"max_length_s": middle + 0.001}))
    assert len(longer) + len(shorter) == 20


def test_a_sentence_minus_a_sentence(client, served_store: Path) -> None:
    """By hand: the difference of the features that the library's text encoder gives."""
    from synthetic import text_features

    one, other = (text / np.linalg.norm(text) for text in text_features(["a red star", "a star"]))
    query = (one - other) / np.linalg.norm(one - other)
    store = FeatureStore(served_store)
    means = {}
    for video_id in store:
        rows = store[video_id].features.astype(np.float64)
        mean = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0)
        means[video_id] = float(mean / np.linalg.norm(mean) @ query)
    asked = {"q": "a red star", "minus": "a star", "level": "videos", "top": 20}
    hits = hits_of(client.get("/api/search", params=asked))
    assert {hit["video"]: hit["score"] for hit in hits} == pytest.approx(means, abs=1e-4)
    assert client.get("/api/search", params=asked | {"minus": "a red star"}).status_code == 400


def test_a_frame_finds_itself_first(client, served_store: Path) -> None:
    store = FeatureStore(served_store)
    time_s = float(store.pts("falling/1.mp4")[20])
    hits = hits_of(
        client.get("/api/search", params={"like": "falling/1.mp4", "like_s": time_s, "level": "frames"})
    )
    rows = store["falling/1.mp4"].features.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert hits[0]["score"] == pytest.approx(1, abs=1e-3)
    assert hits[0]["video"] == "falling/1.mp4" and rows[20] @ rows[hits[0]["first_row"]] > 0.999


def test_a_picture_finds_the_frame_that_it_is(client, work: Path) -> None:
    with av.open(str(work / "videos" / "rising" / "2.mp4")) as container:
        pictures = [frame.to_image() for frame in container.decode(video=0)]
    for format in ("PNG", "JPEG", "WEBP"):
        content = io.BytesIO()
        pictures[12].save(content, format)
        kind = f"image/{format.lower()}"
        answer = client.post(
            "/api/search?level=frames", content=content.getvalue(), headers={"content-type": kind}
        )
        assert hits_of(answer)[0]["video"] == "rising/2.mp4"


def test_the_curve_is_the_cosine_of_each_row(client, served_store: Path) -> None:
    from synthetic import text_features

    store = FeatureStore(served_store)
    text = text_features(["a red star"])[0]
    rows = store["growing/0.mp4"].features.astype(np.float64)
    expected = rows @ text / np.linalg.norm(rows, axis=1) / np.linalg.norm(text)
    curve = client.get("/api/curve", params={"q": "a red star", "video": "growing/0.mp4"}).json()
    assert curve["score"] == pytest.approx(expected.tolist(), abs=1e-4)
    assert curve["time_s"] == store.pts("growing/0.mp4").tolist()


def test_frames_and_clips_show_the_rows(client, served_store: Path, work: Path, tmp_path: Path) -> None:
    store = FeatureStore(served_store)
    video = store["falling/3.mp4"]
    with av.open(str(work / "videos" / "falling" / "3.mp4")) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]

    def apart(one: Image.Image, other: Image.Image) -> float:
        return np.abs(np.asarray(one, float) - np.asarray(other.resize(one.size, 3), float)).mean()

    asked = {"video": "falling/3.mp4", "time_s": float(video.pts[15]) + 0.001, "height": 120}
    shown = Image.open(io.BytesIO(client.get("/api/frame", params=asked).content))
    assert shown.height == 120 and apart(shown, frames[15]) < 2 < apart(shown, frames[35])

    for _ in range(2):  # made, and kept
        clip = client.get("/api/clip", params={"video": "falling/3.mp4", "first_row": 8, "rows": 9})
        assert clip.headers["content-type"] == "video/mp4"
        (tmp_path / "clip.mp4").write_bytes(clip.content)
        with av.open(str(tmp_path / "clip.mp4")) as container:
            pictures = [frame.to_image() for frame in container.decode(video=0)]
        assert len(pictures) == 9
        for number, picture in enumerate(pictures):
            assert apart(picture, frames[video.frame_index[8 + number]]) < 3


def test_what_the_store_holds(client, served_store: Path) -> None:
    about = client.get("/api/store").json()
    assert about["videos"] == 20 and about["failures"] == []
    assert {one["folder"]: one["videos"] for one in about["folders"]} == dict.fromkeys(
        ("growing", "shrinking", "rising", "falling"), 5
    )
    assert about["coverage"]["videos"] == 21 and about["coverage"]["missing_ids"] == ["falling/9.mp4"]
    page = client.get("/api/videos", params={"find": "RISING", "limit": 2, "offset": 1}).json()
    assert page["total"] == 5 and [one["video"] for one in page["videos"]] == ["rising/1.mp4", "rising/2.mp4"]
    assert {one["state"] for one in page["videos"]} == {"there"}
    video = client.get("/api/video", params={"video": "growing/0.mp4"}).json()
    assert video["segments"] == [{"label": "rising", "start_s": 0.2, "end_s": 0.6}]
    assert video["labels"] == ["growing"]
    rows = np.load(
        io.BytesIO(client.get("/api/features", params={"video": "growing/0.mp4"}).content), allow_pickle=False
    )
    np.testing.assert_array_equal(rows, FeatureStore(served_store)["growing/0.mp4"].features)


def test_the_document_describes_every_endpoint(client) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    document = client.get("/api/openapi.json").json()
    validator.validate(document)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            needed = [one["name"] for one in operation["parameters"] if one["required"]]
            answer = client.request(method, path)  # nothing given: what is needed is named
            assert answer.status_code in ((400, 415) if needed or path == "/api/search" else (200,)), path
            if needed and path not in ("/api/curve",):
                assert needed[0] in answer.json()["error"]
    assert client.get("/api/store?unknown=1").status_code == 200  # takes none
    assert client.get("/api/videos?unknown=1").status_code == 400


def test_what_was_committed_meanwhile_is_found(tmp_path: Path, shape_videos: Path) -> None:
    from starlette.testclient import TestClient

    from featx.evaluate.serve.app import make_app
    from featx.evaluate.serve.engine import Engine
    from featx.evaluate.serve.settings import ServeSettings

    store = extract(shape_videos / "growing", tmp_path / "s")
    app = make_app(Engine(store, ServeSettings.model_validate({"device": "cpu"})))
    with TestClient(app, base_url="http://localhost:8484") as client:
        asked = {"q": "a star", "level": "videos", "top": 100}
        assert len(hits_of(client.get("/api/search", params=asked))) == 3
        extract(shape_videos, store)
        assert len(hits_of(client.get("/api/search", params=asked))) > 3
