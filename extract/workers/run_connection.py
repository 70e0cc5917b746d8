"""A worker's connection to the run: videos come in, finished ones and failures go out."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from types import FrameType

from featx.store.failures import Failure
from featx.store.schema import VideoFeatures, VideoInfo

from ..plan.videos import SourceVideo
from .messages import FrameCounts, Message, RequestVideo, VideoDone, VideoFailed, WorkerProgress

PROGRESS_SECONDS = 0.2
MESSAGES_WAITING = 64  # bound of what waits for the run, which may be busy writing a shard


class RunConnection:
    """The worker's connection to the run. A thread sends, so that the encoder never waits for the run to write a shard."""

    def __init__(self, connection: Connection) -> None:
        self._closing = threading.Event()
        self._connection = connection
        self._waiting: queue.Queue[Message | None] = queue.Queue(MESSAGES_WAITING)
        self._shown = 0.0
        self._sender = threading.Thread(target=self._send_waiting, daemon=True)
        self._sender.start()

    def _send_waiting(self) -> None:
        try:
            while (message := self._waiting.get()) is not None:
                self._connection.send(message)
        except OSError:
            os._exit(1)  # the run is gone: its pipes, and with them the decoders, end with this process

    def send(self, message: Message) -> None:
        """Sends a message, sooner or later."""
        self._waiting.put(message)

    def terminate(self, number: int, frame: FrameType | None) -> None:
        """Ends the process, and with it its decoders; the handler of SIGTERM.

        Raises:
            SystemExit: Always, with 128 and the signal's number as status.
        """
        self._closing.set()
        raise SystemExit(128 + number)

    def close(self) -> None:
        """Returns when everything was sent."""
        self._waiting.put(None)
        self._sender.join()

    def videos(self) -> Iterator[SourceVideo]:
        """Yields the videos that the run hands out."""
        while not self._closing.is_set():
            self.send(RequestVideo())
            while not self._connection.poll(0.2):
                if self._closing.is_set():
                    return
            video = self._connection.recv()
            if video is None:
                return
            yield video

    def store(self, video: SourceVideo, rows: VideoFeatures, video_info: VideoInfo) -> None:
        """Hands over a whole video."""
        self.send(VideoDone(video, rows, video_info))

    def fail(self, failure: Failure) -> None:
        """Hands over a failure."""
        self.send(VideoFailed(failure))

    def show(self, counts: FrameCounts) -> None:
        """Tells now and then how far the worker is."""
        now = time.monotonic()
        if now - self._shown >= PROGRESS_SECONDS:
            self._shown = now
            self.send(WorkerProgress(replace(counts)))
