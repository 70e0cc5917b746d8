"""Makes the clip that `featx doctor` decodes.

.venv/bin/python tools/make_doctor_clip.py --to featx/doctor/clip.mp4
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from featx.doctor.ffmpeg import SIDE, known_frames
from featx.video.ffmpeg import ffmpeg_path


def main() -> None:
    """Encodes the known frames as H.264 with B-frames."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True)
    to = parser.parse_args().to
    form = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{SIDE}x{SIDE}", "-r", "10"]
    codec = ["-c:v", "libx264", "-qp", "12", "-bf", "2", "-pix_fmt", "yuv420p", "-x264-params", "b-adapt=0"]
    plain = [
        "-map_metadata",
        "-1",
        "-fflags",
        "+bitexact",
        "-flags",
        "+bitexact",
        "-bsf:v",
        "filter_units=remove_types=6",
    ]
    words = [ffmpeg_path(), "-v", "error", "-y", *form, "-i", "-", *codec, *plain, str(to)]
    subprocess.run(words, input=known_frames().tobytes(), check=True)
    print(f"{to}: {to.stat().st_size} bytes")


if __name__ == "__main__":
    main()
