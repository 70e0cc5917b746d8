"""From a video file to the frames that are true: ffmpeg, its log, times, damage."""
