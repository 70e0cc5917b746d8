"""Where the video files of a store are: below the folder that was extracted, or wherever that folder is now."""

from __future__ import annotations

from pathlib import Path

from featx.store.schema import VideoFacts

IMPORTED = ".npy"  # features came from such a file; nobody knows the video's


def source_file(video_id: str, facts: VideoFacts, folder: Path | None = None) -> Path:
    """Returns where the file of a stored video should be; it need not be there.

    Args:
        video_id: Its id.
        facts: What the store knows of it.
        folder: Where the folder that was extracted is now (``--videos``); by default where it was then. A store that
            does not know that folder has its files at ``folder`` / id.
    """
    if folder is None:
        return recorded_file(facts)
    known = facts.root is not None and not facts.path.endswith(IMPORTED)
    return folder / (facts.path if known else video_id)


def recorded_file(facts: VideoFacts) -> Path:
    """Returns the file that the features were made of, where it was then."""
    return Path(facts.root or "", facts.path)
