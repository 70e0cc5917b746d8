"""`featx eval --save-predictions`: what a run said of each video, as a Parquet table for any program."""

from __future__ import annotations

import io
import json
from pathlib import Path

from featx.errors import FeatxError
from featx.files.atomic import write_atomically

from .runs import ScoredVideos


def check_parquet(file: Path, runs: int) -> None:
    """Refuses what cannot be written, before anything is scored.

    Raises:
        FeatxError: If pyarrow is not installed, the ending is another one, or there are several runs.
    """
    if runs > 1:
        raise FeatxError(f"--save-predictions {file}: holds one run's; give one RUN, not {runs}")
    if file.suffix != ".parquet":
        raise FeatxError(f"--save-predictions {file}: must end in .parquet")
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise FeatxError(
            "--save-predictions: needs pyarrow, which is not installed; install it with: pip install 'featx[parquet]'"
        ) from error


def write_predictions(scored: ScoredVideos, file: Path) -> None:
    """Writes id, label, predicted and scores of each video; the file's metadata says which class each score is for.

    Raises:
        FeatxError: If the file cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    labels = scored.setup.manifest.labels
    videos = scored.videos
    table = pa.table(
        {
            "id": pa.array(videos.ids, pa.string()),
            "label": pa.array([labels[index] for index in videos.labels], pa.string()),
            "predicted": pa.array([labels[index] for index in scored.scores.argmax(axis=1)], pa.string()),
            "scores": pa.FixedSizeListArray.from_arrays(pa.array(scored.scores.ravel()), len(labels)),
        }
    )
    facts = {name: getattr(scored.results, name) for name in ("run", "data_set", "split", "date", "clips")}
    table = table.replace_schema_metadata({"featx": json.dumps({**facts, "classes": labels})})
    content = io.BytesIO()
    parquet.write_table(table, content)
    try:
        write_atomically(file, content.getvalue())
    except OSError as error:
        raise FeatxError(f"--save-predictions {file}: cannot write it ({error.strerror})") from error
