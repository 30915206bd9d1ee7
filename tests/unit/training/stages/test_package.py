"""The stage that packs what the service is given."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from kb_loader.dump import read_dump
from services.common.errors import ConfigurationError
from services.common.settings import Settings
from services.student.adapters import AdapterCatalog
from tests.unit.training.stages.evaluation_jobs import config, job
from training.evaluation.sweep import Calibration
from training.stage import Job
from training.stages.package import STAGE, service_settings


def _job(tmp_path: Path, **changes: object) -> Job:
    made = job(tmp_path, STAGE, **changes)
    calibration = Calibration(threshold=0.5, questions=5, note="by hand")
    (made.inputs["calibrate"] / "thresholds.json").write_text(calibration.model_dump_json())
    return made


def test_the_adapter_the_dump_and_the_settings_come_out_together(tmp_path: Path) -> None:
    wanted = {"adapter": "apples", "version": "v7", "release": "apples-7"}
    made = _job(tmp_path, package=wanted)
    counts = STAGE.run(made)
    assert counts["adapter"] == "apples@v7"
    assert counts["rank"] == 8
    weights = made.folder / "adapters" / "apples" / "v7" / "adapter_model.safetensors"
    assert counts["adapter_bytes"] == weights.stat().st_size
    catalog = AdapterCatalog(made.folder / "adapters", max_rank=32, base=None)
    assert [found.refusal for found in catalog.scan()] == [""]
    dump = read_dump(made.folder / "dump")
    assert (dump.manifest.release, dump.rows, counts["entries"]) == ("apples-7", 3, 3)
    text = (made.folder / "README.md").read_text()
    assert "apples@v7" in text
    assert "Gate threshold 0.500: by hand." in text
    assert "nesycd kb load dump" in text


def test_run_again_it_gives_the_same(tmp_path: Path) -> None:
    made = _job(tmp_path)
    assert STAGE.run(made) == STAGE.run(made)


def test_a_shell_reads_the_settings_as_the_service_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _job(tmp_path, knowledge={"embedder": "an encoder's folder", "max_related": 3})
    STAGE.run(made)
    script = "set -a; . ./nesycd.env; env -0"
    done = subprocess.run(
        ["sh", "-c", script], cwd=made.folder, capture_output=True, text=True, check=True
    )
    for line in done.stdout.split("\0"):
        name, _, value = line.partition("=")
        if name.startswith("NESYCD_"):
            monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.reasoner.gate_threshold == 0.5
    assert settings.reasoner.default_max_new_tokens == 64
    assert settings.student.default_adapter == "nesycd@v1"
    assert settings.student.adapters_dir == Path("adapters")
    assert settings.knowledge.embedder == "an encoder's folder"
    assert settings.knowledge.max_related == 3


def test_answers_longer_than_the_services_limit_raise_it() -> None:
    found = service_settings(config(evaluate={"max_new_tokens": 2000}), 0.5)
    assert found["NESYCD_REASONER__MAX_NEW_TOKENS_LIMIT"] == "2000"
    assert found["NESYCD_REASONER__DEFAULT_MAX_NEW_TOKENS"] == "2000"


def test_an_adapter_that_could_not_be_served_is_refused(tmp_path: Path) -> None:
    made = _job(tmp_path)
    path = made.inputs["fit-se"] / "adapters" / "se" / "v1" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_dora": True}))
    with pytest.raises(ConfigurationError) as raised:
        STAGE.run(made)
    folder = made.folder / "adapters" / "nesycd" / "v1"
    assert raised.value.message == (
        f"{folder} could not be served: use_dora is True, which cannot be served"
    )


def test_a_run_on_bbh_says_so(tmp_path: Path) -> None:
    made = _job(tmp_path, data={"train": [{"profile": "bbh", "path": "bbh.jsonl"}]})
    STAGE.run(made)
    assert "BBH's train split was trained on" in (made.folder / "README.md").read_text()
