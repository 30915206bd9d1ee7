"""LoRA adapters on disk: `<adapters_dir>/NAME/VERSION/` with PEFT's two files in each.

Reads folders only; no engine, no torch. What an engine could not serve is found here,
before its weights are touched, with a reason that names the value in the way. The list of
refused features is vLLM's (`PEFTHelper`, 0.32); shapes come from the safetensors header.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.common.errors import AdapterNotFoundError, AdapterRefusedError, ConfigurationError
from services.student.protocol import AdapterInfo

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# Initialisations that only set the first weights; the others change the base model as well.
_PLAIN_INITS = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})
_UNSERVED_FEATURES = (
    "alora_invocation_tokens",
    "layer_replication",
    "lora_bias",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
)
_MODULE = re.compile(r"\.layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)\.lora_([AB])\.weight$")
_PEFT_PREFIX = "base_model.model."
_READS_HIDDEN = frozenset({"q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"})
_WRITES_HIDDEN = frozenset({"o_proj", "down_proj"})
_MOST_NAMES_LISTED = 10
_LARGEST_HEADER = 100_000_000  # the limit of the safetensors format


@dataclass(frozen=True, slots=True)
class BaseShape:
    """What an adapter must fit.

    Attributes:
        hidden_size: width of the base model.
        layers: its number of layers.
        weights: shape (out, in) of each weight by name; empty when the files are not at hand.
            Without them an adapter for a model of the same width but other attention heads
            passes, and vLLM 0.32 serves it without a word.
    """

    hidden_size: int
    layers: int
    weights: Mapping[str, Sequence[int]] = field(default_factory=dict)


def read_weight_shapes(model: Path) -> dict[str, list[int]]:
    """The shape of every weight in a model's folder; empty when there is no such folder."""
    shapes: dict[str, list[int]] = {}
    for path in model.glob("model*.safetensors"):
        try:
            shapes |= _read_shapes(path)
        except _Refusal as error:
            raise ConfigurationError(f"student.model: {path}: {error}") from error
    return shapes


@dataclass(frozen=True, slots=True)
class AdapterFolder:
    """One version of one adapter.

    Attributes:
        rank: LoRA rank, 0 when the configuration could not be read.
        refusal: why it cannot be served; "" when it can.
    """

    name: str
    version: str
    path: Path
    rank: int = 0
    refusal: str = ""

    @property
    def ref(self) -> str:
        """The exact reference, "name@version"."""
        return f"{self.name}@{self.version}"

    @property
    def is_complete(self) -> bool:
        """Both files are there now."""
        return (self.path / CONFIG_FILE).is_file() and (self.path / WEIGHTS_FILE).is_file()

    def info(self, *, loaded: bool) -> AdapterInfo:
        """The public record of this folder."""
        return AdapterInfo(self.name, self.version, self.rank, loaded, self.refusal)


class AdapterCatalog:
    """The adapters of one folder as of the last scan. Without a folder it is empty."""

    def __init__(self, folder: Path | None, *, max_rank: int, base: BaseShape | None) -> None:
        self._folder = folder.expanduser() if folder else None
        self._max_rank = max_rank
        self._base = base
        self._found: dict[str, AdapterFolder] = {}

    def scan(self) -> tuple[AdapterFolder, ...]:
        """Reads the folder anew: sorted by name, then newest version first."""
        found = sorted(self._read(), key=lambda adapter: _version_key(adapter.version))
        found.reverse()
        found.sort(key=lambda adapter: adapter.name)
        self._found = {adapter.ref: adapter for adapter in found}
        return tuple(found)

    def find(self, ref: str) -> AdapterFolder:
        """The adapter referred to: that version, or the newest one that can be served.

        Raises:
            AdapterNotFoundError: no such name or version as of the last scan.
            AdapterRefusedError: it is there, but cannot be served.
        """
        name, _, version = ref.partition("@")
        versions = [found for found in self._found.values() if found.name == name]
        if version:
            versions = [found for found in versions if found.version == version]
        if not versions:
            raise AdapterNotFoundError.of_field("adapter", f"{ref[:128]!r} is not {self._known()}")
        served = next((found for found in versions if not found.refusal), None)
        if served is None:
            newest = versions[0]
            raise AdapterRefusedError.of_field("adapter", f"{newest.ref!r}: {newest.refusal}")
        return served

    def _known(self) -> str:
        if self._folder is None:
            return "here: this service has no adapters (student.adapters_dir)"
        if not self._found:
            return "here: the adapter folder is empty"
        names = sorted(self._found, key=lambda ref: bool(self._found[ref].refusal))
        more = len(names) - _MOST_NAMES_LISTED
        listed = ", ".join(names[:_MOST_NAMES_LISTED])
        return f"one of {listed}" + (f" and {more} more" if more > 0 else "")

    def _read(self) -> Iterator[AdapterFolder]:
        if self._folder is None or not self._folder.is_dir():
            return
        for path in self._folder.glob("*/*"):
            name, version = path.parent.name, path.name
            # Hidden folders are uploads in progress and the links of mounted volumes.
            if name.startswith(".") or version.startswith(".") or not path.is_dir():
                continue
            if not (_SAFE_NAME.fullmatch(name) and _SAFE_NAME.fullmatch(version)):
                refusal = "its name has other characters than letters, digits, '.', '_' and '-'"
                yield AdapterFolder(name, version, path, refusal=refusal)
                continue
            rank, refusal = read_adapter(path, max_rank=self._max_rank, base=self._base)
            yield AdapterFolder(name, version, path, rank, refusal)


def _version_key(version: str) -> list[tuple[int, int, str]]:
    """Natural order: numbers by value and before words, so v2 < v10 and 1.9 < 1.10."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.findall(r"[0-9]+|[^0-9]+", version)
    ]


class _Refusal(Exception):  # noqa: N818  # carries the reason to `read_adapter`, no further
    pass


def read_adapter(path: Path, *, max_rank: int, base: BaseShape | None) -> tuple[int, str]:
    """Reads an adapter's rank (0 if unreadable) and the reason it cannot be served ("" if it can).

    `base` is None when the base model is not known; then shapes are not compared.
    """
    rank = 0
    try:
        config = _read_config(path / CONFIG_FILE)
        rank = _read_rank(config)
        _check_config(config, max_rank=max_rank)
        _check_shapes(_read_shapes(path / WEIGHTS_FILE), base)
    except _Refusal as refusal:
        return rank, str(refusal)
    return rank, ""


def config_refusal(config: dict[str, object], *, max_rank: int) -> str:
    """Why no adapter of this configuration could be served; "" if one could. Reads no files."""
    try:
        _check_config(config, max_rank=max_rank)
    except _Refusal as refusal:
        return str(refusal)
    return ""


def _read_config(path: Path) -> dict[str, object]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _Refusal(f"{path.name} is missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise _Refusal(f"{path.name} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise _Refusal(f"{path.name} holds no JSON object")
    return config


def _read_rank(config: dict[str, object]) -> int:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise _Refusal(f"peft_type is {kind!r}, must be 'LORA'")
    rank = config.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise _Refusal(f"r (the rank) is {rank!r}, must be a whole number from 1")
    return rank


def _check_config(config: dict[str, object], *, max_rank: int) -> None:
    pattern = config.get("rank_pattern") or {}
    if not isinstance(pattern, dict) or not all(isinstance(r, int) for r in pattern.values()):
        raise _Refusal(f"rank_pattern is {pattern!r}, must map module names to ranks")
    highest = max([_read_rank(config), *pattern.values()])
    if highest > max_rank:
        raise _Refusal(f"rank {highest} is above the limit of {max_rank} (student.max_lora_rank)")
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool):
        raise _Refusal(f"lora_alpha is {alpha!r}, must be a number")
    bias = config.get("bias", "none")
    if bias != "none":
        raise _Refusal(f"bias is {bias!r}, must be 'none'")
    if modules := config.get("modules_to_save"):
        raise _Refusal(f"modules_to_save is {modules!r}; whole modules cannot be served")
    init = config.get("init_lora_weights", True)
    if isinstance(init, str) and init.lower() not in _PLAIN_INITS:
        raise _Refusal(f"init_lora_weights is {init!r}, which changes the base model as well")
    for feature in _UNSERVED_FEATURES:
        if value := config.get(feature):
            raise _Refusal(f"{feature} is {value!r}, which cannot be served")


def _read_shapes(path: Path) -> dict[str, list[int]]:
    """Shapes by tensor name, from the header: 8 bytes of length (little endian), then JSON."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length < _LARGEST_HEADER:
                raise _Refusal(f"{path.name} is no safetensors file")
            header = json.loads(file.read(length))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        shapes = {name: [int(n) for n in entry["shape"]] for name, entry in tensors.items()}
        end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise _Refusal(f"{path.name} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _Refusal(f"{path.name} cannot be read: {error}") from error
    if size < 8 + length + end:
        raise _Refusal(f"{path.name} is cut short: {size} bytes of {8 + length + end}")
    if not shapes:
        raise _Refusal(f"{path.name} holds no tensors")
    return shapes


def _check_shapes(shapes: dict[str, list[int]], base: BaseShape | None) -> None:
    for name, shape in shapes.items():
        if "lora_" not in name:
            raise _Refusal(f"{WEIGHTS_FILE} holds {name}, which is no LoRA weight")
        match = _MODULE.search(name)
        if base is None or match is None or "vision" in name or "visual" in name:
            continue
        layer, module, side = int(match[1]), match[2], match[3]
        if layer >= base.layers:
            raise _Refusal(
                f"it has weights for layer {layer}, the base model has {base.layers} layers"
            )
        of_base = base.weights.get(f"{name[: match.end(2)].removeprefix(_PEFT_PREFIX)}.weight")
        if of_base is not None:
            ours, theirs = (shape[-1], of_base[-1]) if side == "A" else (shape[0], of_base[0])
            if ours != theirs:
                raise _Refusal(
                    f"its {module} {'reads' if side == 'A' else 'writes'} {ours} numbers, "
                    f"the base model's {theirs}"
                )
        # lora_A has shape (rank, in), lora_B has shape (out, rank).
        width = None
        if side == "A" and module in _READS_HIDDEN:
            width = shape[-1]
        elif side == "B" and module in _WRITES_HIDDEN:
            width = shape[0]
        if width is not None and width != base.hidden_size:
            raise _Refusal(
                f"it was made for hidden size {width}, the base model has {base.hidden_size}"
            )
