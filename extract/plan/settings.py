"""The settings of `featx extract`: recipe keys, options and help in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from featx.settings import Settings

MAX_PIXELS = 2**26  # 8K and 360-degree footage up to 11520 x 5760; four times that takes gigabytes to decode


class ExtractSettings(Settings):
    """How videos become features. The first group decides what the features are, the rest how they are made."""

    # what the features are
    model: str = Field("ViT-B/16", description="'tiny', one of OpenAI's names, or the path of a checkpoint.")
    fps: str | None = Field(
        None, description="Rows a second, such as 2 or 30000/1001: the frame on screen at each i / fps."
    )
    every: int | None = Field(None, ge=1, description="Take each n-th frame.")
    frames: int | None = Field(
        None, ge=1, le=10_000, description="Rows of each video: the middle frames of that many equal parts."
    )
    keyframes: bool = Field(
        False, description="Take key frames only; the others are not even decoded. Without any: every frame."
    )
    preprocess: Literal["exact", "fast"] = Field(
        "exact",
        description="exact: bit-equal to CLIP's own; fast: scaled by ffmpeg, at least 55 dB PSNR to exact.",
    )
    channel_order: Literal["rgb", "bgr"] = Field(
        "rgb", description="bgr only to reproduce features that were made with swapped colours."
    )
    stream: int | None = Field(
        None,
        ge=0,
        description="Take the stream of this number, as ffmpeg counts the streams of a file. Without it: of the video "
        "streams that cover the file's time, the one with the largest frames.",
    )
    square_pixels: bool = Field(
        False,
        description="Stretch frames whose pixels are not square to the width that players show. Without it, and in the "
        "method's own features, pixels are taken as they are stored.",
    )
    deinterlace: bool = Field(
        False, description="Make whole frames of interlaced ones. Without it both fields stay in one picture."
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="What the encoder computes in. auto: fp16 on a GPU, fp32 on a CPU. On a CPU with bf16 instructions "
        "bf16 is about twice as fast; its features have cosine 0.9999 to fp32's.",
    )
    dtype: Literal["float16", "float32"] = Field("float16", description="What features are stored as.")
    format: Literal["zarr", "hdf5"] = Field("zarr", description="How shards are written.")
    shard_mib: float = Field(
        64.0, gt=0, description="A shard is written when it holds this many MiB of features,"
    )
    commit_seconds: float = Field(
        600.0, gt=0, description="or after this many seconds: what a crash can cost at most."
    )

    # how they are made
    device: str = Field(
        "auto",
        description="cpu, cuda, cuda:1, or several, as in cuda:0,cuda:1, each with a process of its own; auto takes a GPU "
        "if there is one.",
    )
    batch_size: int = Field(
        64,
        ge=1,
        description="Frames that are encoded at once; on a CPU other than multiples of 16 waste work.",
    )
    compile: bool = Field(
        False, description="Let torch.compile fuse the encoder; costs a minute at the start."
    )
    decoders: int = Field(0, ge=0, description="Videos decoded at the same time; 0: one a core.")
    decoder_threads: int = Field(1, ge=1, description="Threads of each decoder; more for few, large videos.")
    decode_hwaccel: str = Field(
        "",
        description="Decode on this kind of device of ffmpeg's, such as cuda (the worker's own GPU) or vaapi. Part of the "
        "fingerprint: colours come out a little differently.",
    )

    # what goes wrong
    on_damage: Literal["drop", "keep"] = Field(
        "drop",
        description="What becomes of the sound frames of a damaged video, in front of the damage and behind it.",
    )
    retry_kept: bool = Field(
        False,
        description="Try damaged videos again of which the sound frames were kept, although neither the file nor anything "
        "else has changed on which it depends what is sound.",
    )
    retries: int = Field(
        2,
        ge=0,
        description="Further attempts in one run at a video whose decoder or worker process was killed.",
    )
    max_failures: int = Field(0, ge=0, description="Stop after this many failed videos; 0: never.")
    timeout: float = Field(
        600.0,
        gt=0,
        description="Give a video up when its decoder gives no further frame for so many seconds.",
    )
    max_pixels: int = Field(
        MAX_PIXELS,
        ge=1,
        description="Largest frame (width times height) that is decoded; the default takes 8K and 360-degree footage "
        "up to 11520x5760.",
    )
    max_duration: float = Field(48 * 3600.0, gt=0, description="Longest video in seconds.")
    max_frames: int = Field(20_000_000, ge=1, description="Most frames of one video.")
    check: Literal["time", "content"] = Field(
        "time",
        description="By what files are compared with those that the store was made of: size and time of last change, or "
        "the content of every file.",
    )
    follow_links: bool = Field(
        False, description="Take symbolic links that lead out of the folder; else they are failures."
    )
    hidden: bool = Field(
        False,
        description="Take hidden files and folders too, such as .Trash or @eaDir; else they are left out and counted.",
    )
    also: list[str] = Field(
        [],
        description="Further endings of videos in folders, as .xyz or .xyz,.abc; a file that is named is always taken.",
    )
    quiet: bool = Field(False, description="Show no progress: failures and the last line only.")
    stats: Path | None = Field(None, description="Write the run's figures into this JSON file.")

    @field_validator("also")
    @classmethod
    def _dots_and_small_letters(cls, endings: list[str]) -> list[str]:
        if not all(ending.strip(".") for ending in endings):
            raise ValueError("must be endings such as .xyz")
        return [f".{ending.strip().lstrip('.').lower()}" for ending in endings]
