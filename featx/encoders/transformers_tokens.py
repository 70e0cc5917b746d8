"""How a tokenizer of `transformers` makes tokens of texts, as data that is tried on a few texts first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.clip.text_format import FeatureAt, Mask, TextFormat
from featx.devices import first_line
from featx.encoders.transformers_folder import quiet_transformers
from featx.errors import FeatxError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WORD_END, WORD_BEGIN, WORD_GOES_ON = "</w>", "▁", "##"  # of CLIP, SentencePiece, BERT
# what a tokenizer is tried on: one word, several, signs, other letters, nothing
TRIALS = ("star", "A red Circle, 3 times!", "naïve straße 北京", "")


def read_tokenizer(folder: Path, said: str) -> PreTrainedTokenizerBase:
    """Reads the tokenizer that lies beside a model.

    Args:
        folder: Of the model.
        said: The option as the user gave it, for messages.

    Raises:
        FeatxError: If there is none, or a package that it needs is missing.
    """
    from transformers import AutoTokenizer

    try:
        with quiet_transformers():
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (ImportError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FeatxError(
            f"{said}: no tokenizer that can be read beside the model ({first_line(error)})"
        ) from error


def text_format(
    tokenizer: PreTrainedTokenizerBase,
    sizes: tuple[int, int],
    mask: Mask,
    feature_at: FeatureAt,
    said: str,
    clean: Callable[[str], str] = str,
) -> TextFormat:
    """Returns how texts become positions.

    Args:
        tokenizer: Of the model.
        sizes: How many tokens the text encoder knows, and how many positions it has.
        mask: What a position sees.
        feature_at: Where the feature is taken.
        said: The option as the user gave it, for messages.
        clean: What is done to a text first.

    Raises:
        FeatxError: If the tokenizer does not fit the model.
    """
    vocabulary, positions = sizes

    def tokenize(text: str) -> list[int]:
        with quiet_transformers():  # it warns of long texts, which featx cuts and counts itself
            return list(tokenizer(clean(text), add_special_tokens=False)["input_ids"])

    if len(tokenizer) > vocabulary:
        raise FeatxError(
            f"{said}: the tokenizer beside it has {len(tokenizer):,} tokens, the model {vocabulary:,}; it is of another model"
        )
    start, end = _marks(tokenizer, tokenize)
    padding = tokenizer.pad_token_id
    form = TextFormat(
        tokenize,
        lambda token: _word(tokenizer, token),
        start,
        end,
        0 if padding is None else padding,
        positions,
        mask,
        feature_at,
        # a model may have more embeddings than its tokenizer has tokens
        (*tokenizer.all_special_ids, *range(len(tokenizer), vocabulary)),
    )
    for text in TRIALS:
        if (problem := _problem(tokenizer, form, clean(text))) is not None:
            raise FeatxError(f"{said}: its tokenizer {problem}, which featx does not support")
    return form


def _marks(tokenizer: PreTrainedTokenizerBase, tokenize: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns what a tokenizer puts before and behind the tokens of a text."""
    whole, plain = list(tokenizer(TRIALS[0])["input_ids"]), tokenize(TRIALS[0])
    for before in range(len(whole) - len(plain) + 1):
        if whole[before : before + len(plain)] == plain:
            return tuple(whole[:before]), tuple(whole[before + len(plain) :])
    return (), ()


def _problem(tokenizer: PreTrainedTokenizerBase, form: TextFormat, text: str) -> str | None:
    """Returns in what a tokenizer differs from what is known of it, or None."""
    whole = [*form.start, *form.tokenize(text), *form.end]
    if list(tokenizer(text)["input_ids"]) != whole:
        return "puts other marks around one text than around another"
    if not form.end and form.feature_at == "end":
        return "puts no mark at the end of a text"
    if not form.start and form.feature_at == "first":
        return "puts no mark at the beginning of a text"
    if form.mask == "none":  # padding is seen
        padded = tokenizer(text, padding="max_length", max_length=form.positions)["input_ids"]
        if list(padded) != [*whole, *[form.padding] * (form.positions - len(whole))]:
            return "puts padding in another place than behind a text"
    return None


def _word(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """Returns how a token reads; one that goes on ends in `-`, one that goes on from another begins with it."""
    name, read = str(tokenizer.convert_ids_to_tokens(token)), str(tokenizer.decode([token])).strip()
    if name.startswith(WORD_GOES_ON):
        return "-" + name.removeprefix(WORD_GOES_ON)
    goes_on = _ends_words(tokenizer) and not name.endswith(WORD_END)
    return read + ("-" if goes_on else "")


def _ends_words(tokenizer: PreTrainedTokenizerBase) -> bool:
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    return getattr(model, "end_of_word_suffix", None) == WORD_END
