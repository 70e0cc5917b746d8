"""The pages in a real browser: search to playing moment, keyboard, addresses, widths, contrast and names."""

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from explorer import extract, serving
from stores import video
from synthetic import tiny_fingerprint

from featx.store.schema import VideoInfo
from featx.store.writing.writer import StoreWriter
from featx.video.ffmpeg import ffmpeg_path

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("uvicorn")
EVIL = "<img src=x onerror=alert(1)>.mp4"
WAIT_MS = 10_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(served_store: Path, served_manifest: Path) -> Iterator[str]:
    with serving(served_store, "--manifest", served_manifest) as address:
        yield address


@pytest.fixture
def page(browser) -> Iterator[Any]:
    """A page on which nothing may go wrong unnoticed."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(WAIT_MS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on("console", lambda said: problems.append(said.text) if "Content Security" in said.text else None)
    yield page
    assert problems == []
    page.close()


def get(address: str, path: str, **parameters: object) -> dict:
    with urllib.request.urlopen(f"{address}{path}?{urllib.parse.urlencode(parameters)}") as answer:
        return json.load(answer)


def until(page, expression: str) -> None:
    """Waits for it in the page; playwright's own way would need eval there, which the pages forbid."""
    end = time.monotonic() + WAIT_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        time.sleep(0.05)


def names(page) -> list[str]:
    return [re.sub(r"^\d+\. ", "", name) for name in page.locator(".card:visible .name").all_text_contents()]


def test_from_a_query_to_a_playing_moment_by_keyboard_alone(page, address: str) -> None:
    page.goto(address)
    page.locator("input[type=search]").wait_for()
    page.keyboard.type("a red star")
    page.keyboard.press("Enter")
    page.locator(".card").first.wait_for()
    hits = get(address, "/api/search", q="a red star")["hits"]
    assert names(page) == [hit["video"] for hit in hits]
    page.locator("h1, body").first.press("Tab")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert (
        page.evaluate("document.activeElement.closest('.card').querySelector('.name').textContent")[:2]
        == "2."
    )
    page.keyboard.press("Enter")
    hit, player = hits[1], page.locator(".stage video")
    player.wait_for()
    until(page, "document.querySelector('.stage video').currentTime > 0")
    state = player.evaluate("v => [v.currentTime, v.videoWidth, v.error]")
    assert hit["start_s"] - 0.1 <= state[0] <= hit["end_s"] + 0.3 and state[1] > 0 and state[2] is None
    until(page, "document.querySelector('.stage video').dataset.ended === 'true'")
    assert player.evaluate("v => v.currentTime") == pytest.approx(hit["end_s"], abs=0.3)
    page.keyboard.press("Enter")  # stops
    assert page.locator(".stage video").count() == 0
    page.keyboard.press("k")
    page.keyboard.press("o")
    page.locator("h1", has_text=hits[0]["video"]).wait_for()
    assert "view" not in page.url and "q=a+red+star" in page.url


def test_a_state_has_an_address(page, browser, address: str) -> None:
    page.goto(f"{address}/#/search?q=a+star&level=frames&folder=rising&top=100")
    page.locator(".card").first.wait_for()
    assert all(name.startswith("rising/") for name in names(page))
    assert page.locator("input[name=level]:checked").get_attribute("value") == "frames"
    scores = [float(one) for one in page.locator(".score").all_text_contents()]
    least = (scores[1] + scores[2]) / 2
    page.locator(".threshold").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); "
        "slider.dispatchEvent(new Event('change')); }",
        least,
    )
    shown = names(page)
    assert 1 <= len(shown) < len(scores) and "min_score=" in page.url
    other = browser.new_page()
    other.goto(page.url)  # somebody else's browser
    other.locator(".card:visible").first.wait_for()
    until(other, f"document.querySelectorAll('.card:not([hidden])').length === {len(shown)}")
    assert names(other) == shown
    other.close()
    page.locator(".card:visible .more").first.click()
    page.locator(".like").wait_for()
    page.locator(".card").first.wait_for()
    assert "like=" in page.url
    page.go_back()
    until(page, f"document.querySelectorAll('.card:not([hidden])').length === {len(shown)}")
    assert names(page) == shown


def test_more_like_this_finds_it_first(page, address: str) -> None:
    page.goto(f"{address}/#/search?q=a+star&level=frames")
    page.locator(".card").first.wait_for()
    first = names(page)[0]
    page.locator(".card .more").first.click()
    page.locator(".like").wait_for()
    until(page, "parseFloat(document.querySelector('.score')?.textContent) > 0.99")
    assert names(page)[0] == first


def test_a_picture_is_looked_for(page, address: str, work: Path, tmp_path: Path) -> None:
    file = work / "videos" / "falling" / "2.mp4"
    words = [ffmpeg_path(), "-v", "error", "-ss", "0.5", "-i", file, "-frames:v", "1", tmp_path / "frame.png"]
    subprocess.run(words, check=True)
    page.goto(f"{address}/#/search?level=frames")
    page.locator("summary").click()
    page.locator("input[type=file]").set_input_files(tmp_path / "frame.png")
    page.locator(".card").first.wait_for()
    assert names(page)[0] == "falling/2.mp4" and page.locator(".like img").is_visible()


def test_the_video_view(page, address: str) -> None:
    page.goto(f"{address}/#/video?video=growing/0.mp4&q=a+red+star;a+circle")
    until(page, "document.querySelectorAll('polyline').length === 2")
    curve = get(address, "/api/curve", video="growing/0.mp4", q="a red star")
    points = page.locator("polyline").first.get_attribute("points").split()
    assert len(points) == len(curve["score"])
    highest = min(range(len(points)), key=lambda number: float(points[number].split(",")[1]))
    assert page.locator(".legend li").count() == 2
    best = max(range(len(curve["score"])), key=lambda row: curve["score"][row])
    one_scale = [float(point.split(",")[1]) for point in points]
    assert one_scale[highest] == pytest.approx(one_scale[best])
    until(page, "document.querySelector('.screen video').readyState > 0")
    box = page.locator(".axis").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    about = get(address, "/api/video", video="growing/0.mp4")
    middle = about["first_s"] + about["duration_s"] / 2
    assert page.locator(".screen video").evaluate("v => v.currentTime") == pytest.approx(middle, abs=0.05)
    assert f"t={middle:.2f}" in page.url
    slider = page.locator(".axis")
    assert "a red star" in slider.get_attribute("aria-valuetext")
    slider.press("Home")
    assert page.locator(".screen video").evaluate("v => v.currentTime") == pytest.approx(0, abs=0.05)
    (bar,) = page.locator(".truth").all()
    length = about["duration_s"]
    assert float(bar.get_attribute("x")) == pytest.approx(200 / length, abs=15)
    assert float(bar.get_attribute("width")) == pytest.approx(400 / length, abs=15)
    assert page.locator(".lane-name").text_content() == "rising"
    page.locator(".axis").hover(position={"x": 300, "y": 30})
    page.locator(".preview").wait_for()


@pytest.fixture(scope="module")
def odd_store(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that browsers do not play, files whose names are HTML, and one that is damaged."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "videos").mkdir()
    whole = work / "videos" / "growing" / "0.mp4"
    shutil.copy(whole, folder / "videos" / EVIL)
    words = [ffmpeg_path(), "-v", "error", "-i", whole, "-c:v", "mpeg4", folder / "videos" / "old.avi"]
    subprocess.run(words, check=True)
    (folder / "videos" / "damaged.mp4").write_bytes(whole.read_bytes()[:2000])
    return extract(folder / "videos", folder / "features")


def test_files_that_the_browser_cannot_play_and_names_that_are_html(page, odd_store: Path) -> None:
    with serving(odd_store) as address:
        page.goto(f"{address}/#/search?q=a+star&level=videos")
        page.locator(".card").nth(1).wait_for()
        assert set(names(page)) == {EVIL, "old.avi"}
        place = names(page).index("old.avi")
        page.locator(".card .play").nth(place).click()
        until(page, "document.querySelector('.stage video')?.currentTime > 0.2")
        assert "/api/clip" in page.locator(".stage video").get_attribute("src")
        page.goto(f"{address}/#/video?video=old.avi&q=a+star&t=0.5")
        page.locator(".still").wait_for()
        until(page, "document.querySelector('.still').naturalWidth > 0")
        page.goto(f"{address}/#/video?video={urllib.parse.quote(EVIL)}&q={urllib.parse.quote(EVIL)}")
        page.locator("h1", has_text=EVIL).wait_for()
        until(page, "document.querySelectorAll('polyline').length === 1")
        page.goto(f"{address}/#/store")
        page.locator("td, th", has_text=EVIL).first.wait_for()
        page.locator("th", has_text="damaged.mp4").first.wait_for()
        assert page.locator("img[src=x]").count() == 0


def test_a_thousand_results_scroll(page, tmp_path: Path) -> None:
    fingerprint = tiny_fingerprint()
    with StoreWriter(tmp_path / "s", fingerprint, model_source="tiny") as writer:
        for number in range(1000):
            rows = video(4, number, fingerprint.width)
            writer.add(f"{number}.mp4", rows, VideoInfo(f"{number}.mp4", 1, 1, 64, 64, 1.0, root="/nowhere"))
    with serving(tmp_path / "s") as address:
        page.goto(f"{address}/#/search?q=a&level=videos&top=1000")
        until(page, "document.querySelectorAll('.card').length === 1000")
        page.keyboard.press("Escape")
        page.evaluate("document.activeElement.blur()")
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.locator(".card").last.locator(".no-picture").wait_for()
        page.locator(".card").last.scroll_into_view_if_needed()
        assert page.locator(".card").last.is_visible()


def test_a_label_is_given_by_keyboard_and_taken_out_again(page, odd_store: Path) -> None:
    with serving(odd_store) as address:
        page.goto(f"{address}/#/search?q=a+star&level=videos")
        page.locator(".card").nth(1).wait_for()
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("j")
        page.keyboard.press("l")
        page.locator("form.label input[name=label]").fill(EVIL)
        page.locator("form.label input[name=start_s]").fill("0.25")
        page.keyboard.press("Enter")
        page.locator("#status", has_text="Saved").wait_for()
        (label,) = get(address, "/api/labels")["labels"]
        assert label["label"] == EVIL and label["start_s"] == 0.25
        page.goto(f"{address}/#/labels")
        page.locator("tbody th", has_text=EVIL).wait_for()
        page.reload()
        page.locator("tbody button").click()
        page.locator("main p", has_text="There are none yet").wait_for()
        assert get(address, "/api/labels")["labels"] == []


VIEWS = (
    "search",
    "labels",
    "search?q=a+star",
    "video",
    "video?video=growing/0.mp4&q=a+star;a+circle",
    "store",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_view_fits_and_can_be_read(browser, address: str, width: int, scheme: str) -> None:
    """axe's rules of WCAG 2.1 AA: contrast, names, structure."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    # axe is put into the page, which the pages' own rules forbid
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.set_default_timeout(WAIT_MS)
    for view in VIEWS:
        page.goto(f"{address}/#/{view}")
        until(page, "document.getElementById('status').textContent !== 'Searching …'")
        if "q=" in view:
            page.locator(".card, polyline").first.wait_for(state="attached")
        if view == "store":
            page.locator("table").first.wait_for()
        if "search?" in view:
            page.locator(".mark").first.click()
        found = axe.run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
        assert found.violations_count == 0, (view, found.generate_report())
        assert len(found.response["passes"]) > 8
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        unnamed = page.locator("img:not([alt]), button:not(:has-text('')):not([aria-label])").count()
        assert unnamed == 0
    page.keyboard.press("Escape")
    page.locator("#keys-button").click()
    page.locator("#keys").wait_for()
    assert axe.run(page, options={"runOnly": ["wcag2a", "wcag2aa"]}).violations_count == 0
    page.close()
