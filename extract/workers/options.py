"""What the settings ask of the decoders, and what the fingerprint says of them."""

from __future__ import annotations

from featx.clip.preprocess import Preprocessing
from featx.encoders.images import choose_precision
from featx.encoders.model import ImageTextModel
from featx.errors import FeatxError
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
        family=loaded.family,
        model=loaded.name,
        activation=loaded.activation,
        weights_sha256=loaded.weights_sha256,
        input_size=loaded.input_size,
        width=loaded.width,
        preprocess=loaded.preprocessing.name(settings.preprocess),
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


def picture_options(
    settings: ExtractSettings, preprocessing: Preprocessing, device: str = "cpu"
) -> PictureOptions:
    """Returns how videos become the input of an encoder on a device.

    Raises:
        FeatxError: If the preprocessing cannot be made in the way that is asked for.
    """
    if settings.preprocess == "fast" and not preprocessing.can_be_fast:
        raise FeatxError(
            f"--preprocess fast: ffmpeg does not come near enough to this model's own ({preprocessing.name()}); leave it out"
        )
    if settings.scale_on == "device" and not preprocessing.is_cropped_as_openais:
        raise FeatxError(
            f"--scale-on device: is for pictures that are scaled as OpenAI's CLIP does it, not {preprocessing.name()}; give "
            "--scale-on cpu"
        )
    on_device = settings.scale_on == "device" or (settings.scale_on == "auto" and device.startswith("cuda"))
    decode = DecodeOptions(
        sampling=sampling_of(settings),
        fast=preprocessing if settings.preprocess == "fast" else None,
        stream=settings.stream,
        planes=on_device and preprocessing.is_cropped_as_openais,
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
    maker = PictureMaker(preprocessing.size, device) if decode.keeps_planes else None
    rest = settings.channel_order, settings.on_damage, settings.retries
    return PictureOptions(preprocessing, decode, *rest, maker)
