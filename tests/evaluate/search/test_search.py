"""`featx search` from the command line: texts, pictures, adapters, contact sheets, and what it refuses."""

import base64
import csv
import dataclasses
import io
import json
import re
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from stores import make_store, video
from synthetic import CLASSES, text_features, tiny_fingerprint

from featx.features.clips import ClipSampling, even_clips
from featx.model.adapter import load_adapter
from featx.store.reader import FeatureStore
from featx.store.schema import VideoFeatures, VideoInfo
from featx.store.writing.writer import StoreWriter


def said(outcome, code: int = 0) -> dict:
    assert outcome.code == code, outcome.err
    return json.loads(outcome.out)


def hits_of(outcome) -> list[dict]:
    (query,) = said(outcome)["queries"]
    return query["finds"]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture(scope="session")
def shape_store(shape_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import sys

    from featx.cli import main

    store = tmp_path_factory.mktemp("shape-store") / "features"
    before, sys.argv = (
        sys.argv,
        ["featx", *map(str, ["extract", shape_videos, "--model", "tiny", "--to", store])],
    )
    try:
        main()
    except SystemExit as end:
        assert not end.code
    finally:
        sys.argv = before
    return store


def test_videos_come_in_the_order_of_their_cosines(class_data: Path, featx) -> None:
    store = FeatureStore(class_data / "features")
    text = unit(text_features(["a red star"])[0])
    means = {
        one: unit(unit(store[one].features.astype(np.float64)).mean(axis=0)) @ text for one in list(store)
    }
    best = sorted(means, key=lambda one: -means[one])
    found = hits_of(featx("search", store.path, "a red star", "--level", "videos", "--format", "json"))
    assert [hit["video"] for hit in found] == best[:10]
    assert [hit["score"] for hit in found] == pytest.approx([means[one] for one in best[:10]], abs=1e-5)
    assert sum(hit["video"].startswith("red-star") for hit in found) >= 7
    assert all(hit["rows"] == store.rows(hit["video"]) for hit in found)


@pytest.mark.parametrize("sampling", [["--fps", 3], ["--frames", 1], ["--frames", 4]], ids=str)
def test_what_is_found_ends_with_its_video(shape_videos: Path, tmp_path: Path, sampling: list, featx) -> None:
    """Not one usual distance of rows behind the last one: PyAV's word, where rows are seconds apart, or only one."""
    assert featx("extract", shape_videos, "--model", "tiny", *sampling, "--to", tmp_path / "s").code == 0
    for level in ("moments", "frames", "videos"):
        words = ["search", tmp_path / "s", "a star", "--level", level, "--top", 100, "--apart", 0]
        found = hits_of(featx(*words, "--windows", 1, "--format", "json"))
        ends: dict[str, float] = {}
        for hit in found:
            assert hit["end_s"] > hit["start_s"] >= 0, (level, hit)
            ends[hit["video"]] = max(hit["end_s"], ends.get(hit["video"], 0.0))
        assert len(ends) == 6
        for name, end_s in ends.items():
            with av.open(str(shape_videos / name)) as opened:
                duration_s = opened.duration / av.time_base
            assert end_s <= duration_s + 0.05, (level, name)  # a frame
            assert end_s >= duration_s - 0.05 or level == "moments", (level, name)


def test_swapped_arguments_are_seen(class_data: Path, featx) -> None:
    store = class_data / "features"
    outcome = featx("search", "a red star", store)
    assert outcome.code == 2 and f"STORE comes first: featx search {store} 'a red star'" in outcome.err


def test_several_queries_are_answered_as_each_alone(class_data: Path, tmp_path: Path, featx) -> None:
    texts = list(CLASSES.values())
    (tmp_path / "queries.txt").write_text("\n\n".join(texts) + "\n")
    base = ["search", class_data / "features", "--top", 3]
    together = said(featx(*base, "--queries", tmp_path / "queries.txt", "--format", "json"))["queries"]
    assert [one["query"] for one in together] == texts
    for one in together[::3]:
        alone = hits_of(featx(*base, one["query"], "--format", "json"))
        assert [(f["video"], f["first_row"], f["rows"]) for f in alone] == [
            (f["video"], f["first_row"], f["rows"]) for f in one["finds"]
        ]
        assert [f["score"] for f in alone] == pytest.approx([f["score"] for f in one["finds"]], abs=1e-5)
    outcome = featx(*base, "--queries", tmp_path / "queries.txt", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [row["video"] for row in rows] == [f["video"] for one in together for f in one["finds"]]
    assert [float(row["score"]) for row in rows] == [f["score"] for one in together for f in one["finds"]]
    table = featx(*base, "--queries", tmp_path / "queries.txt").out
    assert texts[3] in table and rows[0]["video"] in table and "108 videos" in table


def test_an_adapter_scores_as_in_evaluation(class_data: Path, made_run, featx) -> None:
    run = made_run("train", "--prompts", 2, "--layers", 1, "--steps", 3)
    adapter, header = load_adapter(run / "adapter.safetensors")
    store = FeatureStore(class_data / "features")

    def scored(video_id: str, first: int, rows: int, text: torch.Tensor) -> float:
        settings = header.settings
        placed = even_clips(rows, ClipSampling(16, settings["strides"], settings["stride_weights"], clips=5))
        clips = torch.from_numpy(store[video_id].features[first + placed]).float()
        with torch.no_grad():
            return float((adapter.eval().encode_clips(clips) @ text).mean())

    from featx.encoders.load import load_model
    from featx.encoders.text import TextTower

    with torch.no_grad():
        tower = TextTower(load_model("tiny").model)
        text = adapter.encode_texts(tower, adapter.plan(tower.format, ["red star"]))[0]
    base = ["search", store.path, "red star", "--adapter", run, "--format", "json"]
    every = [(one, 0, store.rows(one)) for one in store]
    best = sorted(every, key=lambda one: -scored(one[0], one[1], one[2], text))[:10]
    outcome = featx(*base, "--level", "videos", "--rerank", 1000)
    found = hits_of(outcome)
    assert [(f["video"], f["first_row"], f["rows"]) for f in found] == best
    assert [f["score"] for f in found] == pytest.approx([scored(*one, text) for one in best], abs=1e-5)
    assert "were scored again with the adapter's temporal model (5 clips each)" in outcome.err

    plain = hits_of(featx(*base, "--rerank", 0))  # prompts, but no Transformer
    first = plain[0]
    rows = store[first["video"]].features[first["first_row"] :][: first["rows"]].astype(np.float64)
    assert (unit(unit(rows).mean(axis=0)) @ text.numpy()) == pytest.approx(first["score"], abs=0.02)
    some = hits_of(featx(*base, "--rerank", 4))
    key = ("video", "start_s", "end_s")
    assert {tuple(f[k] for k in key) for f in some[:4]} == {tuple(f[k] for k in key) for f in plain[:4]}
    assert [f["score"] for f in some[:4]] == sorted((f["score"] for f in some[:4]), reverse=True)
    assert some[4:] == plain[4:]
    for hit in some[:4]:
        span = hit["video"], hit["first_row"], hit["rows"]
        assert hit["score"] == pytest.approx(scored(*span, text), abs=1e-5)


def test_a_picture_finds_the_frame_that_it_is(shape_videos: Path, shape_store: Path, tmp_path, featx) -> None:
    av = pytest.importorskip("av")
    with av.open(str(shape_videos / "falling" / "1.mp4")) as container:
        pictures = [frame.to_image() for frame in container.decode(video=0)]
    pictures[20].save(tmp_path / "frame.png")
    base = ["search", shape_store, "--image", tmp_path / "frame.png", "--format", "json"]
    (best, *_) = hits_of(featx(*base, "--level", "frames"))
    assert best["video"] == "falling/1.mp4" and best["score"] > 0.999
    store = FeatureStore(shape_store)
    features = unit(store["falling/1.mp4"].features.astype(np.float64))
    assert features[20] @ features[best["first_row"]] > 0.9999
    (moment, *_) = hits_of(featx(*base))
    assert moment["video"] == "falling/1.mp4"
    only = hits_of(featx(*base, "--video", "growing/0.mp4", "--level", "frames"))
    assert {hit["video"] for hit in only} == {"growing/0.mp4"}


def pictures_in(page: str) -> list[np.ndarray]:
    data = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB")) for one in data]


def test_a_contact_sheet_shows_the_frames_of_the_finds(
    shape_videos: Path, shape_store: Path, tmp_path: Path, featx
) -> None:
    av = pytest.importorskip("av")
    sheet = tmp_path / "sheet.html"
    query = "a <b>red</b> star & more"
    outcome = featx("search", shape_store, query, "--top", 2, "--contact-sheet", sheet, "--format", "json")
    found = hits_of(outcome)
    page = sheet.read_text()
    assert query not in page and "a &lt;b&gt;red&lt;/b&gt; star &amp; more" in page
    assert "http" not in page and "no picture" not in page
    shown = pictures_in(page)
    store, expected = FeatureStore(shape_store), []
    for hit in found:
        with av.open(str(shape_videos / hit["video"])) as container:
            frames = [frame.to_image() for frame in container.decode(video=0)]
        for part in range(4):
            row = hit["first_row"] + int((part + 0.5) / 4 * hit["rows"])
            assert f"<figcaption>{store.pts(hit['video'])[row]:.2f} s</figcaption>" in page
            expected.append(frames[store[hit["video"]].frame_index[row]])
    assert len(shown) == len(expected) == 8

    def difference(one: np.ndarray, frame: Image.Image) -> float:
        return np.abs(one - np.asarray(frame.resize((one.shape[1], one.shape[0]), 3), float)).mean()

    same = [difference(one, frame) for one, frame in zip(shown, expected, strict=True)]
    shifted = [difference(one, frame) for one, frame in zip(shown, expected[1:] + expected[:1], strict=True)]
    assert max(same) < 2 < max(shifted)  # JPEG, and another scaling; not another frame

    assert featx("search", shape_store, query, "--top", 2, "--contact-sheet", tmp_path / "a.png").code == 0
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"), float)[:, :, 0]
    for number, one in enumerate(shown):
        width = one.shape[1]
        left = 16 + number % 4 * (width + 6)
        strip = picture[:, left : left + width]
        rows = range(len(strip) - 160 + 1)
        assert min(np.abs(strip[top : top + 160] - one[:, :, 0]).mean() for top in rows) < 1


def test_what_a_contact_sheet_cannot_show_is_counted(
    shape_videos: Path, shape_store: Path, tmp_path: Path, featx
) -> None:
    folder = tmp_path / "videos"
    shutil.copytree(shape_videos, folder)
    (folder / "falling" / "0.mp4").unlink()
    whole = (folder / "growing" / "1.mp4").read_bytes()
    (folder / "growing" / "1.mp4").write_bytes(whole[:700])
    base = ["search", shape_store, "a star", "--level", "videos", "--contact-sheet", tmp_path / "a.html"]
    outcome = featx(*base, "--videos", folder, "--format", "csv")
    assert outcome.code == 0
    page = (tmp_path / "a.html").read_text()
    assert page.count("no picture: ") == 8 and len(pictures_in(page)) == 16
    for text in (page, outcome.err):
        assert f"1 of 6 video files are not there; looked in {folder}: {folder}/falling/0.mp4" in text
        assert f"4 of 24 pictures could not be decoded, of {folder}/growing/1.mp4 first" in text
        assert "1 of 6 video files are not as large as when their features were made" in text
    manifest = tmp_path / "m.jsonl"
    lines = [{"featx_manifest": 1, "name": "m", "root": str(shape_videos)}]
    lines += [{"id": one, "path": one} for one in FeatureStore(shape_store)]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert featx(*base, "--manifest", manifest).code == 0
    assert len(pictures_in((tmp_path / "a.html").read_text())) == 24
    (tmp_path / "a.html").unlink()
    outcome = featx(*base, "--manifest", manifest, "--videos", folder)
    assert outcome.code == 2 and "give one of them" in outcome.err and not (tmp_path / "a.html").exists()


def test_videos_are_found_after_their_folder_moved(
    shape_videos: Path, shape_store: Path, tmp_path: Path, featx
) -> None:
    """The recorded path below the recorded root counts; without a root the id is the path."""
    moved = tmp_path / "elsewhere"
    shutil.copytree(shape_videos, moved)
    old = FeatureStore(shape_store)
    video_info = old.video_info(list(old))
    with StoreWriter(tmp_path / "s", old.header.fingerprint, model_source="tiny") as writer:
        for number, one in enumerate(old):
            path = dataclasses.replace(video_info[one], root="/gone", path=one)
            # Ids of a manifest, names of another folder, and as extract gave them before there was a root.
            named = {0: f"clip {number}", 1: f"moved/{one}"}.get(number, one)
            known = path if number < 3 else dataclasses.replace(path, root=None, path=f"before/{one}")
            writer.add(named, old[one], known)
    base = ["search", tmp_path / "s", "a star", "--level", "videos", "--contact-sheet", tmp_path / "a.html"]
    outcome = featx(*base, "--videos", moved, "--format", "csv")
    assert outcome.code == 0 and "are not there" not in outcome.err
    assert len(pictures_in((tmp_path / "a.html").read_text())) == 24
    outcome = featx(*base, "--format", "csv")
    assert (
        "6 of 6 video files are not there; --videos FOLDER or --manifest FILE says where they are: "
        in outcome.err
    )
    first, *_ = list(old)
    assert f"/gone/{first}" in outcome.err and f"before/{list(old)[5]}" in outcome.err
    for one in list(old)[1:4]:
        (moved / one).unlink()
    outcome = featx(*base, "--videos", moved, "--format", "csv")
    assert f"3 of 6 video files are not there; looked in {moved}: " in outcome.err
    assert all(f"{moved}/{one}" in outcome.err for one in list(old)[1:4])


def test_a_long_query_is_cut_and_that_is_said(class_data: Path, featx) -> None:
    words = " ".join(["star"] * 75)
    outcome = featx("search", class_data / "features", words + " red circle", "--format", "json")
    assert "1 of 1 queries are longer than CLIP's 77 tokens and were cut at the end" in outcome.err
    assert said(outcome)["queries"][0]["truncated"] is True
    fits = featx("search", class_data / "features", words, "--format", "json")
    assert "77 tokens" not in fits.err and not said(fits)["queries"][0]["truncated"]
    assert hits_of(fits) == hits_of(outcome)


def test_a_store_that_is_being_written_is_searched_as_far_as_it_is_committed(tmp_path: Path, featx) -> None:
    made = tiny_fingerprint()
    base = ["search", tmp_path / "s", "a star", "--format", "json"]
    with StoreWriter(tmp_path / "s", made, model_source="tiny") as writer:
        outcome = featx(*base)
        assert outcome.code == 2 and "has no videos yet" in outcome.err
        writer.add("a.mp4", video(30, 0, made.width), VideoInfo("a.mp4", 1, 1, 64, 64, 1.2))
        writer.commit()
        writer.add("b.mp4", video(30, 1, made.width), VideoInfo("b.mp4", 1, 1, 64, 64, 1.2))
        outcome = featx(*base)
        assert {hit["video"] for hit in hits_of(outcome)} == {"a.mp4"}
        assert f"1 videos, 30 rows were searched; {tmp_path}/s is being written" in outcome.err
    outcome = featx(*base)
    assert {hit["video"] for hit in hits_of(outcome)} == {"a.mp4", "b.mp4"}
    assert "being written" not in outcome.err


def test_wrong_use_is_said_in_one_line(class_data: Path, made_run, tmp_path: Path, featx) -> None:
    store = class_data / "features"
    run = made_run("train", "--prompts", 2, "--layers", 0, "--steps", 1)
    other = make_store(tmp_path / "other", {"a": video(4, 0)})
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "not.png").write_text("hello")
    cases = [
        ([store], "say what to look for"),
        ([store, "  "], "QUERY: is empty"),
        ([store, "--queries", tmp_path / "empty.txt"], "names no query"),
        ([store, "--image", tmp_path / "not.png"], "cannot read the picture"),
        ([store, "--image", tmp_path / "none.png"], "no such file"),
        ([store, "x", "--video", "red-star/test-99.mp4"], "did you mean 'red-star/"),
        ([store, "x", "--video", "a", "--level", "videos"], "--level videos"),
        ([store, "x", "--video", "a", "--index", tmp_path / "i"], "--index"),
        ([store, "x", "--stats", "--index", tmp_path / "i"], "--stats"),
        ([store, "x", "--windows", "2,0"], "--windows 2,0: must be seconds"),
        ([store, "x", "--contact-sheet", "a.pdf"], "must end in .html or .png"),
        ([store, "x", "--format", "tabel"], "did you mean 'table'"),
        ([store, "x", "--model", "tinny"], "did you mean 'tiny'"),
        ([other, "x", "--adapter", run], "learned on other features"),
        ([other, "x", "--model", "tiny"], "weights"),
        ([tmp_path, "x"], "not a feature store"),
    ]
    for words, message in cases:
        outcome = featx("search", *words)
        assert outcome.code == 2 and message in outcome.err, (words, outcome.err)
        assert outcome.err.count("\n") == 1 and not outcome.out
    baseline = tmp_path / "baseline"
    manifest = class_data / "manifest.jsonl"
    outcome = featx("baseline", "nearest-mean", "--store", store, "--manifest", manifest, "--to", baseline)
    assert outcome.code == 0
    outcome = featx("search", store, "x", "--adapter", baseline)
    assert outcome.code == 2 and "a baseline; take a run of featx train" in outcome.err


def test_queries_that_are_not_finite_are_an_error(class_data: Path, made_run, tmp_path: Path, featx) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    run = made_run("train", "--prompts", 2, "--layers", 0, "--steps", 1)
    with safe_open(run / "adapter.safetensors", "pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del header["sha256"]  # as a featx of before wrote it
    broken = tmp_path / "broken.safetensors"
    save_file({name: torch.full_like(one, torch.nan) for name, one in tensors.items()}, broken, header)
    outcome = featx("search", class_data / "features", "a red star", "--adapter", broken)
    assert outcome.code == 2 and "not finite" in outcome.err and str(broken) in outcome.err


def test_stats_say_how_fast_the_store_was_read(class_data: Path, featx) -> None:
    outcome = featx("search", class_data / "features", "a star", "--stats")
    assert re.search(
        r"rows \(.* MB\) for 1 queries in .* rows/s, .* GB/s, \d+% of the .* GB/s at which", outcome.err
    )


def test_features_without_times_are_found_but_not_shown(tmp_path: Path, featx) -> None:
    made = tiny_fingerprint()
    with StoreWriter(tmp_path / "s", made, model_source="tiny") as writer:
        rows = video(5, 0, made.width).features
        unknown = VideoFeatures(rows, np.full(5, np.nan), np.full(5, -1, np.int32))
        writer.add("a", unknown, VideoInfo("a.npy", 1, 1, None, None, None))
    base = ["search", tmp_path / "s", "a star"]
    assert "--level videos or frames" in featx(*base).err
    for ending in ("html", "png"):
        outcome = featx(*base, "--level", "frames", "--contact-sheet", tmp_path / f"a.{ending}")
        assert outcome.code == 0 and "1 of 1 videos have no pictures: the store does not know" in outcome.out
    (best, *_) = hits_of(featx(*base, "--level", "videos", "--format", "json"))
    assert (best["start_s"], best["end_s"], best["rows"]) == (None, None, 5)


def test_real_clips_are_searched_and_shown(real_videos: Path, tmp_path: Path, featx) -> None:
    names = ("cve1.mp4", "dc_video_90.mov", "mm_skel.avi", "tc_h265_10bits.mp4")
    for name in names:
        shutil.copy(real_videos / name, tmp_path / name)
    store = tmp_path / "features"
    files = [tmp_path / name for name in names]
    assert featx("extract", *files, "--to", store, "--model", "tiny", "--fps", 10).code == 0
    outcome = featx(
        *("search", store, "a person opens a door", "--contact-sheet", tmp_path / "a.html"),
        *("--format", "json", "--level", "videos"),
    )
    assert {hit["video"] for hit in hits_of(outcome)} == set(names)
    page = (tmp_path / "a.html").read_text()
    assert "no picture" not in page
    shapes = {picture.shape[:2] for picture in pictures_in(page)}
    assert shapes == {(160, 284), (160, 90), (160, 160)}  # 16:9, upright, square
