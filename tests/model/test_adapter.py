"""An adapter holds what is learned and nothing else, and its file says what it belongs to."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from featx.errors import FeatxError
from featx.model.adapter import Adapter, AdapterHeader, load_adapter, read_header, save_adapter
from featx.model.adapter_config import AdapterConfig
from featx.model.temporal import TemporalTransformer
from featx.store.schema import Fingerprint

PRINT = Fingerprint(model="m", weights_sha256="0" * 64, input_size=64, width=64)


def header(config: AdapterConfig) -> AdapterHeader:
    return AdapterHeader(
        config=config,
        fingerprint=PRINT,
        model_source="tiny",
        classes={"a": "climb stairs"},
        settings={"lr": 1e-4},
    )


@pytest.mark.parametrize(
    ("layers", "positions", "count"),
    [
        (0, None, 39_424),  # 77 x 512, and the plain mean
        (0, True, 47_616),  # and 16 x 512 positions
        (1, None, 3_200_000),
        (1, False, 3_191_808),
        (2, None, 6_352_384),
        (3, None, 9_504_768),
        (4, None, 12_657_152),
    ],
)
def test_parameter_counts_are_the_papers(layers: int, positions: bool | None, count: int) -> None:
    config = AdapterConfig(prompts=16, layout="positional", layers=layers, positions=positions)
    assert Adapter(config, 512, 512).parameter_count() == count


def positioned(adapter: Adapter) -> torch.Tensor:
    assert isinstance(adapter.temporal, TemporalTransformer) and adapter.temporal.positions is not None
    return adapter.temporal.positions


@torch.no_grad()
def test_without_layers_a_video_is_the_plain_mean_unless_positions_are_asked_for() -> None:
    clips = torch.randn(3, 16, 64)
    plain = Adapter(AdapterConfig(prompts=4, layers=0), 32, 64)
    mean = clips.double().mean(dim=1)
    expected = (mean / mean.norm(dim=-1, keepdim=True)).float()
    torch.testing.assert_close(plain.encode_clips(clips), expected)
    moved = Adapter(AdapterConfig(prompts=4, layers=0, positions=True), 32, 64)
    positioned(moved).copy_(10 * torch.randn(16, 64))
    mean = (clips + positioned(moved)).mean(dim=1)
    torch.testing.assert_close(moved.encode_clips(clips), mean / mean.norm(dim=-1, keepdim=True))
    assert not torch.allclose(moved.encode_clips(clips), expected, atol=0.1)


@torch.no_grad()
def test_layers_without_positions_do_not_know_the_order_of_frames() -> None:
    clips = torch.randn(2, 16, 64)
    shuffled = clips[:, torch.randperm(16)]
    for positions, same in ((False, True), (True, False)):
        adapter = Adapter(AdapterConfig(prompts=0, layers=1, positions=positions), 32, 64)
        if positions:
            positioned(adapter).copy_(torch.randn(16, 64))
        outputs = adapter.encode_clips(clips), adapter.encode_clips(shuffled)
        assert torch.allclose(*outputs, atol=1e-5) == same


@pytest.mark.parametrize(("prompts", "layers", "learned"), [(4, 0, True), (0, 1, True), (0, 0, False)])
def test_a_file_from_before_positions_were_a_choice_is_read_as_it_was(
    tmp_path: Path, prompts: int, layers: int, learned: bool
) -> None:
    """Then they were learned wherever anything was, also without layers."""
    file = tmp_path / "adapter.safetensors"
    adapter = Adapter(AdapterConfig(prompts=prompts, layers=layers, positions=learned), 32, 64)
    written = header(adapter.config).model_dump()
    del written["config"]["positions"]
    written["settings"]["layers"] = layers
    save_file(dict(adapter.state_dict()), str(file), {"featx": json.dumps(written)})
    loaded, read = load_adapter(file)
    assert read.config.positions == learned and read.settings["positions"] == learned
    clips = torch.randn(2, 16, 64)
    assert torch.equal(loaded.encode_clips(clips), adapter.encode_clips(clips))


@pytest.mark.parametrize(
    ("prompts", "layers", "positions"),
    [(16, 2, None), (4, 0, None), (4, 0, True), (0, 1, None), (4, 1, False), (0, 0, None)],
)
def test_file_holds_the_learned_tensors_and_gives_them_back(
    tmp_path: Path, prompts: int, layers: int, positions: bool | None
) -> None:
    file = tmp_path / "adapter.safetensors"
    adapter = Adapter(AdapterConfig(prompts=prompts, layers=layers, positions=positions), 32, 64)
    save_adapter(file, adapter, header(adapter.config))
    loaded, read = load_adapter(file)
    assert read == header(adapter.config)
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in adapter.state_dict().items())
    assert file.stat().st_size < 4 * adapter.parameter_count() + 6000


def test_zero_shot_learns_nothing() -> None:
    adapter = Adapter(AdapterConfig(prompts=0, layers=0), 32, 64)
    assert adapter.parameter_count() == 0
    assert adapter.config.text_of("cat") == "a video of a cat"
    clips = torch.randn(2, 16, 64)
    torch.testing.assert_close(
        adapter.encode_clips(clips), torch.nn.functional.normalize(clips.mean(1), dim=-1)
    )


def test_class_names_go_in_raw_between_prompts() -> None:
    assert AdapterConfig(prompts=4).text_of("climb stairs") == "climb stairs"


def test_a_file_that_is_no_adapter_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"nonsense")
    with pytest.raises(FeatxError, match="cannot read the adapter"):
        read_header(file)
    with pytest.raises(FeatxError, match="heads=8"):
        Adapter(AdapterConfig(), 32, 60)


def test_a_header_of_another_version_is_an_error_that_says_so(tmp_path: Path) -> None:
    file = tmp_path / "adapter.safetensors"
    adapter = Adapter(AdapterConfig(prompts=1, layers=0), 32, 64)
    of_tomorrow = header(adapter.config).model_dump()
    of_tomorrow["config"]["colour"] = "red"
    save_file(dict(adapter.state_dict()), str(file), {"featx": json.dumps(of_tomorrow)})
    with pytest.raises(FeatxError, match=r"config.colour: .*make it again with featx train"):
        read_header(file)
