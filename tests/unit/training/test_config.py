"""Configurations: what is refused, and docs/training.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from services.common.errors import ConfigurationError
from services.common.settings import KnowledgeSettings, ReasonerSettings, StudentSettings
from tests.field_tables import DOCS, assert_documented, table
from training import config as configs
from training.config import Config, load_config

ROOT = Path(__file__).parents[3]

SMALLEST = """
name = "trial"
[data]
train = [{profile = "bbh", path = "train.jsonl"}]
[teach.teacher]
kind = "recorded"
paths = ["rationales.jsonl"]
[distil.teacher]
kind = "scripted"
"""


def _load(folder: Path, text: str) -> Config:
    path = folder / "run.toml"
    path.write_text(text)
    return load_config(path)


def test_the_smallest_configuration_has_the_published_hyper_parameters(tmp_path: Path) -> None:
    config = _load(tmp_path, SMALLEST)
    assert (config.fit_sp.epochs, config.fit_se.epochs) == (10, 3)
    assert (config.fit_sp.rank, config.fit_sp.alpha) == (32, 64)
    assert config.fit_sp.target_modules == "all-linear"
    assert config.fit_se.batch_size == 8
    assert config.fit_sp.warmup_share == 0.1
    assert config.fit_sp.max_tokens == 4096
    assert (config.distil.temperature, config.distil.max_new_tokens) == (0.8, 1024)
    assert config.mix.task_weights == {"AD": 1, "AP": 1, "DC": 1}
    assert config.reasoner.gate_threshold == 0.68
    assert config.teach.samples == 1


def test_paths_start_at_the_file_s_own_folder(tmp_path: Path) -> None:
    home = Path.home()
    text = SMALLEST.replace("rationales.jsonl", "~/rationales.jsonl") + (
        '[student]\nmodel = "./my-model"\nadapters_dir = "../adapters"\n'
        '[knowledge]\nembedder = "owner/encoder"\n'
    )
    config = _load(tmp_path, text)
    assert config.data.train[0].path == tmp_path / "train.jsonl"
    assert config.teach.teacher.paths == (home / "rationales.jsonl",)  # type: ignore[union-attr]
    assert config.student.model == str(tmp_path / "my-model")
    assert config.student.adapters_dir == tmp_path.parent / "adapters"
    assert config.knowledge.embedder == "owner/encoder"


def test_the_environment_does_not_change_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _load(tmp_path, SMALLEST)
    monkeypatch.setenv("NESYCD_STUDENT__MODEL", "owner/other")
    monkeypatch.setenv("NESYCD_REASONER__GATE_THRESHOLD", "0.1")
    monkeypatch.setenv("NESYCD_KNOWLEDGE__LEXICAL_WEIGHT", "1")
    assert _load(tmp_path, SMALLEST) == before


def _replaced(old: str, new: str) -> str:
    assert old in SMALLEST
    return SMALLEST.replace(old, new)


ENDPOINT = 'kind = "endpoint"\nbase_url = "http://teacher/v1"\nmodel = "m"\n'
RECORDED = 'kind = "recorded"\npaths = ["rationales.jsonl"]\n'
SCRIPTED = 'kind = "scripted"\n'

BAD = {
    "no name": (_replaced('name = "trial"', ""), "name: Field required"),
    "a name that is no folder": (
        _replaced('"trial"', '"a/b"'),
        "name: must be 1 to 128 letters, digits, dots, hyphens or underscores, got 'a/b'",
    ),
    "an unknown section": (f"{SMALLEST}[fit]\n", "fit: Extra inputs are not permitted"),
    "an unknown option": (
        f"{SMALLEST}[mine]\nfold = 2\n",
        "mine.fold: Extra inputs are not permitted",
    ),
    "a key in the file": (
        _replaced(RECORDED, f'{ENDPOINT}api_key = "sk-secret"\n'),
        "teach.teacher.api_key: Extra inputs are not permitted",
    ),
    "no data": (
        _replaced('[data]\ntrain = [{profile = "bbh", path = "train.jsonl"}]', ""),
        "data: Field required",
    ),
    "no train questions": (
        _replaced('[{profile = "bbh", path = "train.jsonl"}]', "[]"),
        "data.train: Tuple should have at least 1 item after validation, not 0, got []",
    ),
    "an unknown benchmark": (
        _replaced('"bbh"', '"imagenet"'),
        (
            "data.train.0.profile: Input should be 'bbh', 'gsm8k', 'agieval', 'arc_easy', "
            "'arc_challenge' or 'svamp', got 'imagenet'"
        ),
    ),
    "no place": (
        _replaced(', path = "train.jsonl"', ""),
        "data.train.0: name either path or hub, and not both",
    ),
    "two places": (
        _replaced("path =", 'hub = "owner/data", path ='),
        "data.train.0: name either path or hub, and not both",
    ),
    "a revision of a file": (
        _replaced('"train.jsonl"', '"train.jsonl", revision = "main"'),
        "data.train.0: revision: only a dataset of the hub has one, got 'main'",
    ),
    "no examples": (
        _replaced('"train.jsonl"', '"train.jsonl", max_examples = 0'),
        "data.train.0.max_examples: Input should be greater than or equal to 1, got 0",
    ),
    "all questions kept out": (
        _replaced("[data]", "[data]\ndev_share = 1.0"),
        "data.dev_share: Input should be less than 1, got 1.0",
    ),
    "an unknown teacher": (
        _replaced('"recorded"', '"oracle"'),
        (
            "teach.teacher: Input tag 'oracle' found using 'kind' does not match any of the "
            "expected tags: 'recorded', 'endpoint', 'local', 'scripted'"
        ),
    ),
    "a teacher's part": (
        _replaced(RECORDED, ENDPOINT.replace("http", "ftp")),
        "teach.teacher.base_url: String should match pattern 'https?://.+', got 'ftp://teacher/v1'",
    ),
    "samples that are all the same": (
        f"{_replaced(RECORDED, SCRIPTED)}[teach]\nsamples = 2\n",
        "teach: samples = 2 are all the same at temperature = 0",
    ),
    "knowledge from a record": (
        _replaced(SCRIPTED, RECORDED),
        "distil.teacher: recorded rationales cannot write knowledge",
    ),
    "one fold": (f"{SMALLEST}[mine]\nfolds = 1\n", "mine: folds = 1 leaves nothing to train on"),
    "a rank that no engine has": (
        f"{SMALLEST}[fit_sp]\nepochs = 1\nrank = 7\n",
        "fit_sp.rank: Input should be 8, 16, 32 or 64, got 7",
    ),
    "a rank above the service's": (
        f"{SMALLEST}[fit_sp]\nepochs = 1\nrank = 64\n[fit_se]\nepochs = 1\nrank = 64\n",
        "fit_sp.rank: 64 is above student.max_lora_rank = 32, so the service could not serve it",
    ),
    "another rank for the same weights": (
        f"{SMALLEST}[fit_se]\nepochs = 1\nrank = 16\n",
        "fit_se: S_E starts from S_P, so rank and alpha are those of fit_sp",
    ),
    "batches that do not divide": (
        f"{SMALLEST}[fit_sp]\nepochs = 1\nbatch_size = 6\n",
        "fit_sp: micro_batch_size = 4 of processes = 1 does not divide batch_size = 6",
    ),
    "no epochs": (
        f"{SMALLEST}[fit_sp]\nepochs = 0\n",
        "fit_sp.epochs: Input should be greater than 0, got 0",
    ),
    "no number": (
        f"{SMALLEST}[fit_sp]\nepochs = 1\nlearning_rate = nan\n",
        "fit_sp.learning_rate: Input should be a finite number, got nan",
    ),
    "an unknown training task": (
        f"{SMALLEST}[mix.task_weights]\nXX = 1\n",
        "mix.task_weights.XX: Input should be 'AD', 'AP' or 'DC', got 'XX'",
    ),
    "a weight below 0": (
        f"{SMALLEST}[mix.task_weights]\nAD = -1\nAP = 1\n",
        "mix: task_weights: a weight is below 0",
    ),
    "no weight at all": (
        f"{SMALLEST}[mix.task_weights]\nAD = 0\nAP = 0\n",
        "mix: task_weights: all are 0, so nothing is left to fit on",
    ),
    "an unknown system": (f'{SMALLEST}[evaluate]\nsystems = ["nesy"]\n', "evaluate.systems: "),
    "another store": (
        f'{SMALLEST}[knowledge]\nstore = "neo4j"\n',
        "knowledge.store: a run keeps its knowledge in its own folder",
    ),
    "a release that is no name": (
        f'{SMALLEST}[package]\nrelease = ""\n',
        "package.release: must be 1 to 128 letters, digits, dots, hyphens or underscores, got ''",
    ),
}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named_with_file_field_and_value(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        _load(tmp_path, text)
    [line] = raised.value.message.splitlines()
    assert line.startswith(f"{tmp_path / 'run.toml'}: {said}")
    assert line.endswith(said) or said.endswith(": ")


def test_everything_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        _load(tmp_path, f"{SMALLEST}[mine]\nfolds = 1\nmax_new_tokens = 0\n[fit_sp]\n")
    assert [line.split(": ")[1] for line in raised.value.message.splitlines()] == [
        "fit_sp.epochs",
        "mine.max_new_tokens",
    ]


def test_a_secret_that_is_in_the_wrong_place_is_not_shown(tmp_path: Path) -> None:
    text, _ = BAD["a key in the file"]
    with pytest.raises(ConfigurationError) as raised:
        _load(tmp_path, text)
    assert "sk-secret" not in raised.value.message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name = ", " is no TOML: "),
        (b"name = 'a'\nname = 'b'", " is no TOML: "),
        (b"\xff", " is no TOML: "),
        (None, " cannot be read: No such file or directory"),
    ],
)
def test_what_is_no_toml_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "run.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as raised:
        load_config(path)
    assert raised.value.message.startswith(f"{path}{said}")


# docs/training.md

SERVICE = (StudentSettings, ReasonerSettings, KnowledgeSettings)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections in a field's type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not None:
        for inner in get_args(annotation):
            yield from _models(inner)


SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("Top level", Config),
    ("`[data]`", configs.DataConfig),
    ("`[[data.train]]` and `[[data.test]]`", configs.Source),
    ("`[teach]`", configs.TeachConfig),
    ("`[fit_sp]` and `[fit_se]`", configs.FitConfig),
    ("`[mine]`", configs.MineConfig),
    ("`[distil]`", configs.DistilConfig),
    ("`[mix]`", configs.MixConfig),
    ("`[evaluate]`", configs.EvaluateConfig),
    ("`[package]`", configs.PackageConfig),
    ('A teacher of `kind = "recorded"`', configs.RecordedTeacher),
    ('A teacher of `kind = "endpoint"`', configs.EndpointTeacher),
    ('A teacher of `kind = "local"`', configs.LocalTeacher),
    ('A teacher of `kind = "scripted"`', configs.ScriptedTeacher),
)


def _reachable(section: type[BaseModel]) -> set[type[BaseModel]]:
    inner = {one for field in section.model_fields.values() for one in _models(field.annotation)}
    return {section}.union(*map(_reachable, inner))


def test_the_documentation_leaves_no_section_out() -> None:
    assert {section for _, section in SECTIONS} == _reachable(Config) - set(SERVICE)


def _tables() -> str:
    return "\n".join(
        f"### {heading}\n\n{section.__doc__}\n\n{_table(section)}" for heading, section in SECTIONS
    )


def _table(section: type[BaseModel]) -> str:
    shown = {name: field for name, field in section.model_fields.items() if name != "kind"}
    return table("option", shown)


def test_the_documentation_lists_every_option_as_it_is() -> None:
    assert_documented(DOCS / "training.md", _tables())


OPTIONS = {
    f"{section.__name__}.{name}": field
    for _, section in SECTIONS
    for name, field in section.model_fields.items()
    if name != "kind"
}


@pytest.mark.parametrize("field", OPTIONS.values(), ids=OPTIONS)
def test_every_option_says_what_it_means(field: FieldInfo) -> None:
    assert field.description
    assert field.description.endswith(".")
    assert "|" not in field.description
