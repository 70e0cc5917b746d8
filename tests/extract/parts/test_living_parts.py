"""Stores that grow by plans: at a URL, one that a single machine began, and what a killed planner leaves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from living_folder import FINGERPRINT, CachingWorkerPool, QuickWorkerPool, make_clips
from object_servers import KEYS, make_bucket, moto_server
from stores import assert_equal, video

from featx.errors import FeatxError
from featx.extract import run as run_module
from featx.extract.parts import planning
from featx.extract.parts import work as work_module
from featx.extract.parts.plan_and_work import plan_and_work
from featx.extract.parts.planning import plan_store
from featx.extract.parts.settings import WorkSettings
from featx.extract.parts.work import work
from featx.extract.plan.settings import ExtractSettings
from featx.extract.run import extract_videos
from featx.store.backends.open import open_backend
from featx.store.failures import Failure
from featx.store.parts.status import status_of
from featx.store.reader import FeatureStore
from featx.store.schema import VideoInfo
from featx.store.upkeep.verify import verify
from featx.store.writing.writer import StoreWriter

SETTINGS = ExtractSettings(model="tiny", part_frames=8)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return make_clips(tmp_path_factory.mktemp("clips"), 7)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "WorkerPool", CachingWorkerPool)
    monkeypatch.setattr(work_module, "WorkerPool", QuickWorkerPool)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))
    with moto_server() as address:
        for name, value in (KEYS | {"AWS_ENDPOINT_URL": address}).items():
            monkeypatch.setenv(name, value)
        make_bucket(address, "bucket")
        yield "s3://bucket/store"


def folder_of(place: Path, files: dict[str, bytes]) -> Path:
    place.mkdir()
    for name, content in files.items():
        (place / name).write_bytes(content)
    return place


def assert_as_fresh(store: Path, folder: Path, fresh: Path) -> None:
    extract_videos([folder], fresh, ExtractSettings(model="tiny"))
    lived, expected = FeatureStore(store), FeatureStore(fresh)
    assert set(lived) == set(expected)
    for video_id in expected:
        assert_equal(lived[video_id], expected[video_id])
    assert lived.video_info(list(expected)) == expected.video_info(list(expected))


def test_a_store_at_a_url_follows_its_folder(clips: list[bytes], tmp_path: Path, bucket: str) -> None:
    files = {"a.mp4": clips[0], "b.mp4": clips[1], "c.mp4": clips[2], "bad.mp4": b"no video"}
    folder = folder_of(tmp_path / "v", files)
    store = Path(bucket)
    tally, file = extract_videos([folder], store, SETTINGS)
    assert (tally.added, tally.failed, file) == (3, 1, None) and tally.failures[0].id == "bad.mp4"
    assert_as_fresh(store, folder, tmp_path / "one")

    (folder / "a.mp4").rename(folder / "d.mp4")  # moved
    (folder / "b.mp4").write_bytes(clips[3])  # changed
    (folder / "e.mp4").write_bytes(clips[4])  # new
    (folder / "bad.mp4").unlink()  # a failure that is gone
    QuickWorkerPool.computed.clear()
    tally, _ = extract_videos([folder], store, SETTINGS)
    assert (tally.added, tally.failed, tally.there_already) == (2, 0, 2)
    assert QuickWorkerPool.computed.total() == 2
    assert_as_fresh(store, folder, tmp_path / "two")
    status = status_of(open_backend(bucket))
    assert len(status.plans.plans) == 2 and not [failure for part in status.done for failure in part.failures]

    before = {listed.key for listed in open_backend(bucket).list()}
    tally, _ = extract_videos([folder], store, SETTINGS)
    assert (tally.added, tally.there_already) == (0, 4)
    assert {listed.key for listed in open_backend(bucket).list()} == before


def test_what_is_refused_or_fails_again_is_said_each_time(
    clips: list[bytes], tmp_path: Path, bucket: str, featx
) -> None:
    folder = folder_of(tmp_path / "v", {"a.mp4": clips[0], "bad.mp4": b"no video"})
    (folder / "secret.mp4").symlink_to("/etc/hostname")
    for _ in range(2):
        done = featx("extract", folder, "--to", bucket, "--model", "tiny")
        assert done.code == 3 and "2 videos failed" in done.err, done.err
    work_left = folder_of(tmp_path / "w", {"c.mp4": clips[1], "bad.mp4": b"no video"})
    (work_left / "cut.mp4").symlink_to("/etc/hostname")
    store = tmp_path / "planned"
    plan_store(
        [work_left], str(store), SETTINGS, 8
    )  # and nobody worked on it: the command does it, and says what failed
    tally, _ = plan_and_work([work_left], store, SETTINGS)
    assert {failure.id for failure in tally.failures} == {"bad.mp4", "cut.mp4"} and tally.added == 1


@pytest.mark.parametrize("version", [1, 2])
def test_a_store_that_one_machine_began_is_gone_on_with_by_many(
    clips: list[bytes], tmp_path: Path, version: int
) -> None:
    folder = folder_of(tmp_path / "v", {"a.mp4": clips[0], "b.mp4": clips[1]})
    store = tmp_path / "store"
    with StoreWriter(store, FINGERPRINT, schema_version=version) as writer:
        status = (folder / "a.mp4").stat()
        about = VideoInfo("a.mp4", status.st_size, status.st_mtime_ns, 48, 32, 1.0)
        writer.add("a.mp4", video(7, 0, 16), about)
    old = FeatureStore(store)["a.mp4"]
    planned = plan_store([folder], str(store), SETTINGS, 8)
    assert planned.plan is not None and planned.plan.first == 1 and planned.plan.videos == 1
    with pytest.raises(FeatxError, match="1 of the 1 parts of its plan are not done"):
        StoreWriter.of(store)
    assert list(FeatureStore(store)) == ["a.mp4"]  # read meanwhile
    work(str(store), WorkSettings())
    both = FeatureStore(store)
    assert both.header.featx_store == version and list(both) == ["a.mp4", "b.mp4"]
    assert_equal(both["a.mp4"], old)
    assert both.rows("b.mp4") == 4 and both.pts("b.mp4")[0] == 0
    assert verify(store).findings == []


def test_a_planner_killed_before_it_said_what_changed(
    clips: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is there then, so a machine says it: before it commits anything else."""
    folder = folder_of(tmp_path / "v", {"a.mp4": clips[0], "b.mp4": clips[1]})
    store = tmp_path / "store"
    plan_store([folder], str(store), SETTINGS, 8)
    work(str(store), WorkSettings())
    (folder / "a.mp4").write_bytes(clips[2])

    def die(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(planning, "commit_changes", die)
    with pytest.raises(KeyboardInterrupt):
        plan_store([folder], str(store), SETTINGS, 8)
    assert len(FeatureStore(store)) == 2
    work(str(store), WorkSettings())
    assert_as_fresh(store, folder, tmp_path / "fresh")
    assert verify(store).findings == []


def test_a_kept_video_is_read_until_the_new_one_is_there(
    clips: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path / "v", {"a.mp4": clips[6]})
    store = tmp_path / "store"
    keep = SETTINGS.model_copy(update={"retry_kept": True})
    work_on = QuickWorkerPool.work

    def damaged(self: QuickWorkerPool, videos: list[object]) -> Iterator[object]:
        from dataclasses import replace

        from featx.extract.workers.messages import VideoDone, VideoFailed

        for message in work_on(self, videos):  # type: ignore[arg-type]
            if isinstance(message, VideoDone):
                yield replace(message, video_info=replace(message.video_info, complete=False))
                yield VideoFailed(Failure(message.video.id, "", "decode", "is cut", "kept", []))

    with monkeypatch.context() as patch:
        patch.setattr(QuickWorkerPool, "work", damaged)
        plan_store([folder], str(store), keep, 8)
        work(str(store), WorkSettings())
    assert FeatureStore(store).video_info(["a.mp4"])["a.mp4"].complete is False
    assert status_of(open_backend(str(store))).done[0].failures == [("a.mp4", "is cut")]
    plan_store([folder], str(store), keep, 8)
    assert list(FeatureStore(store)) == ["a.mp4"]
    work(str(store), WorkSettings())
    assert_as_fresh(store, folder, tmp_path / "fresh")
    assert verify(store).findings == []
    assert not [part for part in status_of(open_backend(str(store))).done if part.failures]


def test_what_does_not_go_with_parts_is_refused(clips: list[bytes], tmp_path: Path, featx) -> None:
    folder = folder_of(tmp_path / "v", {"a.mp4": clips[0]})
    done = featx("extract", folder, "--to", "memory://s", "--model", "tiny", "--max-failures", 3)
    assert done.code == 2 and "--max-failures: does not go with a store in parts" in done.err
    plan_store([folder], str(tmp_path / "s"), SETTINGS, 8)
    (folder / "b.mp4").write_bytes(clips[1])
    done = featx("plan", folder, "--to", tmp_path / "s", "--model", "tiny")
    assert done.code == 2 and "1 of the videos are not in its plan, 'b.mp4' first" in done.err
    done = featx("plan", folder, "--to", tmp_path / "s", "--model", "tiny", "--fps", 2)
    assert done.code == 2 and "fps: 2, not None" in done.err
