"""What the settings ask of the decoders, and what the fingerprint says of them."""

from __future__ import annotations

from featx.encoders.images import choose_precision
from featx.encoders.model import ImageTextModel
from featx.store.schema import Fingerprint

from ..decoding.ffmpeg_args import DecodeOptions
from ..decoding.hwaccel import device_of
from ..decoding.sampling import Sampling, choose_sampling
from ..plan.settings import ExtractSettings
from .decoder_pool import PictureOptions
from .picture_maker import PictureMaker


def sampling_of(settings: ExtractSettings) -> Sampling:
    """Returns the sampling that the settings ask for."""
    return choose_sampling(settings.fps, settings.every, settings.frames, settings.keyframes)


def fingerprint_of(settings: ExtractSettings, loaded: ImageTextModel, device: str) -> Fingerprint:
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
        planes=settings.scale_on == "device" or (settings.scale_on == "auto" and device.startswith("cuda")),
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
    maker = PictureMaker(input_size, device) if decode.keeps_planes else None
    rest = settings.channel_order, settings.on_damage, settings.retries
    return PictureOptions(input_size, decode, *rest, maker)
