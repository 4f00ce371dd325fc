"""What combining costs the coordinator: `python tests/benchmarks/combining.py [--write]`.

One round of N parties whose updates of 45 MB lie in the exchange already (all the same bytes, so
that the exchange itself takes no room): check, hash, add and publish, in a process of its own that
has loaded what a deployed coordinator loads. Time beside a plain copy of the same bytes on one
thread, and the most memory that the process ever had.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from codecs_speed import like_resnet18, speed
from docs_page import written_between
from typed import options

from fedcore.exchange.memory import MemoryStore

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "results-costs.md"
PARTIES = (2, 8, 16, 64)
HEAD = """\
| parties | seconds | ms per party | of a plain copy's speed | most memory, MB | of that imports |
|---|---|---|---|---|---|
"""


def main() -> None:
    parser = options(__doc__, turns=3, only=0)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    parser.add_argument("--child", type=int, help="for this program's own use")
    args = parser.parse_args()
    if args.child is not None:
        print(json.dumps(one_round(args.child)))
        return
    counts = (args.only,) if args.only else PARTIES
    told = [[in_a_process(count) for _ in range(args.turns)] for count in counts]
    text = HEAD + "".join(map(row, told))
    print(text)
    if args.write:
        written_between(PAGE, "combining", text)


def in_a_process(parties: int) -> dict[str, float]:
    words = [sys.executable, __file__, "--child", str(parties)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def row(turns: list[dict[str, float]]) -> str:
    """The fastest turn; the most memory of any."""
    best = min(turns, key=lambda turn: turn["seconds"])
    most, floor = (max(turn[name] for turn in turns) for name in ("peak", "imports"))
    share = best["bytes"] / best["seconds"] / 1e9 / max(turn["copy"] for turn in turns)
    each = best["seconds"] / best["parties"] * 1000
    numbers = f"{best['seconds']:.2f} | {each:.0f} | {share:.3f} | {most:.0f} | {floor:.0f}"
    return f"| {best['parties']} | {numbers} |\n"


def one_round(parties: int) -> dict[str, float]:
    """Combine once and measure; this process has imported no torch."""
    # Only here: what a deployed coordinator loads must not weigh on the one who starts it.
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]
    from rounds_story import ByHand  # noqa: PLC0415

    import flows.deployed_training  # noqa: F401, PLC0415
    from fedcore.exchange import codec  # noqa: PLC0415
    from fedcore.rounds import coordinator  # noqa: PLC0415

    imports = resident("VmRSS")
    with tempfile.TemporaryDirectory(prefix="combining-") as name:
        names = tuple(f"{number:04d}" for number in range(parties))
        world = ByHand(Path(name), parties=names, quorum=parties, store=arriving())
        body = bytes(codec.encode(like_resnet18()))
        invitation = world.open(codec.decode(body))
        for party in names:
            world.reply(invitation, party, body)
        gc.collect()
        held = resident("VmRSS") - imports  # the exchange, which is not the coordinator's
        Path("/proc/self/clear_refs").write_text("5", "ascii")
        begun = time.perf_counter()
        combined = coordinator.combine(world.desk, 1, dict.fromkeys(names, "replied"))
        seconds = time.perf_counter() - begun
    if len(combined.weights) != parties or "torch" in sys.modules:
        sys.exit("the round is not what it should be")
    flat = np.frombuffer(body, np.uint8)
    return {
        "parties": parties,
        "seconds": seconds,
        "bytes": len(body) * parties,
        "copy": speed(flat.copy, len(body), 5),
        "peak": resident("VmHWM") - held,
        "imports": imports,
    }


def arriving() -> MemoryStore:
    """An exchange whose objects come as bytes of their own, as over a line."""
    store = MemoryStore()
    within = store.view
    store.view = lambda key: np.frombuffer(within(key), np.uint8).copy().data
    store.size = lambda key: within(key).nbytes
    return store


def resident(name: str) -> float:
    """A line of this process's memory as the kernel tells it, in MB."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
