"""Where a round's training stands, kept on the party's own disk: a kill costs seconds, not epochs.

A checkpoint is two files that are written whole: the numbers as safetensors, and a small JSON note
that says of which training they are, at which step, and what their bytes hash to. A note that does
not fit, or whose numbers are torn or changed, is removed: the round then begins anew, with the same
result. Nothing here leaves the hospital, and nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fedcore.audit import durable
from fedcore.errors import InputError, Refused
from fedcore.exchange import codec
from fedcore.params import Array, Params

SECONDS = 30.0
# A slow disk is written to less often: saving takes at most this share of the time.
SHARE = 0.05
NOTE = "training.json"
Bound = Mapping[str, str | int]


def _silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Saved:
    """How many steps are done, and everything that the next one depends on."""

    step: int
    arrays: Params


class Checkpoint:
    """The one checkpoint in a folder of its own; `bound` says of which training it must be."""

    def __init__(
        self,
        folder: Path,
        bound: Bound,
        *,
        every: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = _silent,
    ) -> None:
        """Save every so many seconds by `clock`; `say` hears what cannot be read or written."""
        self._folder, self._given = folder, dict(bound)
        self._own: Callable[[], Bound] = dict
        self._every, self._clock, self._say = every, clock, say
        self._wait = every
        self._last = clock()

    @staticmethod
    def round_in(folder: Path) -> int | None:
        """Of which round the training in this folder is; `None` where there is none to read."""
        try:
            number = json.loads((folder / NOTE).read_bytes())["bound"]["round"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return number if isinstance(number, int) else None

    def find(self, bound: Callable[[], Bound]) -> Saved | None:
        """What was saved of this training; all else in the folder is removed.

        `bound` says what only the training itself knows (weights it starts from, hardware). It is
        asked once there is something to compare or to save: most rounds end before, and it hashes
        the whole model.
        """
        self._own = cache(bound)
        note = self._note()
        saved = self._fitting(note) if note is not None else None
        if saved is None:
            self.remove()
        self._last = self._clock()
        return saved

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        return self._clock() - self._last >= self._wait

    def save(self, step: int, arrays: Mapping[str, Array]) -> None:
        """Keep this state; where the disk refuses, say so and let the training go on."""
        begun = self._clock()
        try:
            self._write(step, codec.encode(arrays))
        except InputError as refused:
            self._say(f"no checkpoint, the training goes on without: {refused}")
        self._last = self._clock()
        self._wait = max(self._every, (self._last - begun) / SHARE)

    def remove(self) -> None:
        """Leave nothing behind; the folder stays."""
        durable.discard(self._folder / NOTE)
        self._remove_numbers(keep="")

    @property
    def _bound(self) -> dict[str, str | int]:
        return {**self._given, **self._own()}

    def _write(self, step: int, body: memoryview) -> None:
        """The numbers under a new name, then the note, then the older numbers go."""
        name = f"training-{step:09d}.safetensors"
        durable.replace_with(self._folder / name, [body])
        sha256 = hashlib.sha256(body).hexdigest()
        note = {"bound": self._bound, "step": step, "numbers": name, "sha256": sha256}
        durable.replace_with(self._folder / NOTE, [json.dumps(note).encode()])
        self._remove_numbers(keep=name)

    def _note(self) -> dict[str, Any] | None:
        """The note, if it is of this training."""
        path = self._folder / NOTE
        try:
            note = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError):
            self._say(f"{path}: this checkpoint cannot be read: the round begins anew")
            return None
        if not isinstance(note, dict) or note.get("bound") != self._bound:
            return None
        return note

    def _fitting(self, note: Mapping[str, Any]) -> Saved | None:
        path = self._folder / Path(str(note.get("numbers"))).name
        try:
            body = b"".join(durable.chunks_of(path))
            arrays, step = codec.decode(body), note.get("step")
        except (InputError, Refused):
            arrays, step, body = {}, None, b""
        if not isinstance(step, int) or hashlib.sha256(body).hexdigest() != note.get("sha256"):
            self._say(f"{path}: this checkpoint is torn or was changed: the round begins anew")
            return None
        return Saved(step, arrays)

    def _remove_numbers(self, keep: str) -> None:
        for path in self._folder.glob("training-*.safetensors"):
            if path.name != keep:
                durable.discard(path)
        for path in self._folder.glob(f"{durable.PART}*"):
            durable.discard(path)
