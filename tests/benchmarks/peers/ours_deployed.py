"""The neutral work in the deployed system: `python ours_deployed.py PARTIES ROUNDS CODEC MARKS`.

A hub with Prefect, SeaweedFS and MLflow, PARTIES hospitals with their homes, workers and sessions,
all real processes on this machine. In the sessions the loop over batches gives a perturbed model
at once and scoring gives constant counts; nothing else is replaced. CODEC is float32, bfloat16,
int8, or one of the last two with -both behind it: then models come as steps by it, too. The marks
are the moments at which the coordinator's ledger notes that a round was invited to or recorded:
wall-clock times, put onto the monotonic clock by the present distance of the two.

Takes a minute or two to start, and about 1 GB of memory for each party. Prints the seconds from
the moment when the last session had loaded its code to the end of the first round, and the CPU
seconds and memory of each kind of process.
"""

from __future__ import annotations

import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from deployed_world import WARM_UP, Deployed, Story
from kinds import spent
from neutral import note
from neutral_task import task_file
from processes import nothing_left

LIMIT = 1200.0  # seconds for the training
RUN = "neutral"
SPLITS = {"validation": 0.25, "test": 0.25}


def main() -> None:
    parties, rounds, codec, marks = sys.argv[1:5]
    with tempfile.TemporaryDirectory(prefix="deployed-", ignore_cleanup_errors=True) as name:
        deployed = Deployed(Path(name), int(parties))
        try:
            with nothing_left():
                note(Path(marks), "started")
                deployed.start()
                note(Path(marks), "submitted")
                story = deployed.train(RUN, task_file(int(rounds), codec, **SPLITS), LIMIT)
        finally:
            deployed.tidy()
    lines = [f"{moment} {story.coordinator}\n" for moment in [story.invited, *story.ends]]
    Path(marks).write_text("".join(lines), "ascii")
    print(told(story, int(parties)), flush=True)


def told(story: Story, parties: int) -> str:
    """The run in a few lines."""
    rounds = [end - start for start, end in pairwise(story.ends)][WARM_UP - 1 :]
    lines = [
        f"start: {story.ends[0] - story.up:.2f} s from sessions up to the end of round 1",
        f"rounds: {' '.join(f'{one:.2f}' for one in rounds)} s, {parties} parties",
    ]
    for kind, seconds in spent(story.before, story.after).items():
        cost = story.after[kind]
        lines.append(
            f"{kind}: {seconds / len(rounds):.2f} CPU s per round, {cost.count} processes, "
            f"{cost.resident:.0f} MB now, at most {cost.peak:.0f} MB in one"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
