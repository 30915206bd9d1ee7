"""Which adapters are in an engine now, and which an operator took out."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from services.common.errors import (
    AdapterNotFoundError,
    AdapterRefusedError,
    ConfigurationError,
    StudentUnavailableError,
)
from services.common.settings import StudentSettings
from services.student.adapters import (
    AdapterCatalog,
    AdapterFolder,
    BaseShape,
    read_weight_shapes,
)
from services.student.protocol import AdapterInfo

# Adapters kept ready for each one that a batch may use; host memory, little of it.
_HELD_PER_SLOT = 4
_LONGEST_REASON = 400  # characters


def adapters_held(settings: StudentSettings) -> int:
    """How many adapters an engine keeps ready."""
    return settings.max_loras * _HELD_PER_SLOT


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """An adapter in the engine. `number` is from 1 and never used again for other weights."""

    folder: AdapterFolder
    number: int


class AdapterLoader(Protocol):
    """Moves weights into and out of one engine."""

    async def add(self, adapter: LoadedAdapter) -> None:
        """Brings the weights in.

        Raises:
            StudentUnavailableError: the engine is dead.
            Exception: anything else says why the engine does not take them.
        """
        ...

    async def remove(self, adapter: LoadedAdapter) -> None:
        """Takes the weights out; no request uses them any more."""
        ...


class LoadedAdapters:
    """Loads adapters at first use or by name, and unloads them.

    Held here rather than left to the engine: an engine that meets an adapter for the first
    time inside a running batch fails the whole batch, and dies, when the weights are bad.

    Args:
        catalog: what there is on disk; scanned here.
        capacity: adapters that the engine can hold; the least recently used one goes first.
        default: reference for requests that name none; "" for the bare model.

    Raises:
        ConfigurationError: `default` names nothing that can be served.
    """

    def __init__(
        self, catalog: AdapterCatalog, loader: AdapterLoader, *, capacity: int, default: str
    ) -> None:
        self._catalog = catalog
        self._loader = loader
        self._capacity = capacity
        self.default = default
        self._numbers = itertools.count(1)
        self._loaded: dict[str, LoadedAdapter] = {}  # by reference, least recently used first
        self._users: Counter[LoadedAdapter] = Counter()
        self._unloaded: set[str] = set()
        self.loads: Counter[str] = Counter()
        """How often each adapter, by reference, was brought in since the start."""
        self._lock = asyncio.Lock()
        catalog.scan()
        if default:
            try:
                catalog.find(default)
            except (AdapterNotFoundError, AdapterRefusedError) as error:
                raise ConfigurationError(f"student.default_adapter: {error.message}") from error

    @classmethod
    def open(
        cls, settings: StudentSettings, loader: AdapterLoader, *, model: str, config: Any
    ) -> Self:
        """Those of the settings' folder, for a model and its Hugging Face configuration.

        Raises: ConfigurationError as the class does.
        """
        base = None
        if settings.adapters_dir:
            shapes = read_weight_shapes(Path(model))
            base = BaseShape(config.hidden_size, config.num_hidden_layers, shapes)
        return cls(
            AdapterCatalog(settings.adapters_dir, max_rank=settings.max_lora_rank, base=base),
            loader,
            capacity=adapters_held(settings),
            default=settings.default_adapter,
        )

    async def list(self) -> tuple[AdapterInfo, ...]:
        """Rescans the folder: every version, by name, newest first."""
        found = await asyncio.to_thread(self._catalog.scan)
        return tuple(folder.info(loaded=folder.ref in self._loaded) for folder in found)

    async def load(self, ref: str) -> AdapterInfo:
        """Rescans the folder, lifts an earlier unload and brings the weights in.

        Raises: AdapterNotFoundError, AdapterRefusedError.
        """
        await asyncio.to_thread(self._catalog.scan)
        folder = self._catalog.find(ref)
        self._unloaded.discard(folder.ref)
        await self._in_engine(folder)
        return folder.info(loaded=True)

    async def unload(self, ref: str) -> AdapterInfo:
        """Refuses new requests for the adapter from now on; running ones end undisturbed.

        Raises: AdapterNotFoundError, AdapterRefusedError.
        """
        folder = await self._find(ref)
        self._unloaded.add(folder.ref)
        async with self._lock:
            await self._take_out(folder.ref)
        return folder.info(loaded=False)

    @asynccontextmanager
    async def use(self, ref: str) -> AsyncIterator[LoadedAdapter | None]:
        """Keeps the adapter in the engine for the time of one request; None is the bare model.

        Raises: AdapterNotFoundError, AdapterRefusedError.
        """
        folder = await self._servable(ref)
        if folder is None:
            yield None
            return
        adapter = await self._in_engine(folder)
        self._users[adapter] += 1
        try:
            yield adapter
        finally:
            self._users[adapter] -= 1
            if not self._users[adapter]:
                del self._users[adapter]
                if self._loaded.get(folder.ref) is not adapter:
                    await self._loader.remove(adapter)  # unloaded while this request ran

    async def _servable(self, ref: str) -> AdapterFolder | None:
        ref = ref or self.default
        if not ref:
            return None
        folder = await self._find(ref)
        self._refuse_unloaded(folder)
        return folder

    def _refuse_unloaded(self, folder: AdapterFolder) -> None:
        if folder.ref in self._unloaded:
            raise AdapterNotFoundError.of_field("adapter", f"{folder.ref!r} was unloaded")

    async def _find(self, ref: str) -> AdapterFolder:
        try:
            folder = self._catalog.find(ref)
            # An engine that evicted the weights reads the files again, and dies without them.
            if folder.is_complete:
                return folder
        except (AdapterNotFoundError, AdapterRefusedError):
            pass  # it may have come, or been put right, since the last scan
        await asyncio.to_thread(self._catalog.scan)
        return self._catalog.find(ref)

    async def _in_engine(self, folder: AdapterFolder) -> LoadedAdapter:
        if folder.ref not in self._loaded:
            async with self._lock:
                self._refuse_unloaded(folder)  # it may have been while this waited
                if folder.ref not in self._loaded:
                    await self._make_room()
                    adapter = LoadedAdapter(folder, next(self._numbers))
                    await self._add(adapter)
                    self.loads[folder.ref] += 1
                    self._loaded[folder.ref] = adapter
        adapter = self._loaded.pop(folder.ref)
        self._loaded[folder.ref] = adapter
        return adapter

    async def _add(self, adapter: LoadedAdapter) -> None:
        try:
            await self._loader.add(adapter)
        except StudentUnavailableError:
            raise
        except Exception as error:  # an engine passes on whatever it met
            folder = adapter.folder
            reason = str(error).replace(str(folder.path), folder.ref)[:_LONGEST_REASON]
            raise AdapterRefusedError.of_field(
                "adapter", f"{folder.ref!r}: the engine does not take it: {reason}"
            ) from error

    async def _make_room(self) -> None:
        if len(self._loaded) >= self._capacity:
            idle = (ref for ref, adapter in self._loaded.items() if not self._users[adapter])
            if ref := next(idle, None):
                await self._take_out(ref)

    async def _take_out(self, ref: str) -> None:
        adapter = self._loaded.pop(ref, None)
        if adapter and not self._users[adapter]:
            await self._loader.remove(adapter)
