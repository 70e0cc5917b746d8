"""From results to the rows of a table."""

from __future__ import annotations

from pathlib import Path

from featx.evaluate.tables import Table
from featx.results import Results, missing_file


def method_of(results: Results) -> str:
    """Returns what was learned, in words: one of the ablation's four kinds of row."""
    config = results.config
    after = config["prompts"] if config.get("suffix", True) else 0
    prompts = f"{config['prompts']}+X+{after}" if config["prompts"] else ""
    layers = f"{config['layers']} layer{'s' if config['layers'] != 1 else ''}" if config["layers"] else ""
    if prompts and layers:
        return f"prompts {prompts}, Transformer {layers}"
    if prompts:
        return f"prompts {prompts}"
    return f"Transformer {layers}" if layers else "zero-shot"


def recognition_table(all_results: list[Results]) -> Table:
    """Returns one row a run; what was scored and what was missing stands in the row and in the notes."""
    rows: list[list] = []
    notes: list[str] = []
    for results in all_results:
        metrics = {name: 100 * value for name, value in results.metrics.items()}
        rows.append(
            [
                Path(results.run).name,
                method_of(results),
                metrics["top1"],
                metrics["top5"],
                metrics["mean_class"],
                results.learned_parameters,
                f"{results.videos.scored}/{results.asked}",
            ]
        )
        if results.videos.missing:
            file = missing_file(results, Path(results.run))
            notes.append(
                f"{results.run}: {len(results.videos.missing)} videos without features, listed in {file}"
            )
        if not results.classes_as_trained:
            notes.append(f"{results.run}: scored on other classes than it was trained on")
    first = all_results[0]
    sources = sorted({f"{r.data_set}, split {r.split}, {r.classes} classes" for r in all_results})
    scored, total = sum(r.videos.scored for r in all_results), sum(r.asked for r in all_results)
    notes.append(
        f"{scored} of {total} video scorings done, {total - scored} missing; {first.clips} clips a video; "
        f"features: {first.fingerprint['model']}, {first.fingerprint['dtype']}"
    )
    columns = ["run", "learned", "top-1 %", "top-5 %", "mean class %", "parameters", "scored"]
    return Table(f"Recognition: {'; '.join(sources)}", columns, rows, notes)
