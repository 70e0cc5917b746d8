"""From results to the rows of `featx eval`'s table."""

from __future__ import annotations

from pathlib import Path

from featx.model.code.record import label_of
from featx.scoring.results import Results, missing_file

from .overlap import overlap_note
from .table import Cell, PlusMinus, Table

HASH_LETTERS = 8  # by which two versions of one file are told apart in a table
GENERALISED = {"seen_top1": "seen %", "unseen_top1": "unseen %", "harmonic_top1": "harmonic %"}


def method_of(results: Results) -> str:
    """Returns what was learned, in words."""
    config = results.config
    if results.method != "adapter":
        templates = len(config.get("templates", ()))
        return f"{results.method}, {templates} templates" if templates > 1 else results.method
    after = config["prompts"] if config.get("suffix", True) else 0
    prompts = f"{config['prompts']}+X+{after}" if config["prompts"] else ""
    if code := config.get("model_code"):
        own = f"{label_of(code['reference'])} {code['sha256'][:HASH_LETTERS]}"
        return f"prompts {prompts}, {own}" if prompts else own
    layers = f"{config['layers']} layer{'s' if config['layers'] != 1 else ''}" if config["layers"] else ""
    if prompts and layers:
        return f"prompts {prompts}, Transformer {layers}"
    if results.positions_alone:
        return f"prompts {prompts}, positions" if prompts else "positions"
    if prompts:
        return f"prompts {prompts}"
    return f"Transformer {layers}" if layers else "zero-shot"


def scored_of(results: Results) -> str:
    """Returns how many videos were scored of how many; of several items, how many scorings."""
    return f"{results.videos.scored}/{results.asked}"


def percent(results: Results, metric: str) -> Cell:
    """Returns a metric in percent (a rank as it is), with what is known of its spread."""
    if metric not in results.metrics:
        return None
    factor = 1 if metric.endswith("_rank") else 100
    value, spread = factor * results.metrics[metric], results.spread.get(metric)
    if spread is None or spread.interval95 is None or spread.std is None:
        return value
    # Episodes estimate one number: its interval. Seeds show how much a run varies: their deviation.
    return PlusMinus(value, factor * (spread.interval95 if results.few_shot else spread.std))


def about(results: Results) -> str:
    """Returns what was scored, in words."""
    words = f"{results.data_set}, split {results.split}, {results.classes} classes"
    if results.class_split is None:
        return words
    group = "seen and unseen" if results.class_set == "all" else results.class_set
    return f"{words} ({group}: {results.class_split})"


def recognition_table(all_results: list[Results]) -> Table:
    """Returns one row a run; what was scored and what was missing stands in the row and in the notes."""
    extra = [name for name in GENERALISED if any(name in results.metrics for results in all_results)]
    metrics = ["top1", "top5", "mean_class", *extra]
    rows: list[list[Cell]] = [
        [
            Path(results.run).name,
            method_of(results),
            *(percent(results, metric) for metric in metrics),
            results.learned_parameters,
            scored_of(results),
        ]
        for results in all_results
    ]
    columns = ["run", "learned", "top-1 %", "top-5 %", "mean class %"]
    columns += [*(GENERALISED[name] for name in extra), "parameters", "scored"]
    title = f"Recognition: {'; '.join(dict.fromkeys(about(results) for results in all_results))}"
    return Table(title, columns, rows, [*notes_of(all_results), summary_of(all_results)])


def notes_of(all_results: list[Results]) -> list[str]:
    """Returns what a reader must know beside the numbers."""
    notes: list[str] = []
    for results in all_results:
        if results.videos.missing:
            file = missing_file(results, Path(results.run))
            notes.append(
                f"{results.run}: {len(results.videos.missing)} videos without features, listed in {file}"
            )
        if results.videos.left_out:
            notes.append(
                f"{results.run}: {results.videos.left_out} videos show other classes and are left out"
            )
        if results.truncated_texts:
            what = "sentences" if results.retrieval else "class texts"
            notes.append(f"{results.run}: {results.truncated_texts} {what} were too long and cut")
        if "precision" in results.config:
            notes.append(f"{results.run}: scored in {results.config['precision']} (--precision)")
        learned = results.trained_on
        if learned and learned.data_set not in (None, results.data_set):
            notes.append(f"{results.run}: learned from {learned.data_set}, scored on {results.data_set}")
        elif learned and not results.class_split and not results.classes_as_trained:
            notes.append(f"{results.run}: scored on other classes than it was trained on")
        if warning := overlap_note(results):
            notes.append(warning)
        if results.items:
            several = "class splits (and seeds)" if results.class_split else "seeds"
            kind = (
                "episodes, ± 95% confidence interval"
                if results.few_shot
                else f"{several}, ± standard deviation"
            )
            notes.append(f"{results.run}: mean of {len(results.items)} {kind}")
    return notes


def summary_of(all_results: list[Results]) -> str:
    """Returns how much was scored in all, and with which features."""
    scored, asked = sum(r.videos.scored for r in all_results), sum(r.asked for r in all_results)
    clips = sorted({r.clips for r in all_results if r.clips})
    features = dict.fromkeys(f"{r.fingerprint['model']}, {r.fingerprint['dtype']}" for r in all_results)
    counted = f"{' or '.join(map(str, clips))} clips a video; " if clips else ""
    return (
        f"{scored} of {asked} video scorings done, {asked - scored} missing; {counted}"
        f"features: {'; '.join(features)}"
    )
