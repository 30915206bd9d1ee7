from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from services.common.errors import (
    AdapterNotFoundError,
    AdapterRefusedError,
    ConfigurationError,
    StudentUnavailableError,
)
from services.student.adapters import AdapterCatalog
from services.student.loaded_adapters import LoadedAdapter, LoadedAdapters
from tests.tiny_models import write_adapter


class Engine:
    """Remembers what it was told; refuses the adapters named in `bad`."""

    def __init__(self) -> None:
        self.dead = False
        self.held: dict[int, str] = {}
        self.added: list[tuple[str, int]] = []
        self.bad: set[str] = set()

    async def add(self, adapter: LoadedAdapter) -> None:
        await asyncio.sleep(0)
        if self.dead:
            raise StudentUnavailableError("the student's engine is dead")
        if adapter.folder.ref in self.bad:
            raise ValueError(f"{adapter.folder.path}: bad weights")
        self.held[adapter.number] = adapter.folder.ref
        self.added.append((adapter.folder.ref, adapter.number))

    async def remove(self, adapter: LoadedAdapter) -> None:
        del self.held[adapter.number]


@pytest.fixture
def engine() -> Engine:
    return Engine()


def adapters_of(
    folder: Path | None, engine: Engine, *, capacity: int = 4, default: str = ""
) -> LoadedAdapters:
    catalog = AdapterCatalog(folder, max_rank=32, base=None)
    return LoadedAdapters(catalog, engine, capacity=capacity, default=default)


async def use(adapters: LoadedAdapters, ref: str) -> str:
    async with adapters.use(ref) as adapter:
        return adapter.folder.ref if adapter else ""


async def test_the_first_use_loads_once_however_many_ask(tmp_path: Path, engine: Engine) -> None:
    write_adapter(tmp_path, "maths@v1")
    adapters = adapters_of(tmp_path, engine)
    assert await asyncio.gather(*(use(adapters, "maths") for _ in range(5))) == ["maths@v1"] * 5
    assert engine.added == [("maths@v1", 1)]


async def test_each_loading_is_counted_and_a_refused_one_is_not(
    tmp_path: Path, engine: Engine
) -> None:
    write_adapter(tmp_path, "maths@v1")
    write_adapter(tmp_path, "bad@v1")
    engine.bad = {"bad@v1"}
    adapters = adapters_of(tmp_path, engine)
    await use(adapters, "maths")
    await adapters.unload("maths")
    await adapters.load("maths")
    with pytest.raises(AdapterRefusedError):
        await use(adapters, "bad")
    assert adapters.loads == {"maths@v1": 2}


async def test_no_reference_is_the_bare_model_or_the_default(
    tmp_path: Path, engine: Engine
) -> None:
    write_adapter(tmp_path, "maths@v1")
    assert await use(adapters_of(tmp_path, engine), "") == ""
    assert await use(adapters_of(tmp_path, engine, default="maths"), "") == "maths@v1"


@pytest.mark.parametrize(
    ("default", "message"),
    [
        ("absent", "student.default_adapter: adapter: 'absent' is not one of bad@v1"),
        ("bad", "student.default_adapter: adapter: 'bad@v1': bias is 'all', must be 'none'"),
    ],
)
def test_a_default_that_cannot_be_served_stops_the_start(
    tmp_path: Path, engine: Engine, default: str, message: str
) -> None:
    write_adapter(tmp_path, "bad@v1", bias="all")
    with pytest.raises(ConfigurationError) as caught:
        adapters_of(tmp_path, engine, default=default)
    assert caught.value.message == message


async def test_an_unload_holds_until_the_next_load_which_uses_a_new_number(
    tmp_path: Path, engine: Engine
) -> None:
    write_adapter(tmp_path, "maths@v1")
    adapters = adapters_of(tmp_path, engine)
    assert (await adapters.load("maths")).loaded
    assert not (await adapters.unload("maths")).loaded
    assert engine.held == {}
    for ref in ("maths", "maths@v1"):
        with pytest.raises(AdapterNotFoundError) as caught:
            await use(adapters, ref)
        assert caught.value.message == "adapter: 'maths@v1' was unloaded"
    await adapters.load("maths@v1")
    assert await use(adapters, "maths") == "maths@v1"
    assert engine.added == [("maths@v1", 1), ("maths@v1", 2)]


async def test_an_unload_before_any_use_holds_too(tmp_path: Path, engine: Engine) -> None:
    write_adapter(tmp_path, "maths@v1")
    adapters = adapters_of(tmp_path, engine)
    await adapters.unload("maths")
    with pytest.raises(AdapterNotFoundError):
        await use(adapters, "maths")


async def test_running_requests_keep_an_unloaded_adapter_until_they_end(
    tmp_path: Path, engine: Engine
) -> None:
    write_adapter(tmp_path, "maths@v1")
    adapters = adapters_of(tmp_path, engine)
    async with adapters.use("maths"), adapters.use("maths"):
        await adapters.unload("maths")
        assert engine.held == {1: "maths@v1"}
        await adapters.load("maths")
        assert engine.held == {1: "maths@v1", 2: "maths@v1"}
    assert engine.held == {2: "maths@v1"}


async def test_an_unload_while_a_request_waits_for_the_weights_refuses_it(
    tmp_path: Path, engine: Engine
) -> None:
    write_adapter(tmp_path, "slow@v1")
    write_adapter(tmp_path, "maths@v1")
    adapters = adapters_of(tmp_path, engine)
    first = asyncio.create_task(use(adapters, "slow"))
    await asyncio.sleep(0)
    second = asyncio.create_task(use(adapters, "maths"))
    await adapters.unload("maths")
    assert await first == "slow@v1"
    with pytest.raises(AdapterNotFoundError):
        await second
    assert "maths@v1" not in engine.held.values()


async def test_a_new_version_is_found_by_load_and_is_then_the_newest(
    tmp_path: Path, engine: Engine
) -> None:
    write_adapter(tmp_path, "maths@v1")
    adapters = adapters_of(tmp_path, engine)
    assert await use(adapters, "maths") == "maths@v1"
    write_adapter(tmp_path, "maths@v2")
    assert await use(adapters, "maths") == "maths@v1"
    assert (await adapters.load("maths")).ref == "maths@v2"
    assert await use(adapters, "maths") == "maths@v2"


async def test_an_exact_new_version_is_found_at_first_use(tmp_path: Path, engine: Engine) -> None:
    write_adapter(tmp_path, "maths@v1")
    adapters = adapters_of(tmp_path, engine)
    write_adapter(tmp_path, "maths@v2")
    assert await use(adapters, "maths@v2") == "maths@v2"


async def test_a_folder_that_went_away_is_refused_before_the_engine_reads_it(
    tmp_path: Path, engine: Engine
) -> None:
    folder = write_adapter(tmp_path, "maths@v1")
    adapters = adapters_of(tmp_path, engine)
    await use(adapters, "maths")
    shutil.rmtree(folder)
    with pytest.raises(AdapterNotFoundError):
        await use(adapters, "maths")


async def test_weights_that_the_engine_refuses_are_not_listed_as_loaded(
    tmp_path: Path, engine: Engine
) -> None:
    write_adapter(tmp_path, "maths@v1")
    engine.bad = {"maths@v1"}
    adapters = adapters_of(tmp_path, engine)
    with pytest.raises(AdapterRefusedError) as caught:
        await adapters.load("maths")
    assert caught.value.message == (
        "adapter: 'maths@v1': the engine does not take it: maths@v1: bad weights"
    )
    (info,) = await adapters.list()
    assert not info.loaded
    engine.bad = set()
    assert await use(adapters, "maths") == "maths@v1"


async def test_a_dead_engine_is_no_refusal_of_the_weights(tmp_path: Path, engine: Engine) -> None:
    write_adapter(tmp_path, "maths@v1")
    engine.dead = True
    with pytest.raises(StudentUnavailableError):
        await adapters_of(tmp_path, engine).load("maths")


async def test_the_least_recently_used_idle_adapter_makes_room(
    tmp_path: Path, engine: Engine
) -> None:
    for name in ("a", "b", "c"):
        write_adapter(tmp_path, f"{name}@v1")
    adapters = adapters_of(tmp_path, engine, capacity=2)
    await use(adapters, "b")
    async with adapters.use("a"):
        await use(adapters, "c")
        assert set(engine.held.values()) == {"a@v1", "c@v1"}
    assert await use(adapters, "b") == "b@v1"
    assert set(engine.held.values()) == {"c@v1", "b@v1"}
    listed = {info.name: info.loaded for info in await adapters.list()}
    assert listed == {"a": False, "b": True, "c": True}
