"""A thousand parties' round in constant memory: `python tests/benchmarks/thousand.py [--write]`.

The updates are resnet18's size, 44.7 MB each, and no two are the same. They do not lie anywhere:
the exchange, a folder otherwise, makes a party's update anew each time that it is read, the same
array times a number of the party's own. All else is real: every reply is signed, every update is
hashed, looked at for NaN, measured, and added up in float64; the ledger is on the disk. Once flat,
once as a tree whose groups are added up one after the other. `--parties 1000` takes about five
minutes on two cores.
"""

from __future__ import annotations

import ctypes
import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from codecs_speed import like_resnet18
from combining import ROOT, resident
from docs_page import written_between
from typed import options

from fedcore.exchange import codec, keys
from fedcore.exchange.folder import FolderStore
from fedcore.params import digest, norm, subtract

PAGE = ROOT / "docs" / "results-costs.md"
HEAD = """\
| what is added up | seconds | CPU seconds | ms per part | most memory, MB |
|---|---|---|---|---|
"""
MB = 1 << 20


@dataclass
class Cost:
    """What a step took; `parts` are updates, or sums of groups, and `peak` is in MB."""

    name: str
    parts: int
    seconds: float
    cpu: float
    peak: float


def main() -> None:
    parser = options(__doc__, parties=1000)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    parser.add_argument("--child", type=int, help="for this program's own use")
    args = parser.parse_args()
    if args.child is not None:
        print(json.dumps(rounds(args.child)))
        return
    told = {count: in_a_process(count) for count in {min(64, args.parties), args.parties}}
    text = table(told)
    print(text)
    if args.write:
        written_between(PAGE, "thousand", text)


def in_a_process(parties: int) -> dict:
    words = [sys.executable, __file__, "--child", str(parties)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(told: dict[int, dict]) -> str:
    """A row for each step of each size, and what the sizes say together."""
    rows = [row(Cost(**cost)) for one in told.values() for cost in one["costs"]]
    few, many = min(told), max(told)
    flat = {count: Cost(**told[count]["costs"][0]) for count in told}
    growth = (flat[many].peak - flat[few].peak) * 1024 / max(1, many - few)
    most, apart = told[many]["imports"], told[many]["apart"]
    both = f"differ by {apart:.0e} of the round's step" if apart else "are the same to the bit"
    notes = (
        f"\nOf the memory {most:.0f} MB are imports. From {few} to {many} parties the flat sum's "
        f"grows by {growth:.0f} kB per party. The flat model and the tree's of {many} parties "
        f"{both}.\n"
    )
    return HEAD + "".join(rows) + notes


def row(cost: Cost) -> str:
    each = cost.seconds / cost.parts * 1000
    numbers = f"{cost.seconds:.2f} | {cost.cpu:.2f} | {each:.0f} | {cost.peak:.0f}"
    return f"| {cost.name} | {numbers} |\n"


def rounds(parties: int) -> dict:
    """The same round flat and as a tree; this process has loaded what a coordinator loads."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]
    import flows.deployed_training  # noqa: F401, PLC0415

    imports, start = resident("VmRSS"), like_resnet18()
    names = tuple(f"{number:05d}" for number in range(parties))
    updates = Updates(names)
    gc.collect()
    with tempfile.TemporaryDirectory(prefix="thousand-") as name:
        flat_costs, flat = flat_round(Path(name) / "flat", names, updates, imports)
        tree_costs, tree = tree_round(Path(name) / "tree", names, updates, imports)
    if "torch" in sys.modules:
        sys.exit("a coordinator has loaded torch")
    step = norm(subtract(flat, start))
    apart = norm(subtract(tree, flat)) / step
    return {
        "imports": imports,
        "apart": apart,
        "digests": [digest(flat), digest(tree)],
        "costs": [asdict(cost) for cost in (*flat_costs, *tree_costs)],
    }


class Updates:
    """Makes each party's update when it is read."""

    def __init__(self, names: tuple[str, ...]) -> None:
        body = bytes(codec.encode(like_resnet18()))
        self.begin = 8 + int.from_bytes(body[:8], "little")
        self.header, self.values = body[: self.begin], np.frombuffer(body[self.begin :], np.float32)
        self.numbers = {name: number for number, name in enumerate(names, start=1)}
        self.refs: dict[str, object] = {}

    def of(self, party: str) -> memoryview:
        body = np.empty(self.begin + self.values.nbytes, np.uint8)
        body[: self.begin] = np.frombuffer(self.header, np.uint8)
        factor = np.float32(self.numbers[party] / 1024)
        np.multiply(self.values, factor, out=body[self.begin :].view(np.float32))
        return body.data

    def within(self, folder: Path) -> FolderStore:
        """An exchange in a folder that holds nothing but these updates."""
        store, view, size = FolderStore(folder), FolderStore.view, FolderStore.size
        store.prepare()

        def viewing(key: str) -> memoryview:
            return self.of(key.split("/")[1]) if "/update." in key else view(store, key)

        def sizing(key: str) -> int:
            whole = self.begin + self.values.nbytes
            return whole if "/update." in key else size(store, key)

        store.view, store.size = viewing, sizing
        return store


def opened(folder: Path, names: tuple[str, ...], updates: Updates, **federation: object):
    """A round to which all parties have replied."""
    from rounds_story import RUN, ByHand  # noqa: PLC0415

    from fedcore.rounds import sealed  # noqa: PLC0415

    one = ByHand(
        folder, names, updates.within(folder / "exchange"), quorum=len(names), **federation
    )
    invitation = one.open(like_resnet18())
    for party in names:
        key = keys.update(party, RUN, 1)
        if party not in updates.refs:
            updates.refs[party] = sealed.reference(key, updates.of(party))
        one.reply(invitation, party, b"", changes={"update": updates.refs[party]})
    return one


def flat_round(folder: Path, names: tuple[str, ...], updates: Updates, imports: float):
    from fedcore.rounds import coordinator, sealed  # noqa: PLC0415

    one, answers = opened(folder, names, updates), dict.fromkeys(names, "replied")
    name = f"{len(names)} updates, flat"
    cost = measured(name, len(names), imports, lambda: coordinator.combine(one.desk, 1, answers))
    combined = coordinator.combine(one.desk, 1, answers)
    return [cost], codec.decode(sealed.fetch(one.store, combined.model))


def tree_round(folder: Path, names: tuple[str, ...], updates: Updates, imports: float):
    from fedcore.rounds import coordinator, sealed  # noqa: PLC0415
    from fedcore.rounds.coordinator import grouping  # noqa: PLC0415

    one, answers = opened(folder, names, updates, combining="tree"), dict.fromkeys(names, "replied")
    groups = grouping.group_answers(one.desk, 1, answers)
    leaves = list(leaf_costs(one, groups, imports))
    size, count = len(groups[1]), len(groups)
    full = [cost for cost, group in zip(leaves, groups.values(), strict=True) if len(group) == size]
    middle = statistics.median(cost.seconds for cost in full)
    leaf = Cost(
        f"{size} updates, one of {count} groups of the tree (median)",
        size,
        middle,
        statistics.median(cost.cpu for cost in full),
        max(cost.peak for cost in full),
    )
    top = measured(
        f"{count} groups' sums, the tree's top",
        count,
        imports,
        lambda: coordinator.combine(one.desk, 1, answers),
    )
    combined = coordinator.combine(one.desk, 1, answers)
    return [leaf, top], codec.decode(sealed.fetch(one.store, combined.model))


def leaf_costs(one, groups: dict[int, dict[str, str]], imports: float) -> Iterator[Cost]:
    from fedcore.rounds import coordinator  # noqa: PLC0415

    for group, said in groups.items():
        act = partial(coordinator.sum_group, one.desk, 1, group, said)
        yield measured("", len(said), imports, act)
        print(f"group {group} of {len(groups)}", file=sys.stderr)


def measured(name: str, parts: int, imports: float, act: Callable[[], object]) -> Cost:
    """What `act` takes, and the most memory while it runs, less what the exchange holds."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is free already is not held
    held = resident("VmRSS") - imports
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    begun, before = time.perf_counter(), cpu()
    act()
    seconds, used = time.perf_counter() - begun, cpu() - before
    return Cost(name, parts, seconds, used, resident("VmHWM") - held)


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
