"""Which row of the paper a result of ours may stand beside: the data set is real and the settings are the same."""

from __future__ import annotations

from functools import cache

from featx.encoders.families import OPENAI_FAMILY
from featx.localisation.detection_scores import default_thresholds
from featx.localisation.proposals_file import GROUND_TRUTH
from featx.scoring.results import Localisation, Results

from ..report.paper.read import PaperRow, PaperSettings, PaperTable, read_paper_settings

paper_settings = cache(read_paper_settings)


def same_settings(results: Results) -> bool:
    """Tells whether a result is about what the paper's numbers are about, whatever was learned."""
    paper = paper_settings()
    learned = results.trained_on
    config = results.config
    made_by = results.fingerprint.get("family", OPENAI_FAMILY), results.fingerprint.get("model")
    if results.data_set not in paper.split or made_by != (OPENAI_FAMILY, paper.clip):
        return False
    if learned and learned.data_set != results.data_set:
        return False
    if results.method == "adapter":
        usual = config.get("clip_frames") == paper.clip_frames and config.get("suffix", True)
        if not usual or config.get("template"):
            return False
    if results.few_shot:
        return _same_episodes(results, paper)
    if results.split != paper.split[results.data_set]:
        return False
    if results.retrieval:
        asked = results.retrieval.captions + results.retrieval.missing_captions
        usual = results.retrieval.ties == "average" and not results.variant
        return usual and paper.captions.get(results.data_set, asked) == asked
    if results.localisation:
        return _same_localisation(results, results.localisation, paper)
    if results.class_split:
        return _same_open_set(results, paper)
    return results.classes == paper.classes.get(results.data_set)


def _same_episodes(results: Results, paper: PaperSettings) -> bool:
    few_shot = results.few_shot
    assert few_shot is not None
    return few_shot.ways is not None and paper.episodes.get(few_shot.ways) == len(results.items)


def _same_open_set(results: Results, paper: PaperSettings) -> bool:
    seen, unseen = paper.open_set.get(results.data_set, (None, None))
    learned = results.trained_on
    return (
        results.class_set == "unseen"
        and results.classes == unseen
        and (learned is None or len(learned.classes) == seen)
    )


def _same_localisation(results: Results, how: Localisation, paper: PaperSettings) -> bool:
    if how.proposals == GROUND_TRUTH or tuple(how.tiou) != default_thresholds(results.data_set):
        return False
    if not results.class_split:
        return results.classes == paper.classes.get(results.data_set)
    learned = results.trained_on
    whole = results.classes + (len(learned.classes) if learned else results.classes)
    return (
        results.class_set == "unseen"
        and len(results.items) == paper.class_splits.get(results.data_set)
        and (learned is None or whole == paper.classes.get(results.data_set))
    )


def row_of(results: Results, table: PaperTable) -> PaperRow | None:
    """Returns the paper's row for what a result learned, if there is one and the settings are the same."""
    # The paper's rows without Transformer are the plain mean, and a module of one's own is in none of its rows.
    if not same_settings(results) or results.positions_alone or results.config.get("model_code"):
        return None
    fields: dict[str, object] = {"data_set": results.data_set, "method": results.method}
    if results.method == "adapter":
        fields |= {"prompts": results.config["prompts"], "layers": results.config["layers"]}
    if results.few_shot:
        fields |= {"ways": results.few_shot.ways, "shots": results.few_shot.shots}
        if results.method == "adapter":  # the paper does not say how many: with a Transformer, or without
            fields |= {"prompts": None, "layers": None if results.config["layers"] else 0}
    if results.localisation:  # nor does it say so here
        fields |= {"prompts": None, "layers": None}
        fields["seen"] = (
            len(results.trained_on.classes) if results.class_split and results.trained_on else None
        )
    return table.find(**fields)
