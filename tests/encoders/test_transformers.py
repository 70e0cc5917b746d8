"""Models of Hugging Face's transformers: features and gradients equal those of the library's own modules."""

import json
import re
import shutil
from pathlib import Path

import clip
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from transformers_folders import clip_tokenizer, make_folder

from featx.clip.preprocess import mean_and_deviation, normalise, scale_and_crop
from featx.encoders.images import ImageEncoder
from featx.encoders.load import load_model, load_text_format
from featx.encoders.model import ImageTextModel
from featx.encoders.text import TextTower
from featx.encoders.transformers_models import of_transformers
from featx.errors import FeatxError

FAMILIES = ("hf-clip", "siglip", "align")
SPARE = {"hf-clip": 1000, "siglip": 50, "align": 32}  # tokens from here on stand in no text of these tests
SHAPES_OF_FRAMES = ((97, 131, 3), (180, 101, 3), (64, 64, 3), (20, 27, 3))


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(family, tmp_path_factory.mktemp("models") / family)


@pytest.fixture(scope="module")
def loaded(family: str, folder: Path) -> ImageTextModel:
    return load_model(f"{family}:{folder}")


@pytest.fixture
def double(family: str, folder: Path) -> ImageTextModel:
    """The same in float64."""
    single = load_model(f"{family}:{folder}")
    # ALIGN's plain attention rounds its softmax to float32; the library's other implementation does not
    single.model.text_model.config._attn_implementation = "sdpa"
    return of_transformers(single.model.double(), single.text.format, single.preprocessing, single.source, "")


def texts_of(lengths: tuple[int, ...]) -> list[str]:
    return [
        " ".join((["red", "star", "blue", "circle", "rising", "falling"] * 7)[first : first + n])
        for first, n in enumerate(lengths)
    ]


class WithPrompts(nn.Module):
    """An embedding in which prompt vectors stand in the places of tokens."""

    def __init__(self, embedding: nn.Module, first: int, table: torch.Tensor) -> None:
        super().__init__()
        self.weight, self.rows, self.table = embedding.weight, torch.arange(len(table)) + first, table

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return functional.embedding(ids, self.weight.index_copy(0, self.rows, self.table))


def library_features(
    loaded: ImageTextModel,
    texts: list[str],
    table: torch.Tensor | None = None,
    k: int = 0,
    suffix: bool = True,
) -> torch.Tensor:
    """The library's `get_text_features` of texts with prompts around them, padded to all positions."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(loaded.source.partition(":")[2])
    positions = loaded.model.config.text_config.max_position_embeddings
    prompts = [SPARE[loaded.family] + i for i in range(2 * k)]
    after = prompts[k:] if suffix else []
    rows, masks = [], []
    for text in texts:
        marked, plain = tokenizer(text).input_ids, tokenizer(text, add_special_tokens=False).input_ids
        before = 0 if loaded.family == "siglip" else 1
        room = positions - (len(marked) - len(plain)) - k - len(after)
        ids = [*marked[:before], *prompts[:k], *plain[:room], *after, marked[-1]]
        rows.append(ids + [tokenizer.pad_token_id] * (positions - len(ids)))
        masks.append([1] * len(ids) + [0] * (positions - len(ids)))
    inputs = {"input_ids": torch.tensor(rows)}
    if loaded.family != "siglip":
        inputs["attention_mask"] = torch.tensor(masks)
    embeddings = loaded.model.text_model.embeddings
    name = "word_embeddings" if loaded.family == "align" else "token_embedding"
    own = getattr(embeddings, name)
    if table is not None:
        setattr(embeddings, name, WithPrompts(own, SPARE[loaded.family], table))
    try:
        return loaded.model.get_text_features(**inputs).pooler_output
    finally:
        setattr(embeddings, name, own)


def frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in SHAPES_OF_FRAMES]


def test_pictures_are_those_of_the_librarys_own_preprocessing(loaded: ImageTextModel, folder: Path) -> None:
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    colours = mean_and_deviation(loaded.preprocessing)
    for frame in frames():
        theirs = processor(images=Image.fromarray(frame), return_tensors="pt")["pixel_values"]
        cropped = scale_and_crop(frame, loaded.preprocessing)
        ours = normalise(torch.from_numpy(cropped[None].copy()), colours)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
        back = (theirs[0].permute(1, 2, 0) * colours[1].view(3) + colours[0].view(3)) * 255
        np.testing.assert_array_equal(back.round().numpy().astype(np.uint8), cropped)


def test_features_of_pictures_equal_the_librarys_own(
    loaded: ImageTextModel, family: str, folder: Path
) -> None:
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    pictures = [Image.fromarray(frame) for frame in frames()]
    with torch.inference_mode():
        theirs = loaded.model.get_image_features(
            **processor(images=pictures, return_tensors="pt")
        ).pooler_output
    pixels = np.stack([scale_and_crop(frame, loaded.preprocessing) for frame in frames()])
    ours = ImageEncoder(load_model(f"{family}:{folder}")).encode(pixels)
    assert ours.shape == (len(pictures), loaded.width) and ours.std() > 0.01
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-5)


def test_features_of_texts_equal_the_librarys_own(double: ImageTextModel) -> None:
    texts = texts_of((1, 2, 7, 40))
    with torch.no_grad():
        tower = TextTower(double.text)
        ours, theirs = tower.encode(tower.plan(texts)), library_features(double, texts)
    assert theirs.std() > 0.01 and (theirs[0] - theirs[1]).abs().max() > 0.01
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("k", "suffix"), [(4, True), (4, False), (8, True)])
def test_with_prompts_features_and_gradients_equal_a_plain_pass(
    double: ImageTextModel, k: int, suffix: bool
) -> None:
    texts = texts_of((1, 2, 5, 17, 40, 1))
    table = (0.3 * torch.randn(2 * k, double.text_width, dtype=torch.float64)).requires_grad_()
    tower = TextTower(double.text)
    used = table if suffix else table[:k]
    ours = tower.encode(tower.plan(texts, k, suffix=suffix), used)
    theirs = library_features(double, texts, table, k, suffix)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(one.sin().sum(), table)[0] for one in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)
    assert (gradients[0][: k * (1 + suffix)].abs().sum(dim=1) > 0).all()


def test_each_family_has_the_savings_that_are_exact_for_it(family: str, loaded: ImageTextModel) -> None:
    every = ("trim", "shared prefix", "packed rows", "last layer at the feature", "distinct inputs")
    assert (
        loaded.text.format.savings
        == {
            "hf-clip": every,
            "align": ("trim", "packed rows", "last layer at the feature", "distinct inputs"),
            "siglip": ("last layer at the feature", "distinct inputs"),
        }[family]
    )


def test_scale_and_bias_are_the_models_own(loaded: ImageTextModel, family: str) -> None:
    model = loaded.model
    if family == "align":
        assert loaded.logit_scale == pytest.approx(1 / model.temperature.item())
    else:
        assert loaded.logit_scale == pytest.approx(model.logit_scale.exp().item())
    assert loaded.logit_bias == (model.logit_bias.item() if family == "siglip" else 0)


def test_a_format_is_read_without_the_weights(family: str, folder: Path, tmp_path: Path) -> None:
    light = tmp_path / "light"
    shutil.copytree(folder, light, ignore=shutil.ignore_patterns("*.safetensors"))
    form = load_text_format(f"{family}:{light}")
    assert form.tokenize("red star") == load_model(f"{family}:{folder}").text.format.tokenize("red star")
    with pytest.raises(FeatxError, match="weights cannot be read"):
        load_model(f"{family}:{light}")


def test_clips_tokenizer_makes_openais_tokens() -> None:
    theirs = clip.clip._tokenizer
    tokenizer = clip_tokenizer()
    for text in ("a red star's 3 circles", "naïve straße 北京", "Playing Guitar", ""):
        assert tokenizer(text, add_special_tokens=False).input_ids == theirs.encode(text)


def test_words_read_as_people_write_them(family: str, loaded: ImageTextModel) -> None:
    form = loaded.text.format
    assert [form.word(token) for token in form.tokenize("star")] == ["star"] or family == "siglip"
    assert "".join(form.word(token) for token in form.tokenize("star")) == "star"
    assert set(form.start + form.end) <= set(form.not_words)
    if family == "hf-clip":
        assert next(form.word(token) for token in form.tokenize("straße")).endswith("-")
    if family == "align":
        assert [form.word(token) for token in form.tokenize("stars")] == ["star", "-s"]


def test_the_wrong_family_is_refused_with_the_right_one(family: str, folder: Path) -> None:
    other = next(one for one in FAMILIES if one != family)
    with pytest.raises(FeatxError, match=re.escape(f"give --model {family}:{folder}")) as refused:
        load_model(f"{other}:{folder}")
    assert "\n" not in str(refused.value)


def test_a_tokenizer_of_another_model_is_refused(folder: Path, family: str, tmp_path: Path) -> None:
    if family == "hf-clip":
        pytest.skip("its vocabulary is the largest")
    copy = shutil.copytree(folder, tmp_path / "copy")
    for file in copy.glob("*oken*"):
        file.unlink()
    clip_tokenizer().save_pretrained(copy)
    with pytest.raises(FeatxError, match="the tokenizer beside it has 49,408 tokens") as refused:
        load_model(f"{family}:{copy}")
    assert "\n" not in str(refused.value)


def test_a_missing_weight_is_an_error_not_a_random_number(folder: Path, family: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(folder, tmp_path / "copy")
    state = load_file(copy / "model.safetensors")
    name = next(one for one in state if one.startswith("text_model") and one.endswith("bias"))
    del state[name]
    save_file(state, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(FeatxError, match=f"1 of its weights.*'{re.escape(name)}' first"):
        load_model(f"{family}:{copy}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": {"height": 40, "width": 40}, "crop_size": None, "do_center_crop": False}, "makes pictures of 40 x 40"),
        ({"size": {"height": 30, "width": 40}}, "scales to"),
        ({"do_resize": False}, "does not scale"),
    ],
)  # fmt: skip
def test_preprocessing_that_featx_cannot_do_is_refused(
    folder: Path, family: str, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (file,) = copy.glob("pre*or_config.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(FeatxError, match=message):
        load_model(f"{family}:{copy}")


def test_what_is_not_there_is_said_in_one_line(family: str, tmp_path: Path) -> None:
    for wanted, message in (
        (tmp_path / "nothing", "no such folder"),
        ("somebody/something", "offline nothing is downloaded"),
    ):
        with pytest.raises(FeatxError, match=message) as refused:
            load_model(f"{family}:{wanted}")
        assert "\n" not in str(refused.value)
    with pytest.raises(FeatxError, match="no configuration") as refused:
        load_model(f"{family}:{tmp_path}")
    assert "\n" not in str(refused.value)


def test_other_models_are_named(tmp_path: Path) -> None:
    for kind, message in (("bert", "a model of type 'bert'"), ("siglip2", "NaFlex")):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
        with pytest.raises(FeatxError, match=message):
            load_model(f"hf-clip:{tmp_path}")
