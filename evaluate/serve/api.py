"""The HTTP interface: every endpoint, with what the OpenAPI document says of it."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import numpy as np
from PIL import Image, UnidentifiedImageError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from torch import Tensor

from featx.errors import FeatxError

from ..search.exact.search import Hit
from ..search.output import clock_or_empty
from .contents import listed, of_store, of_video
from .engine import Engine
from .labels import Labels
from .media import Media, NoMedia
from .requests import (
    Curve,
    Filter,
    Listing,
    NewLabel,
    OneFrame,
    OneLabel,
    OnePart,
    OneVideo,
    Query,
    Search,
    ask,
)

MOST_PIXELS = 50_000_000  # of a picture that is uploaded
UPLOADS_AT_ONCE = 4
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Endpoint:
    """An address, and what is said of it.

    Attributes:
        path: Below the root.
        handler: Answers a request.
        summary: What it does, in a line.
        asks: Its parameters; None for none.
        answers: Media type of the answer.
        body: Media type of the body that it takes; empty for none.
        method: GET, POST or DELETE.
    """

    path: str
    handler: Handler
    summary: str
    asks: type[Query] | None = None
    answers: str = "application/json"
    body: str = ""
    method: str = "GET"


class Interface:
    """Answers requests with one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._media = Media(engine)
        self._labels = Labels(engine.path, engine.videos_root())
        self._uploads = anyio.Semaphore(UPLOADS_AT_ONCE)

    def endpoints(self) -> list[Endpoint]:
        """Returns all of them."""
        video, jpeg = "video/*", "image/jpeg"
        return [
            Endpoint("/api/search", self.search, "Search by a sentence, or by a frame of a video.", Search),
            Endpoint(
                "/api/search",
                self.search_by_picture,
                "Search by a picture: the body is a file of PNG, JPEG, WebP or another common format.",
                Filter,
                body="image/*",
                method="POST",
            ),
            Endpoint("/api/curve", self.curve, "Scores of all rows of a video with a query.", Curve),
            Endpoint("/api/store", self.store, "What the store holds, and which videos failed."),
            Endpoint("/api/videos", self.videos, "A page of the list of videos.", Listing),
            Endpoint("/api/video", self.video, "What is known of a video, with its annotations.", OneVideo),
            Endpoint(
                "/api/features",
                self.features,
                "A video's rows as .npy.",
                OneVideo,
                "application/octet-stream",
            ),
            Endpoint("/api/frame", self.frame, "A frame of a video as JPEG.", OneFrame, jpeg),
            Endpoint("/api/clip", self.clip, "Rows of a video as a clip of H.264.", OnePart, "video/mp4"),
            Endpoint("/api/labels", self.labels, "All labels, and the manifest that they stand in."),
            Endpoint("/api/labels", self.add_label, "Label a part of a video.", NewLabel, method="POST"),
            Endpoint("/api/labels", self.remove_label, "Take a label out.", OneLabel, method="DELETE"),
            Endpoint("/media", self.media, "The video's file, whole or by ranges.", OneVideo, video),
        ]

    async def search(self, request: Request) -> Response:
        """Answers a query by a sentence or by a frame."""
        asked = ask(Search, request)
        if asked.like:
            self._check_known(asked.like)
        return await _threaded(lambda: self._found(self._feature(asked), asked))

    async def search_by_picture(self, request: Request) -> Response:
        """Answers a query by a picture in the body.

        Raises:
            HTTPException: If the body says that it is something else.
        """
        asked = ask(Filter, request)
        kind = request.headers.get("content-type", "")
        if not kind.startswith("image/"):
            raise HTTPException(415, "the body must be a picture, with Content-Type: image/…")
        async with self._uploads:
            content = await request.body()
            return await _threaded(lambda: self._found(self._engine.of_picture(_decoded(content)), asked))

    async def curve(self, request: Request) -> Response:
        """Answers with the scores of a video's rows."""
        asked = ask(Curve, request)
        for video_id in filter(None, (asked.video, asked.like)):
            self._check_known(video_id)

        def computed() -> Response:
            times, scores = self._engine.curve(self._feature(asked), asked.video)
            return JSONResponse({"video": asked.video, "time_s": times, "score": scores})

        return await _threaded(computed)

    async def store(self, request: Request) -> Response:
        """Answers with what the store holds."""
        return await _threaded(lambda: JSONResponse(of_store(self._engine)))

    async def videos(self, request: Request) -> Response:
        """Answers with a page of the list of videos."""
        asked = ask(Listing, request)
        return await _threaded(lambda: JSONResponse(listed(self._engine, asked)))

    async def video(self, request: Request) -> Response:
        """Answers with what is known of a video."""
        video_id = self._known(request)
        return await _threaded(lambda: JSONResponse(of_video(self._engine, video_id)))

    async def features(self, request: Request) -> Response:
        """Answers with a video's rows."""
        video_id = self._known(request)

        def read() -> Response:
            content = io.BytesIO()
            np.save(content, np.ascontiguousarray(self._engine.store[video_id].features))
            return Response(content.getvalue(), media_type="application/octet-stream")

        return await _threaded(read)

    async def frame(self, request: Request) -> Response:
        """Answers with a frame."""
        asked = ask(OneFrame, request)
        self._check_known(asked.video)

        def taken() -> Response:
            jpeg = self._media.frame(asked.video, asked.time_s, asked.height)
            return Response(jpeg, media_type="image/jpeg", headers={"cache-control": "private, max-age=600"})

        return await _threaded(taken)

    async def clip(self, request: Request) -> Response:
        """Answers with a clip."""
        asked = ask(OnePart, request)
        self._check_known(asked.video)

        def made() -> Response:
            file, name = self._media.clip(asked.video, asked.first_row, asked.rows)
            return FileResponse(
                file, media_type="video/mp4", filename=name, content_disposition_type="inline"
            )

        return await _threaded(made)

    async def labels(self, request: Request) -> Response:
        """Answers with all labels."""
        return JSONResponse(self._labels.listed())

    async def add_label(self, request: Request) -> Response:
        """Labels a part of a video; what is answered is on the disk."""
        asked = ask(NewLabel, request)
        self._check_known(asked.video)

        def added() -> Response:
            path = self._engine.store.video_info([asked.video])[asked.video].path
            self._labels.add(asked.video, path, asked.start_s, asked.end_s, asked.label.strip())
            return JSONResponse(self._labels.listed())

        return await _threaded(added)

    async def remove_label(self, request: Request) -> Response:
        """Takes a label out.

        Raises:
            HTTPException: If there is no such label.
        """
        asked = ask(OneLabel, request)

        def removed() -> Response:
            if not self._labels.remove(asked.id):
                raise HTTPException(404, "there is no such label")
            return JSONResponse(self._labels.listed())

        return await _threaded(removed)

    async def media(self, request: Request) -> Response:
        """Answers with a video file, or a range of it."""
        video_id = self._known(request)

        def found() -> Response:
            file, kind = self._media.file(video_id)
            return FileResponse(file, media_type=kind)

        return await _threaded(found)

    def _known(self, request: Request) -> str:
        video_id = ask(OneVideo, request).video
        self._check_known(video_id)
        return video_id

    def _check_known(self, video_id: str) -> None:
        if video_id not in self._engine.store:
            raise HTTPException(404, "the store has no such video")

    def _feature(self, asked: Search) -> Tensor:
        if asked.like:
            return self._engine.of_frame(asked.like, asked.like_s)
        return self._engine.of_text(asked.q.strip(), asked.minus.strip())

    def _found(self, query: Tensor, asked: Filter) -> Response:
        began = time.perf_counter()
        hits = self._engine.search(query, asked.wanted())
        took_s = time.perf_counter() - began
        places = self._engine.places([hit.video for hit in hits])
        found = [
            _described(hit) | {"file": places[hit.video].shown, "begin_s": places[hit.video].begin_s}
            for hit in hits
        ]
        return JSONResponse({"level": asked.level, "hits": found, "took_s": took_s})


def _described(hit: Hit) -> dict[str, Any]:
    known = hit.start_s == hit.start_s  # not NaN
    return {
        "video": hit.video,
        "start_s": hit.start_s if known else None,
        "end_s": hit.end_s if known else None,
        "start": clock_or_empty(hit.start_s),
        "end": clock_or_empty(hit.end_s),
        "score": hit.score,
        "first_row": hit.first_row,
        "rows": hit.rows,
    }


def _decoded(content: bytes) -> np.ndarray:
    """Returns (H, W, 3) uint8 pixels of an uploaded picture.

    Raises:
        HTTPException: If it is none, is broken, or has too many pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bound below is lower
            with Image.open(
                io.BytesIO(content), formats=("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
            ) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise HTTPException(413, f"a picture may have {MOST_PIXELS:,} pixels at most")
                return np.asarray(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise HTTPException(400, "the body is no picture that can be read") from None


async def _threaded(work: Callable[[], Response]) -> Response:
    """Runs what computes or reads in a thread; its errors become answers.

    Raises:
        HTTPException: Status 404 for a file that cannot be had, 400 for another error of the user's.
    """
    try:
        return await anyio.to_thread.run_sync(work)
    except NoMedia as error:
        raise HTTPException(404, str(error)) from None
    except FeatxError as error:
        raise HTTPException(400, str(error)) from None
