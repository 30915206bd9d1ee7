"""Every embedder passes the same few tests; the real default model takes part where it is."""

import os
from pathlib import Path

import numpy as np
import pytest

from services.common.errors import ConfigurationError
from services.common.settings import KnowledgeSettings, Settings
from services.knowledge.embedder import (
    DEFAULT_MODEL,
    MAX_TOKENS,
    OnnxEmbedder,
    open_embedder,
    prepare_embedder,
)
from services.knowledge.fake import HashEmbedder
from services.knowledge.protocol import Embedder


@pytest.fixture(scope="module")
def default_model() -> OnnxEmbedder:
    settings = Settings()
    folder = settings.cache / "models" / DEFAULT_MODEL
    if not (folder / "tokenizer.json").exists() and not os.environ.get("CI"):
        pytest.skip(f"{DEFAULT_MODEL} is not in the cache; `nesycd setup` or CI=1 fetches it")
    return open_embedder(settings)


@pytest.fixture(params=["hash", "default"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    return HashEmbedder() if request.param == "hash" else request.getfixturevalue("default_model")


def test_vectors_are_float32_of_length_one_in_order(embedder: Embedder) -> None:
    texts = ["How many apples?", "", "word " * 2000, "\x00 日本 😀", "How many apples?"]
    vectors = embedder.embed(texts)
    assert vectors.shape == (5, embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert vectors[0] @ vectors[4] > 0.999
    for text, vector in zip(texts, vectors, strict=True):
        assert embedder.embed([text])[0] @ vector > 0.999


def test_no_texts_give_no_vectors(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_like_texts_are_nearer_than_unlike_ones(embedder: Embedder) -> None:
    near, like, unlike = embedder.embed(
        ["How many apples has Tom?", "Tom has how many apples left?", "Which month follows June?"]
    )
    assert near @ like > near @ unlike + 0.2


def test_an_embedder_says_what_it_is(embedder: Embedder) -> None:
    assert embedder.model_id
    assert len(embedder.checksum) == 64


def test_hash_embedders_of_two_seeds_differ() -> None:
    assert HashEmbedder(seed=1).checksum != HashEmbedder(seed=2).checksum


def test_the_default_model_is_the_pinned_one(default_model: OnnxEmbedder) -> None:
    assert default_model.dimension == 384
    assert default_model.checksum.startswith("8199be6f")
    assert default_model.model_id == DEFAULT_MODEL


def test_long_texts_are_cut(default_model: OnnxEmbedder) -> None:
    head = "apple " * (MAX_TOKENS - 2)
    vectors = default_model.embed([head, head + "zebra " * 50])
    assert vectors[0] @ vectors[1] > 0.9999


def test_a_local_folder_serves_as_embedder(default_model: OnnxEmbedder, tmp_path: Path) -> None:
    source = Settings().cache / "models" / DEFAULT_MODEL
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").symlink_to(source / "model.onnx")
    (tmp_path / "tokenizer.json").symlink_to(source / "tokenizer.json")
    settings = Settings(knowledge=KnowledgeSettings(embedder=str(tmp_path)))
    assert prepare_embedder(settings) == tmp_path
    local = open_embedder(settings)
    assert local.checksum == default_model.checksum
    assert local.embed(["a"]) == pytest.approx(default_model.embed(["a"]), abs=1e-5)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        OnnxEmbedder(tmp_path)
    assert (
        caught.value.message
        == f"embedder folder {tmp_path} holds no model.onnx or onnx/model.onnx."
    )


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(ConfigurationError, match=r"holds no tokenizer\.json\.$"):
        OnnxEmbedder(tmp_path)


def test_a_broken_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json is not a tokenizer: "):
        OnnxEmbedder(tmp_path)


@pytest.mark.usefixtures("default_model")
def test_a_broken_model_is_refused(tmp_path: Path) -> None:
    source = Settings().cache / "models" / DEFAULT_MODEL
    (tmp_path / "tokenizer.json").symlink_to(source / "tokenizer.json")
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ConfigurationError, match=r"model\.onnx is not an ONNX model: ") as caught:
        OnnxEmbedder(tmp_path)
    assert "\n" not in caught.value.message


def test_a_name_that_is_neither_folder_nor_hub_id_is_refused() -> None:
    settings = Settings(knowledge=KnowledgeSettings(embedder=str(Path("/no/such/folder/here"))))
    with pytest.raises(ConfigurationError, match="'/no/such/folder/here' is ") as caught:
        prepare_embedder(settings)
    assert "\n" not in caught.value.message
