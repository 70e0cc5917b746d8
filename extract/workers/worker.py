"""A worker: one process that decodes and encodes on one device, and hands whole videos to the run.

It never touches the store. If it dies, the run knows which videos it had in hand; see `featx.extract.workers.worker_pool`.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from types import FrameType

import numpy as np
import torch

from featx.clip.images import ImageEncoder, choose_precision
from featx.clip.load import LoadedClip, load_clip
from featx.devices import choose_device, first_line, ran_out_of_memory, use_gpu
from featx.errors import FeatxError
from featx.store.failures import Failure
from featx.store.schema import Fingerprint, VideoFeatures, VideoInfo

from ..decoding.ffmpeg_args import DecodeOptions
from ..decoding.hwaccel import check_hwaccel, device_of
from ..decoding.sampling import Sampling, choose_sampling
from ..plan.settings import ExtractSettings
from ..plan.videos import SourceVideo
from .decoder_pool import DecoderPool, PictureOptions
from .messages import (
    Message,
    RequestVideo,
    VideoDone,
    VideoFailed,
    WorkerConfig,
    WorkerExit,
    WorkerProgress,
    WorkerReady,
    WorkerStarting,
)
from .pipeline import FrameCounts, encode_videos

# Imported here, not within: the process that all workers are forked from imports this module, and so nearly all that
# CLIP takes seconds to import, once. CLIP itself must stay out: at its import it asks whether there is a GPU, and what
# is forked from a process that has asked can never use one (`torch._C._cuda_isInBadFork`).
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pkg_resources warns about itself
    import pkg_resources  # noqa: F401
    import torchvision  # noqa: F401

START_SECONDS = (
    600.0  # for each step before a worker is ready, torch.compile's among them; a driver can hang for ever
)
PROGRESS_SECONDS = 0.2
MESSAGES_WAITING = 64  # bound of what waits for the run, which may be busy writing a shard


def serve(connection: Connection, config: WorkerConfig) -> None:
    """Works until the run has no more videos. The main function of a worker process."""
    os.environ.clear()
    os.environ.update(config.environment)
    run = RunConnection(connection)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches every process; the run decides what it means
    signal.signal(signal.SIGTERM, run.terminate)
    try:
        _work(run, config)
        run.send(WorkerExit())
    except FeatxError as error:
        run.send(WorkerExit(error))
    except Exception as error:
        wrapped: Exception = RuntimeError(f"{type(error).__name__}: {first_line(error)}")
        if ran_out_of_memory(error):
            frames = f"a batch of {config.settings.batch_size} frames"
            wrapped = FeatxError(
                f"no memory left for {frames} ({first_line(error)}); give a smaller --batch-size"
            )
        wrapped.add_note(traceback.format_exc())  # seen with --debug
        run.send(WorkerExit(wrapped))
    run.close()


def _work(run: RunConnection, config: WorkerConfig) -> None:
    settings = config.settings
    torch.set_num_threads(config.threads)
    run.send(WorkerStarting("opens its device", START_SECONDS))
    device = choose_device(config.device)
    use_gpu(device)
    if settings.decode_hwaccel:
        run.send(WorkerStarting("tries --decode-hwaccel", START_SECONDS))
        check_hwaccel(settings.decode_hwaccel, device_of(settings.decode_hwaccel, device))
    run.send(WorkerStarting("loads CLIP", None))  # a download takes what it takes
    loaded = load_clip(settings.model)
    fingerprint = fingerprint_of(settings, loaded, device)
    run.send(WorkerStarting("puts CLIP on its device", START_SECONDS))
    encoder = ImageEncoder(
        loaded,
        device,
        fingerprint.precision,  # type: ignore[arg-type]
        settings.compile,
        settings.batch_size,
    )
    if encoder.device.type == "cuda":
        # now, not at the first video, it shows whether a batch fits and whether this torch has kernels for this GPU
        encoder.encode(np.zeros((1, loaded.input_size, loaded.input_size, 3), np.uint8))
    run.send(WorkerReady(fingerprint, loaded.source))
    pool = DecoderPool(run.videos(), config.decoders, picture_options(settings, loaded.input_size, device))
    with contextlib.closing(iter(pool)) as items:
        counts = encode_videos(items, encoder, settings.batch_size, settings.dtype, run, run.show)
    run.send(WorkerProgress(counts))


def sampling_of(settings: ExtractSettings) -> Sampling:
    """Returns the sampling that the settings ask for."""
    return choose_sampling(settings.fps, settings.every, settings.frames, settings.keyframes)


def fingerprint_of(settings: ExtractSettings, loaded: LoadedClip, device: str) -> Fingerprint:
    """Returns what decides the features' values."""
    return Fingerprint(
        model=loaded.name,
        weights_sha256=loaded.weights_sha256,
        input_size=loaded.input_size,
        width=loaded.width,
        preprocess="clip-exact" if settings.preprocess == "exact" else "ffmpeg-fast",
        channel_order=settings.channel_order,
        sampling=str(sampling_of(settings)),
        precision=choose_precision(settings.precision, device),
        dtype=settings.dtype,
        decoding=decoding_of(settings),
    )


def decoding_of(settings: ExtractSettings) -> str:
    """Returns what is asked of the decoder beside plain pictures, as it stands in the fingerprint.

    A decoding device is among it: the colours of its pictures come out a little differently.
    """
    options = {
        "square pixels": settings.square_pixels,
        "deinterlaced": settings.deinterlace,
        f"stream {settings.stream}": settings.stream is not None,
        f"hwaccel {settings.decode_hwaccel}": bool(settings.decode_hwaccel),
    }
    return ", ".join(words for words, wanted in options.items() if wanted)


def picture_options(settings: ExtractSettings, input_size: int, device: str = "cpu") -> PictureOptions:
    """Returns how videos become the input of an encoder on a device."""
    decode = DecodeOptions(
        sampling=sampling_of(settings),
        fast_size=input_size if settings.preprocess == "fast" else None,
        stream=settings.stream,
        square_pixels=settings.square_pixels,
        deinterlace=settings.deinterlace,
        hwaccel=settings.decode_hwaccel,
        hwaccel_device=device_of(settings.decode_hwaccel, device),
        threads=settings.decoder_threads,
        timeout_s=settings.timeout,
        max_pixels=settings.max_pixels,
        max_duration_s=settings.max_duration,
        max_frames=settings.max_frames,
    )
    return PictureOptions(input_size, decode, settings.channel_order, settings.on_damage, settings.retries)


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
        """Ends the process, and with it its decoders; the handler of SIGTERM."""
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
