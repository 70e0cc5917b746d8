"""Models of open_clip: features and gradients equal those of the library's own modules."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip_files import ARCHITECTURES, make_file
from PIL import Image
from torch import nn
from torch.nn import functional

from featx.clip.preprocess import mean_and_deviation, normalise, scale_and_crop
from featx.encoders.images import ImageEncoder
from featx.encoders.load import load_model, load_text_format
from featx.encoders.model import ImageTextModel
from featx.encoders.open_clip_models import of_open_clip
from featx.encoders.open_clip_names import matching_architectures
from featx.encoders.text import TextTower
from featx.errors import FeatxError

SPARE = {"small-siglip": 50, "small-clipa": 32}  # tokens from here on stand in no text of these tests
EVERY = ("trim", "shared prefix", "packed rows", "last layer at the feature", "distinct inputs")


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def file(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_file(name, tmp_path_factory.mktemp("models") / name)


@pytest.fixture(scope="module")
def loaded(name: str, file: Path) -> ImageTextModel:
    return load_model(f"open_clip:{name}@{file}")


@pytest.fixture
def double(name: str, file: Path) -> ImageTextModel:
    single = load_model(f"open_clip:{name}@{file}")
    return of_open_clip(single.model.double(), single.text.format, weights_sha256="")


def texts_of(lengths: tuple[int, ...]) -> list[str]:
    words = ["red", "star", "blue", "circle", "rising", "falling"] * 7
    return [" ".join(words[first : first + n]) for first, n in enumerate(lengths)]


class WithPrompts(nn.Module):
    """An embedding in which prompt vectors stand in the places of tokens."""

    def __init__(self, embedding: nn.Module, first: int, table: torch.Tensor) -> None:
        super().__init__()
        self.weight, self.rows, self.table = embedding.weight, torch.arange(len(table)) + first, table

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return functional.embedding(ids, self.weight.index_copy(0, self.rows, self.table))


def with_prompts(name: str, row: list[int], k: int, suffix: bool) -> list[int]:
    """Puts tokens that stand for prompts around those of a text, as the library's tokenizer gives them."""
    end, padding = {"small-siglip": (1, 1), "small-clipa": (0, 0)}.get(name, (49407, 0))
    before = 0 if name == "small-siglip" else 1
    tokens = row[before : row.index(end)]
    prompts = [SPARE.get(name, 1000) + i for i in range(2 * k)]
    after = prompts[k:] if suffix else []
    room = len(row) - before - 1 - k - len(after)
    ids = [*row[:before], *prompts[:k], *tokens[:room], *after, end]
    return ids + [padding] * (len(row) - len(ids))


def library_features(
    name: str,
    loaded: ImageTextModel,
    texts: list[str],
    table: torch.Tensor | None = None,
    k: int = 0,
    suffix: bool = True,
) -> torch.Tensor:
    """The library's `encode_text`, with prompts in the places of tokens that stand in no text."""
    import open_clip

    ids = open_clip.get_tokenizer(name)(texts)
    if table is None:
        return loaded.model.encode_text(ids)
    text = getattr(loaded.model, "text", loaded.model)
    own = text.token_embedding
    text.token_embedding = WithPrompts(own, SPARE.get(name, 1000), table)
    try:
        rows = [with_prompts(name, row, k, suffix) for row in ids.tolist()]
        return loaded.model.encode_text(torch.tensor(rows))
    finally:
        text.token_embedding = own


def frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = ((97, 131, 3), (180, 101, 3), (64, 64, 3), (20, 27, 3))
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


def own_transform(model: nn.Module):
    from open_clip import get_model_preprocess_cfg
    from open_clip.transform import PreprocessCfg, image_transform_v2

    return image_transform_v2(PreprocessCfg(**get_model_preprocess_cfg(model)), is_train=False)


def test_features_of_pictures_equal_the_librarys_own(name: str, file: Path, loaded: ImageTextModel) -> None:
    transform = own_transform(loaded.model)
    theirs = torch.stack([transform(Image.fromarray(frame)) for frame in frames()])
    pixels = np.stack([scale_and_crop(frame, loaded.preprocessing) for frame in frames()])
    colours = mean_and_deviation(loaded.preprocessing)
    torch.testing.assert_close(normalise(torch.from_numpy(pixels), colours), theirs, rtol=0, atol=1e-6)
    with torch.inference_mode():
        expected = loaded.model.encode_image(theirs)
    ours = ImageEncoder(load_model(f"open_clip:{name}@{file}")).encode(pixels)
    assert ours.shape == (4, loaded.width) and ours.std() > 0.01
    np.testing.assert_allclose(ours, expected.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("tag", ["datacompdr", "webli", "openai", "laion400m_e32", "dfn2b"])
def test_preprocessing_of_pretrained_weights_is_open_clips(tag: str, tmp_path: Path) -> None:
    """Kernel, crop or squash, mean and deviation are what open_clip's own transform does, to the bit."""
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    from featx.encoders.open_clip_models import preprocessing_of
    from featx.encoders.open_clip_names import PREPROCESSING

    make_file("small-clip", tmp_path)
    of_tag = {
        "datacompdr": "MobileCLIP-S1",
        "webli": "ViT-B-16-SigLIP",
        "openai": "ViT-B-16",
        "laion400m_e32": "ViT-B-16",
        "dfn2b": "ViT-B-16",
    }
    known = get_pretrained_cfg(of_tag[tag], tag)
    model = open_clip.create_model(
        "small-clip", force_preprocess_cfg={k: v for k, v in known.items() if k in PREPROCESSING}
    )
    ours = preprocessing_of(model)
    transform = own_transform(model)
    for frame in frames():
        made = normalise(torch.from_numpy(scale_and_crop(frame, ours)[None]), mean_and_deviation(ours))
        torch.testing.assert_close(made[0], transform(Image.fromarray(frame)), rtol=0, atol=1e-6)


def test_features_of_texts_equal_the_librarys_own(name: str, double: ImageTextModel) -> None:
    texts = texts_of((1, 2, 7, 40 if double.text.format.positions > 40 else 29))
    with torch.no_grad():
        tower = TextTower(double.text)
        ours, theirs = tower.encode(tower.plan(texts)), library_features(name, double, texts)
    assert (theirs[0] - theirs[1]).abs().max() > 0.001
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("k", "suffix"), [(4, True), (4, False), (8, True)])
def test_with_prompts_features_and_gradients_equal_a_plain_pass(
    name: str, double: ImageTextModel, k: int, suffix: bool
) -> None:
    texts = texts_of((1, 2, 5, 17, 40, 1))
    table = (0.3 * torch.randn(2 * k, double.text_width, dtype=torch.float64)).requires_grad_()
    tower = TextTower(double.text)
    ours = tower.encode(tower.plan(texts, k, suffix=suffix), table if suffix else table[:k])
    theirs = library_features(name, double, texts, table, k, suffix)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(one.sin().sum(), table)[0] for one in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)
    assert (gradients[0][: k * (1 + suffix)].abs().sum(dim=1) > 0).all()


def test_each_text_encoder_has_the_savings_that_are_exact_for_it(name: str, loaded: ImageTextModel) -> None:
    unmasked = name in ("small-mobileclip", "small-siglip", "small-clipa")
    assert loaded.text.format.savings == (EVERY[3:] if unmasked else EVERY)
    assert loaded.activation == {
        "small-clip-quickgelu": "quickgelu", "small-siglip": "gelu-tanh"
    }.get(name, "gelu")  # fmt: skip


def test_scale_bias_name_and_format(name: str, file: Path, loaded: ImageTextModel) -> None:
    assert loaded.name == f"{name}@{name}"
    assert loaded.logit_scale == pytest.approx(loaded.model.logit_scale.exp().item())
    bias = loaded.model.logit_bias
    assert loaded.logit_bias == (0 if bias is None else pytest.approx(bias.item()))
    form = load_text_format(f"open_clip:{name}@{file}")
    assert (form.positions, form.mask) == (loaded.text.format.positions, loaded.text.format.mask)


def test_prompts_that_do_not_fit_are_refused_with_how_many_do(name: str, loaded: ImageTextModel) -> None:
    tower = TextTower(loaded.text)
    if name == "small-pe":  # 32 positions, as PE-Core's
        with pytest.raises(FeatxError, match="32 positions.*at most 14"):
            tower.plan(["star"], 16)
        assert len(tower.plan(["star"], 14)) == 1
    else:
        assert len(tower.plan(["star"], 16)) == 1


def test_a_plain_path_of_a_gelu_checkpoint_is_refused_with_its_architecture(tmp_path: Path) -> None:
    import open_clip

    model = open_clip.create_model("ViT-S-32-alt")
    file = tmp_path / "mine.pt"
    torch.save(model.state_dict(), file)
    with pytest.raises(
        FeatxError, match=re.escape(f"if GELU, --model open_clip:ViT-S-32-alt@{file}")
    ) as refused:
        load_model(str(file))
    assert "\n" not in str(refused.value)
    of_several_gpus = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": of_several_gpus}, file)
    with pytest.raises(FeatxError, match=re.escape(f"--model open_clip:ViT-S-32-alt@{file}")):
        load_model(str(file))
    loaded = load_model(f"open_clip:ViT-S-32-alt@{file}")
    assert (loaded.activation, loaded.name) == ("gelu", "ViT-S-32-alt@mine")


def test_architectures_are_recognised_by_their_sizes() -> None:
    import open_clip

    for name in ("ViT-B-16", "ViT-B-32", "ViT-S-16"):
        with torch.device("meta"):
            model = open_clip.CLIP(**open_clip.get_model_config(name))
        assert name in matching_architectures(model.state_dict())


def test_weights_of_another_size_are_refused(name: str, file: Path, tmp_path: Path) -> None:
    state = torch.load(file)
    key = "visual.positional_embedding"
    torch.save(state | {key: torch.zeros(26, 32)}, tmp_path / "larger.pt")  # open_clip would interpolate
    with pytest.raises(FeatxError, match=f"has 26 positions in '{key}', this architecture 17"):
        load_model(f"open_clip:{name}@{tmp_path / 'larger.pt'}")
    del state["logit_scale"]
    torch.save(state, tmp_path / "less.pt")
    with pytest.raises(FeatxError, match="does not fit this architecture.*logit_scale") as refused:
        load_model(f"open_clip:{name}@{tmp_path / 'less.pt'}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ViT-B-61@x", "no architecture 'ViT-B-61'; did you mean"),
        ("ViT-B-16", "names no weights; give open_clip:ARCHITECTURE@PRETRAINED"),
        ("ViT-B-16@nothing", "neither weights that open_clip knows of ViT-B-16"),
        ("ViT-B-16@laion400m_e32=nowhere.pt", "no such file: nowhere.pt"),
        ("ViT-B-16@openai", "trained with QuickGELU.*give --model open_clip:ViT-B-16-quickgelu@openai"),
        ("ViT-B-16@laion400m_e32", "offline nothing is downloaded; fetch it elsewhere with: hf download"),
        ("ViT-B-16-SigLIP@webli", "timm/ViT-B-16-SigLIP is not here, and offline"),
        ("coca_ViT-B-32@laion2b_s13b_b90k", "a class token"),
        ("xlm-roberta-base-ViT-B-32@laion5b_s13b_b90k", "text encoder is xlm-roberta-base of transformers"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(source: str, message: str) -> None:
    with pytest.raises(FeatxError, match=message) as refused:
        load_model(f"open_clip:{source}")
    assert "\n" not in str(refused.value)


def test_a_file_whose_preprocessing_cannot_be_told_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pt").touch()
    with pytest.raises(FeatxError, match="differ in how pictures are prepared.*@PRETRAINED=FILE"):
        load_model(f"open_clip:ViT-L-14@{tmp_path / 'x.pt'}")
