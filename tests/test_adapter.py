"""An adapter holds what is learned and nothing else, and its file says what it belongs to."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from featx.errors import FeatxError
from featx.model.adapter import Adapter, AdapterConfig, AdapterHeader, load_adapter, read_header, save_adapter
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
    ("layers", "count"), [(0, 47_616), (1, 3_200_000), (2, 6_352_384), (3, 9_504_768), (4, 12_657_152)]
)
def test_parameter_counts_are_the_papers(layers: int, count: int) -> None:
    adapter = Adapter(AdapterConfig(prompts=16, layout="positional", layers=layers), 512, 512)
    assert adapter.parameter_count() == count


@pytest.mark.parametrize(("prompts", "layers"), [(16, 2), (4, 0), (0, 1), (0, 0)])
def test_file_holds_the_learned_tensors_and_gives_them_back(
    tmp_path: Path, prompts: int, layers: int
) -> None:
    file = tmp_path / "adapter.safetensors"
    adapter = Adapter(AdapterConfig(prompts=prompts, layers=layers), 32, 64)
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
