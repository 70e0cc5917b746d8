"""What stands behind `--model open_clip:`, and which architecture a checkpoint in OpenAI's layout may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.encoders.families import within_family
from featx.errors import FeatxError, nearest

if TYPE_CHECKING:
    from torch import Tensor

INSTALL = "needs open_clip; install it with pip install 'featx[open-clip]'"
HOW = "give open_clip:ARCHITECTURE@PRETRAINED or open_clip:ARCHITECTURE@FILE"
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
SHOWN_TAGS = 6


@dataclass(frozen=True)
class OpenClipSource:
    """A model of open_clip.

    Attributes:
        architecture: A name of `open_clip.list_models()`.
        tag: Of pretrained weights that open_clip knows, or none.
        file: The user's own, or none.
        config: Sizes of the architecture.
        preprocessing: What is known of it beside open_clip's defaults.
    """

    architecture: str
    tag: str
    file: Path | None
    config: dict[str, Any]
    preprocessing: dict[str, Any]

    @property
    def name(self) -> str:
        """What it is called in fingerprints."""
        return f"{self.architecture}@{self.file.stem if self.file else self.tag}"


def parse_source(source: str) -> OpenClipSource:
    """Reads what a user gave, `open_clip:ARCHITECTURE@TAG`, `@FILE` or `@TAG=FILE`.

    Args:
        source: As given to `--model`.

    Raises:
        FeatxError: If open_clip is missing or does not know it, or a file's preprocessing or activation cannot be told.
    """
    said = f"--model {source}"
    try:
        import open_clip
    except ImportError as error:
        raise FeatxError(f"{said}: {INSTALL}") from error
    architecture, at, weights = within_family(source).partition("@")
    config = open_clip.get_model_config(architecture)
    if config is None:
        names = open_clip.list_models()
        raise FeatxError(
            f"{said}: open_clip has no architecture '{architecture}'{nearest(architecture, names)}; {HOW}"
        )
    tags = _tags(architecture)
    if not at or not weights:
        raise FeatxError(f"{said}: names no weights; {HOW} (PRETRAINED: {_listed(tags)})")
    tag, equals, path = weights.partition("=")
    if equals and tag in tags:
        file = Path(path).expanduser()
        if not file.is_file():
            raise FeatxError(f"{said}: no such file: {path}")
    elif weights in tags:
        tag, file = weights, None
    elif Path(weights).expanduser().is_file():
        tag, file = "", Path(weights).expanduser()
    else:
        raise FeatxError(
            f"{said}: neither weights that open_clip knows of {architecture} ({_listed(tags)}) nor a file"
            f"{nearest(weights, list(tags))}"
        )
    if tag:
        _check_activation(config, tags[tag], architecture, tag, said)
    return OpenClipSource(architecture, tag, file, config, _preprocessing(tags, architecture, tag, said))


def _tags(architecture: str) -> dict[str, dict[str, Any]]:
    """Returns the pretrained weights that open_clip knows of an architecture, and what it says of them."""
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    return {tag: get_pretrained_cfg(architecture, tag) for tag in list_pretrained_tags_by_model(architecture)}


def _listed(tags: Mapping[str, Any]) -> str:
    names = list(tags)
    more = f", and {len(names) - SHOWN_TAGS} more" if len(names) > SHOWN_TAGS else ""
    return ", ".join(names[:SHOWN_TAGS]) + more if names else "none"


def _check_activation(
    config: dict[str, Any], tag: dict[str, Any], architecture: str, name: str, said: str
) -> None:
    """Refuses an architecture that does not compute what the weights were trained with; open_clip only warns.

    Raises:
        FeatxError: With the architecture that does.
    """
    quick = bool(tag.get("quick_gelu", False))
    if bool(config.get("quick_gelu", False)) != quick:
        right = f"{architecture}-quickgelu" if quick else architecture.removesuffix("-quickgelu")
        raise FeatxError(
            f"{said}: these weights were trained with {'Quick' if quick else ''}GELU, which {architecture} does not "
            f"compute; give --model open_clip:{right}@{name}"
        )


def _preprocessing(tags: dict[str, dict[str, Any]], architecture: str, tag: str, said: str) -> dict[str, Any]:
    """Returns the preprocessing of weights, for a file that of all weights of its architecture.

    Raises:
        FeatxError: If they do not agree.
    """
    known = [
        {name: one[name] for name in PREPROCESSING if name in one}
        for one in ([tags[tag]] if tag else tags.values())
    ]
    if not known:
        return {}
    if any(one != known[0] for one in known):
        raise FeatxError(
            f"{said}: models of {architecture} differ in how pictures are prepared, and the file does not say which it is "
            f"like; give open_clip:{architecture}@PRETRAINED=FILE with the one of {_listed(tags)} that was trained alike"
        )
    return known[0]


def name_for(state: Mapping[str, Tensor], file: object) -> str:
    """Returns what to give as `--model` for a checkpoint of open_clip that was trained with GELU.

    Args:
        state: Tensors in OpenAI's layout.
        file: The checkpoint.
    """
    try:
        names = matching_architectures(state)
    except ImportError:
        return f"open_clip:ARCHITECTURE@{file} (after pip install 'featx[open-clip]')"
    return " or ".join(f"open_clip:{name}@{file}" for name in names[:3] or ["ARCHITECTURE"])


def matching_architectures(state: Mapping[str, Tensor]) -> list[str]:
    """Returns open_clip's architectures with GELU that have the sizes of a checkpoint.

    Args:
        state: Tensors in OpenAI's layout.
    """
    import open_clip

    sizes = _sizes(state)
    found = []
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        if config.get("quick_gelu") or config.get("custom_text"):
            continue
        vision, text = config["vision_cfg"], config["text_cfg"]
        of_config = {
            "embed_dim": config["embed_dim"],
            "image": (vision.get("width"), vision.get("patch_size"), vision.get("layers")),
            "image_size": vision.get("image_size"),
            "text": (text.get("width"), text.get("layers")),
            "context_length": text.get("context_length"),
            "vocab_size": text.get("vocab_size"),
        }
        if of_config == sizes:
            found.append(name)
    return found


def _sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Returns the sizes of a checkpoint of a ViT; empty for another one."""
    try:
        kernel, grid = state["visual.conv1.weight"], state["visual.positional_embedding"]
        patch = kernel.shape[-1]
        return {
            "embed_dim": state["text_projection"].shape[1],
            "image": (kernel.shape[0], patch, _layers(state, "visual.transformer.resblocks.")),
            "image_size": round((grid.shape[0] - 1) ** 0.5) * patch,
            "text": (state["ln_final.weight"].shape[0], _layers(state, "transformer.resblocks.")),
            "context_length": state["positional_embedding"].shape[0],
            "vocab_size": state["token_embedding.weight"].shape[0],
        }
    except (KeyError, IndexError, AttributeError):
        return {}


def _layers(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})
