"""A worker: one process that decodes and encodes on one device, and hands whole videos to the run.

It never touches the store. If it dies, the run knows which videos it had in hand; see `featx.extract.workers.worker_pool`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Protocol

import numpy as np
import torch

from featx.clip.preprocess import Preprocessing
from featx.devices import choose_device, first_line, ran_out_of_memory, use_gpu
from featx.encoders.downloads import told_through
from featx.encoders.images import ImageEncoder
from featx.encoders.load import load_model
from featx.errors import FeatxError

from ..decoding.hwaccel import check_hwaccel, device_of
from ..plan.settings import ExtractSettings
from .assembly import Assembly, OpenVideo, Sink
from .decoder_pool import Chunk, DecoderPool, PictureOptions, VideoEnd
from .messages import (
    FrameCounts,
    WorkerConfig,
    WorkerExit,
    WorkerProgress,
    WorkerReady,
    WorkerSays,
    WorkerStarting,
)
from .options import fingerprint_of, picture_options
from .picture_maker import Pixels
from .run_connection import RunConnection

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
BATCHES_IN_FLIGHT = 2  # one is computed while the next is copied to the device and filled


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
    with told_through(lambda line: run.send(WorkerSays(line))):
        loaded = load_model(settings.model)
    fingerprint = fingerprint_of(settings, loaded, device)
    run.send(WorkerStarting("puts CLIP on its device", START_SECONDS))
    encoder = ImageEncoder(
        loaded,
        device,
        fingerprint.precision,  # type: ignore[arg-type]
        settings.compile,
        settings.batch_size,
        settings.cuda_graph,
    )
    if encoder.device.type == "cuda":
        # now, not at the first video, it shows whether a batch fits and whether this torch has kernels for this GPU
        encoder.encode(np.zeros((1, loaded.input_size, loaded.input_size, 3), np.uint8))
    options, remark = _picture_options(settings, loaded.preprocessing, device)
    run.send(WorkerReady(fingerprint, loaded.source, remark))
    pool = DecoderPool(run.videos(), config.decoders, options)
    with contextlib.closing(iter(pool)) as items:
        counts = encode_videos(items, encoder, settings.batch_size, settings.dtype, run, run.show)
    run.send(WorkerProgress(counts))


def _picture_options(
    settings: ExtractSettings, preprocessing: Preprocessing, device: str
) -> tuple[PictureOptions, str]:
    """Returns how videos become pictures on a device, after a trial, and what to say of it.

    Raises:
        FeatxError: If `--scale-on device` was given and the trial fails.
    """
    options = picture_options(settings, preprocessing, device)
    if options.maker is None or (problem := options.maker.problem()) is None:
        return options, ""
    if settings.scale_on == "device":
        raise FeatxError(f"--scale-on device: {problem}; give --scale-on cpu")
    on_cpu = replace(options, decode=replace(options.decode, planes=False), maker=None)
    return on_cpu, f"--scale-on auto: frames are scaled on the CPU: {problem}"


class Encoder(Protocol):
    """Starts a batch (B, n, n, 3) uint8; the returned function waits for it and gives (B, D) float32."""

    def start(self, pixels: Pixels) -> Callable[[], np.ndarray]:
        """Begins to encode."""
        ...


def encode_videos(
    items: Iterator[Chunk | VideoEnd],
    encoder: Encoder,
    batch_size: int,
    dtype: str,
    sink: Sink,
    progress: Callable[[FrameCounts], None],
) -> FrameCounts:
    """Encodes everything that the decoders hand over.

    Args:
        items: Chunks of pictures of any videos, in each video's order, and an `VideoEnd` for each video.
        encoder: Encodes batches.
        batch_size: Pictures in a batch; only the last one is smaller.
        dtype: What features are stored as.
        sink: Takes finished videos and failures.
        progress: Called after every item.

    Returns:
        What was done.
    """
    assembly = Assembly(dtype, sink)
    counts = assembly.counts
    in_flight: deque[tuple[Callable[[], np.ndarray], list[tuple[OpenVideo, int]]]] = deque()
    began = time.monotonic()

    def encode(size: int) -> None:
        began_filling = time.monotonic()
        pixels, owners = assembly.fill(size)
        in_flight.append((encoder.start(pixels), owners))
        counts.batch_s += time.monotonic() - began_filling
        if len(in_flight) >= BATCHES_IN_FLIGHT:
            collect()

    def collect() -> None:
        wait, owners = in_flight.popleft()
        began_waiting = time.monotonic()
        features = wait()
        counts.result_s += time.monotonic() - began_waiting
        assembly.give(features, owners)

    while True:
        began_waiting = time.monotonic()
        item = next(items, None)
        counts.starved_s += time.monotonic() - began_waiting
        if item is None:
            break
        assembly.take(item)
        while assembly.pictures_waiting >= batch_size:
            encode(batch_size)
        counts.seconds = time.monotonic() - began
        progress(counts)
    while assembly.pictures_waiting:
        encode(min(batch_size, assembly.pictures_waiting))
    while in_flight:
        collect()
    counts.seconds = time.monotonic() - began
    progress(counts)
    assembly.check_empty()
    return counts
