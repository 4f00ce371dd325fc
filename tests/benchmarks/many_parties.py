"""A round of ten thousand invited parties: `python tests/benchmarks/many_parties.py [--write]`.

The coordinator's real code and a model of five numbers, in one process over memory: every party
says a signed hello, is invited, replies and scores; updates are hashed, checked and added; ledger,
decision and record are written and read again. Then what a single party reads of it. Under a
minute.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent), str(ROOT)]

from combining import resident  # noqa: E402
from docs_page import written_between  # noqa: E402
from rounds_story import RUN, ByHand, key_of, model  # noqa: E402
from typed import options  # noqa: E402

from fedcore.audit.ledger import verify  # noqa: E402
from fedcore.exchange import keys  # noqa: E402
from fedcore.rounds import coordinator, sealed  # noqa: E402
from fedcore.rounds.messages import Combined, Invitation, Record  # noqa: E402

PAGE = ROOT / "docs" / "scale.md"
FEW = 1000
READ = {keys.invitation: Invitation, keys.combined: Combined, keys.record: Record}
Row = tuple[str, str, float]


def main() -> None:
    parser = options(__doc__, parties=10_000)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    parser.add_argument("--child", type=int, help="for this program's own use")
    args = parser.parse_args()
    if args.child is not None:
        print(json.dumps(round_of(args.child)))
        return
    told = {count: in_a_process(count) for count in sorted({FEW, args.parties})}
    text = table(told)
    print(text)
    if args.write:
        written_between(PAGE, "many parties", text)


def in_a_process(parties: int) -> list[Row]:
    words = [sys.executable, __file__, "--child", str(parties)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return [tuple(row) for row in json.loads(done.stdout.splitlines()[-1])]


def table(told: dict[int, list[Row]]) -> str:
    """A column for each number of parties."""
    heads = " | ".join(f"{count:,} parties" for count in told)
    text = f"| what | {heads} |\n|---|{'---|' * len(told)}\n"
    for rows in zip(*told.values(), strict=True):
        numbers = " | ".join(f"{number:,.2f} {unit}" for _, unit, number in rows)
        text += f"| {rows[0][0]} | {numbers} |\n"
    return text


def round_of(parties: int) -> list[Row]:
    """Two rounds by hand; the steps' CPU seconds, what lies in the exchange, and the memory."""
    names = tuple(f"hospital{number:05d}" for number in range(parties))
    before = resident("VmHWM")
    with tempfile.TemporaryDirectory(prefix="many-parties-") as folder:
        story = ByHand(Path(folder), names, quorum=parties)
        rows = list(steps(story))
        rows += [("coordinator's memory, more than before", "MB", resident("VmHWM") - before)]
        for place, kind in READ.items():
            rows += reading(story, place(RUN, 1), kind)
        rows += [ledger(story, names)]
    return rows


def steps(story: ByHand) -> Any:
    """The round, step by step."""
    desk, names = story.desk, story.parties

    def hellos() -> None:
        for party in names:
            story.hello(party, model())

    coordinator.found(desk)
    hellos()
    yield cost("hellos welcomed, once", lambda: coordinator.welcome(desk))
    weights = coordinator.adopt_initial_model(desk)
    yield cost("invitation", lambda: coordinator.invite(desk, 1, weights))
    asked = sealed.read(story.store, keys.invitation(RUN, 1), Invitation, desk.key.public)
    for party in asked.parties:
        story.reply(asked, party, model(1.0))
    answers: dict[str, str] = {}
    yield cost("replies read and checked", lambda: answers.update(story.answers()))
    made: list[Combined] = []
    yield cost("combining, with its ledger", lambda: made.append(combined(story, answers)))
    for party in names:
        story.score(1, party, made[0].model.sha256, 9, 3)
    yield cost("scores and record", lambda: coordinator.record(desk, 1, 1.0))
    yield cost("invitation to the next round", lambda: coordinator.invite(desk, 2, made[0].model))


def combined(story: ByHand, answers: dict[str, str]) -> Combined:
    done = coordinator.combine(story.desk, 1, answers)
    if done.weights.keys() != set(story.parties):
        sys.exit("not everybody is in the model")
    return done


def cost(name: str, act: Callable[[], object]) -> Row:
    before = time.process_time()
    act()
    return name, "CPU s", time.process_time() - before


def reading(story: ByHand, key: str, kind: type) -> list[Row]:
    """How large a message is that names everybody, and what it costs a party to read it."""
    name, public = Path(key).stem, story.desk.key.public
    row = cost(f"`{name}.json`, read by one", lambda: sealed.read(story.store, key, kind, public))
    return [
        (f"`{name}.json`", "MB", story.store.size(key) / 1e6),
        (row[0], row[1], row[2]),
    ]


def ledger(story: ByHand, names: tuple[str, ...]) -> Row:
    """The ledger, verified; its entries name every invited party, in order."""
    path = story.desk.ledger.path
    entries = verify(path, key_of("coordinator").public)
    invited = [one for one in entries if one.kind == "invited" and one.subject["round"] == 1]
    if tuple(party for one in invited for party in one.subject["parties"]) != names:
        sys.exit("the ledger does not name who was invited")
    return "coordinator's ledger after it", "MB", path.stat().st_size / 1e6


if __name__ == "__main__":
    main()
