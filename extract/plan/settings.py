"""The settings of `featx extract`: recipe keys, options and help in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from featx.clip.choices import MODELS
from featx.devices import DEVICES
from featx.help_pages import Panel, Panels
from featx.settings import Settings

MAX_PIXELS = 2**26  # 8K and 360-degree footage up to 11520 x 5760; four times that takes gigabytes to decode


class MachineSettings(Settings):
    """How a machine computes features: nothing of it decides what they are."""

    panels: ClassVar[Panels] = {
        Panel.SPEED: "device batch_size decoders decoder_threads engine address",
        Panel.OUTPUT: "quiet",
        Panel.RARE: "scale_on cuda_graph compile",
    }

    device: Annotated[str, DEVICES] = Field(
        "auto",
        description="Devices that encode: cpu, cuda, cuda:1, or several such as cuda:0,cuda:1 (one process "
        "each). auto takes a GPU if there is one.",
    )
    batch_size: int = Field(
        64,
        ge=1,
        description="Frames in one batch of the encoder. On a CPU, use a multiple of 16: other sizes are "
        "filled up to one.",
    )
    decoders: int = Field(
        0, ge=0, description="Number of videos that are decoded at the same time. 0: one per CPU core."
    )
    decoder_threads: int = Field(
        1, ge=1, description="Threads of each decoder. Use more for few, large videos."
    )
    scale_on: Literal["auto", "cpu", "device"] = Field(
        "auto",
        description="Where '--preprocess exact' scales and crops frames. cpu: by Pillow. device: on the encoder's "
        "device, from the decoded YUV planes, where that is exact (8 bit 4:2:0, limited range, even height, not turned, not over twice as high as wide); "
        "other files are scaled by Pillow. auto: device on a GPU if a trial at the start gives the same bytes, else "
        "cpu. The pictures are the same to the bit.",
    )
    cuda_graph: bool = Field(
        True,
        description="On a GPU, launch the image encoder as one CUDA graph a batch, instead of some two hundred "
        "kernels one by one. The features are the same to the bit.",
    )
    compile: bool = Field(
        False, description="Compile the image encoder with torch.compile. This costs a minute at the start."
    )
    engine: Literal["local", "ray"] = Field(
        "local",
        description="Where to work. local: on this machine. ray: on all machines of a Ray cluster, or all of its GPUs; "
        "this command starts them and shows how far they are.",
    )
    address: str = Field(
        "auto", description="Ray cluster, such as 10.0.0.1:6379. auto: the one of this machine."
    )
    quiet: bool = Field(False, description="Show no progress, only failures and the last line.")


class ExtractSettings(MachineSettings):
    """How videos become features. The first group decides what the features are, the rest how they are made."""

    panels: ClassVar[Panels] = {
        Panel.FRAMES: "fps every frames keyframes",
        Panel.ENCODER: "model precision preprocess",
        Panel.OUTPUT: "quiet stats",
        Panel.SPEED: "device batch_size decoders decoder_threads decode_hwaccel engine address",
        Panel.DAMAGE: "on_damage retry_kept max_failures retries timeout max_duration max_frames max_pixels stream square_pixels deinterlace",
        Panel.FILES: "also hidden follow_links check",
        Panel.STORE: "format dtype",
        Panel.RARE: "channel_order scale_on cuda_graph compile shard_mib commit_seconds part_frames",
    }

    # what the features are
    model: Annotated[str, MODELS] = Field(
        "ViT-B/16",
        description="CLIP that computes the features: one of OpenAI's names, the path of a checkpoint, or "
        "'tiny' (the small one that comes with featx). A checkpoint that does not say which activation it was "
        "trained with needs openai: before its path, if it is QuickGELU. Models of other libraries: "
        "open_clip:ARCHITECTURE@PRETRAINED or @FILE; hf-clip:, siglip: or align: before a folder or a name on the "
        "Hugging Face Hub.",
    )
    fps: str | None = Field(
        None,
        description="Take this many frames per second, such as 2 or 30000/1001: row i is the frame on screen "
        "i / fps seconds after the first frame. Without --fps, --every, --frames or --keyframes, "
        "every frame is taken.",
    )
    every: int | None = Field(None, ge=1, description="Take every n-th frame, the first one included.")
    frames: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Take this many frames of each video: the middle frame of each of that many equal parts.",
    )
    keyframes: bool = Field(
        False, description="Take key frames only. Other frames are not decoded, which is much faster."
    )
    preprocess: Literal["exact", "fast"] = Field(
        "exact",
        description="How frames are scaled and cropped. exact: bit-equal to CLIP's own preprocessing. fast: "
        "by ffmpeg, at least 55 dB PSNR to exact.",
    )
    channel_order: Literal["rgb", "bgr"] = Field(
        "rgb",
        description="Order of the colours that CLIP gets. bgr only reproduces features that were made with "
        "swapped colours.",
    )
    stream: int | None = Field(
        None,
        ge=0,
        description="Number of the video stream to take, as ffmpeg counts the streams of a file. By default "
        "the stream with the largest frames, of those that cover the file's duration.",
    )
    square_pixels: bool = Field(
        False,
        description="Stretch frames with non-square pixels to the width that players show. By default, as in "
        "the method's own features, pixels are taken as they are stored.",
    )
    deinterlace: bool = Field(
        False,
        description="Deinterlace frames that are marked as interlaced. By default both fields stay in one "
        "picture.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="Number type in which CLIP computes. auto: fp16 on a GPU, fp32 on a CPU. bf16 is about "
        "twice as fast on a CPU with bf16 instructions; its features have a cosine of 0.9999 "
        "with those of fp32.",
    )
    dtype: Literal["float16", "float32"] = Field(
        "float16", description="Number type in which features are stored."
    )
    format: Literal["zarr", "hdf5"] = Field("zarr", description="File format of the store's shards.")
    shard_mib: float = Field(
        64.0,
        gt=0,
        description="Commit a shard when it holds this many MiB of features, or when --commit-seconds have "
        "passed.",
    )
    commit_seconds: float = Field(
        600.0,
        gt=0,
        description="Commit a shard at the latest after this many seconds. A crash loses at most the work "
        "since the last commit.",
    )

    part_frames: int = Field(
        65536,
        ge=1,
        description="About how many frames a part of the plan has, where several machines fill a store, or one at a URL. A "
        "killed machine loses at most the parts in its hands.",
    )

    # how they are made
    decode_hwaccel: str = Field(
        "",
        description="Hardware decoder of ffmpeg, such as cuda (on the worker's own GPU) or vaapi; by default "
        "the CPU decodes. Colours differ a little, so this is part of the store's fingerprint.",
    )

    # what goes wrong
    on_damage: Literal["drop", "keep"] = Field(
        "drop",
        description="What to do with the intact frames of a damaged video, before and after the damage. "
        "drop: store none. keep: store them and mark the video as incomplete.",
    )
    retry_kept: bool = Field(
        False,
        description="Try damaged videos again that were stored by --on-damage keep, even if neither their "
        "files nor the settings that matter have changed.",
    )
    retries: int = Field(
        2,
        ge=0,
        description="How many more times one run tries a video whose decoder or worker process was killed.",
    )
    max_failures: int = Field(
        0, ge=0, description="Stop after this many failed videos. 0: never stop because of failures."
    )
    timeout: float = Field(
        600.0,
        gt=0,
        description="Give up on a video when its decoder gives no new frame for this many seconds.",
    )
    max_pixels: int = Field(
        MAX_PIXELS,
        ge=1,
        description="Largest frame that is decoded, in pixels (width times height). The default accepts 8K "
        "and 360-degree video up to 11520x5760.",
    )
    max_duration: float = Field(
        48 * 3600.0, gt=0, description="Longest video that is decoded, in seconds. A longer one is a failure."
    )
    max_frames: int = Field(
        20_000_000, ge=1, description="Largest number of frames of one video. A video with more is a failure."
    )
    check: Literal["time", "content"] = Field(
        "time",
        description="How to find out whether a file has changed since it was stored. time: by its size and "
        "time of last change. content: by reading every file and comparing its SHA-256.",
    )
    follow_links: bool = Field(
        False, description="Follow symbolic links to files outside the folder. By default they are failures."
    )
    hidden: bool = Field(
        False,
        description="Include hidden files and folders, such as .Trash or @eaDir. By default they are left "
        "out and counted.",
    )
    also: list[str] = Field(
        [],
        description="More file name endings that count as video in folders, such as .xyz or .xyz,.abc. A "
        "file that is named itself is always taken.",
    )
    stats: Path | None = Field(None, description="Write the run's counts and speeds into this JSON file.")

    @field_validator("also")
    @classmethod
    def _dots_and_small_letters(cls, endings: list[str]) -> list[str]:
        if not all(ending.strip(".") for ending in endings):
            raise ValueError("must be endings such as .xyz")
        return [f".{ending.strip().lstrip('.').lower()}" for ending in endings]
