"""The settings of an adapter's training: recipe keys, options and help in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from featx.clip.choices import MODELS, Precision
from featx.features.clips import ClipSampling
from featx.help_pages import Panel, Panels
from featx.model.adapter_config import AdapterParts
from featx.model.code.record import OptionValue
from featx.settings import MAY_CHANGE

from ..engine.settings import SAME_IN_ALL_CELLS, LearnSettings

SIGMOID_BIAS = -10.0
RETRIEVAL_PROMPTS = 4  # paper: 4+X+4, since sentences need the room that 16+X+16 takes


class TrainSettings(AdapterParts, LearnSettings):
    """Everything that decides an adapter. Defaults are the paper's settings for HMDB51 (16+X+16, 2 layers)."""

    panels: ClassVar[Panels] = {
        Panel.LEARNED: "task prompts layout suffix layers heads positions template model_code model_option",
        Panel.TRAINING: "steps batch_size learning_rate loss own_scale logit_bias schedule warmup weight_decay clip_norm ema seed validation "
        "validate_every patience accumulate class_limit",
        Panel.CLIPS: "clip_frames strides stride_weights",
        Panel.SPEED: "device devices precision",
        Panel.EPISODES: "episodes episodes_together keep_adapters",
        Panel.PROPOSALS: "proposals background match_tiou background_tiou background_share",
        Panel.RARE: "model compile recompute",
    }

    task: Annotated[Literal["recognition", "localisation", "retrieval"], SAME_IN_ALL_CELLS] = Field(
        "recognition",
        description="What to learn. recognition: classify videos. localisation: classify segments of videos. "
        "retrieval: match videos and sentences. proposals (featx train only): a detector that "
        "proposes segments.",
    )
    model: Annotated[str | None, MODELS, MAY_CHANGE, SAME_IN_ALL_CELLS] = Field(
        None,
        description="Model whose text encoder is used, as featx extract names it. By default the one that "
        "the store records.",
    )

    # a temporal model of one's own
    model_code: Annotated[str | None, MAY_CHANGE, SAME_IN_ALL_CELLS] = Field(  # its source is compared
        None,
        description="Your own temporal model in the place of the temporal Transformer: a torch.nn.Module from "
        "(B, T, D) to (B, D). FILE.py:CLASS, package.module:CLASS, or the name of an entry point of the group "
        "featx.temporal_models. Its code is run.",
    )
    model_option: Annotated[dict[str, OptionValue] | None, SAME_IN_ALL_CELLS] = Field(
        None,
        description="Keyword argument of the class of --model-code, as NAME=VALUE: a number, true, false, null or "
        "text. May be given several times.",
    )

    # clips
    strides: list[int] = Field(
        [1, 2, 3, 4], description="Strides, in rows, that a clip may have, such as 1,2,3,4."
    )
    stride_weights: list[float] = Field(
        [1, 1, 3, 1], description="Relative frequency of each stride of --strides, such as 1,1,3,1."
    )

    # how it is compared
    accumulate: int = Field(
        1,
        ge=1,
        description="Split the clips of a step into this many parts to save memory. The result is the same.",
    )
    loss: Literal["video-to-text", "symmetric", "sigmoid"] = Field(
        "video-to-text",
        description="video-to-text: cross-entropy of each clip over the texts. symmetric: the mean of that "
        "and the cross-entropy of each text over the clips. sigmoid: each pair of clip and text on its own, as SigLIP "
        "was trained.",
    )
    own_scale: bool = Field(
        False,
        description="Multiply cosines with the model's own logit scale, and with --loss sigmoid add its bias. By default "
        "they are divided by the paper's temperature of 0.07.",
    )
    logit_bias: float = Field(
        SIGMOID_BIAS,
        description="What --loss sigmoid adds to the scaled cosines, without --own-scale. The default is where SigLIP's own "
        "training began.",
    )
    class_limit: int = Field(
        400,
        ge=2,
        description="Largest number of class texts in a step. With more classes, a step takes those of its "
        "batch and random others.",
    )
    precision: Precision = Field(
        "fp32",
        description="Number type of the matrix products in the frozen text encoder. Trained parameters stay "
        "fp32. bf16 is faster on a GPU and on a CPU with bf16 instructions.",
    )
    compile: Annotated[bool, MAY_CHANGE] = Field(
        False, description="Compile the text encoder with torch.compile. This costs a minute at the start."
    )
    recompute: Annotated[bool, MAY_CHANGE] = Field(
        False,
        description="Recompute the text encoder's activations in the backward pass instead of keeping them: "
        "less memory, about a third more work. Switched on automatically if the activations need "
        "more than half of the free memory.",
    )

    # localisation
    proposals: Annotated[Path | None, MAY_CHANGE] = Field(
        None,
        description="Localisation: also train on these proposals, made by featx propose on the training "
        "split. Each gets the class of the segment that it overlaps, or is background.",
    )
    match_tiou: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Localisation: a proposal gets a segment's class from this temporal IoU on.",
    )
    background_tiou: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Localisation: a proposal is background if its temporal IoU with every segment is at "
        "most this.",
    )
    background_share: float = Field(
        0.25, ge=0, lt=1, description="Localisation: fraction of the training examples that is background."
    )

    # few-shot episodes
    episodes: Annotated[Path | None, MAY_CHANGE, SAME_IN_ALL_CELLS] = Field(
        None,
        description="Few-shot: episodes file (.jsonl). Each episode is trained and scored on its own; the "
        "manifest's splits do not matter.",
    )
    episodes_together: int = Field(
        0,
        ge=0,
        description="Few-shot: number of episodes whose steps are computed together. 0: as many as fit into "
        "256 texts (docs/training.md).",
    )
    keep_adapters: Annotated[bool, MAY_CHANGE] = Field(
        True, description="Few-shot: save the adapter of each episode in RUN/episodes/, not only its score."
    )

    @property
    def clip_sampling(self) -> ClipSampling:
        """How clips are taken, in training and where videos are scored."""
        return ClipSampling(self.clip_frames, self.strides, self.stride_weights)

    @model_validator(mode="after")
    def _as_retrieval_needs(self) -> TrainSettings:
        if self.task != "retrieval":
            return self
        for name in ("class_split", "seen_list", "class_limit"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is about classes; leave it out, or task=retrieval")
        if "prompts" not in self.model_fields_set:
            self.prompts = RETRIEVAL_PROMPTS
        return self

    @model_validator(mode="before")
    @classmethod
    def _without_transformer(cls, given: Any) -> Any:
        """With a model of one's own there is no Transformer unless it is asked for, which `_one_temporal_model` refuses."""
        return {"layers": 0, "positions": False} | given if given.get("model_code") else given

    @model_serializer(mode="wrap")
    def _without_nothing(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out what is as it always was, so that adapters are what they were before there was anything else."""
        content: dict[str, Any] = write(self)
        unused = {name for name in ("model_code", "model_option") if getattr(self, name) is None}
        unused |= {
            name
            for name in ("own_scale", "logit_bias")
            if getattr(self, name) == type(self).model_fields[name].default
        }
        return {name: value for name, value in content.items() if name not in unused}

    @model_validator(mode="after")
    def _bias_of_the_sigmoid_loss(self) -> TrainSettings:
        if "logit_bias" in self.model_fields_set and (self.loss != "sigmoid" or self.own_scale):
            raise ValueError("logit_bias is for loss=sigmoid without own_scale; leave it out")
        return self

    @model_validator(mode="after")
    def _one_temporal_model(self) -> TrainSettings:
        if self.model_option and not self.model_code:
            raise ValueError("model_option is for the class of model_code; leave it out, or give model_code")
        if not self.model_code:
            return self
        for name in ("layers", "positions"):
            if getattr(self, name):
                raise ValueError(
                    f"{name}={getattr(self, name)}: model_code={self.model_code} takes the place of the temporal Transformer; "
                    f"leave out {name} or model_code"
                )
        return self

    @model_validator(mode="after")
    def _fit_together(self) -> TrainSettings:
        _ = self.clip_sampling  # checks strides and weights
        if self.episodes and (self.class_split or self.seen_list):
            raise ValueError("episodes have classes of their own; leave out class_split and seen_list")
        if self.episodes and self.task != "recognition":
            raise ValueError(f"episodes are for recognition; leave them out, or task={self.task}")
        if self.task != "localisation" and (self.proposals or self.background):
            raise ValueError(
                "proposals and background are for localisation; leave them out, or task=localisation"
            )
        if self.background_tiou >= self.match_tiou:
            raise ValueError(
                f"background_tiou={self.background_tiou} must be less than match_tiou={self.match_tiou}"
            )
        if self.episodes and self.devices > 1:
            raise ValueError("episodes are learned by one process; leave out devices")
        if self.batch_size < self.accumulate * self.devices:
            raise ValueError(
                f"batch_size={self.batch_size} is too small for accumulate={self.accumulate}, devices={self.devices}"
            )
        return self
