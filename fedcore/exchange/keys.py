"""Where things lie in the exchange: the layout of its keys, in one place.

The owner stands first, so that a hospital's credentials can be limited to `parties/<id>/*`.
"""

from __future__ import annotations

import re

from fedcore.errors import InputError, problem

MAX_KEY = 512
PARTIES = "parties/"
GROUPS = "groups/"
# Where all keys begin.
FOLDERS = ("coordinator/", PARTIES, GROUPS)
SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


def require_key(key: str) -> str:
    """The key itself, or `InputError` if a store could misread it.

    Segments of up to 128 letters, digits, `.`, `_` and `-`, joined by single slashes; none begins
    with a dot: such names belong to the stores, and `.` and `..` to nobody.
    """
    if len(key) > MAX_KEY or not all(SEGMENT.fullmatch(part) for part in key.split("/")):
        remedy = "use letters, digits, . _ - in segments that do not begin with a dot"
        raise InputError(problem("exchange", "key", key, remedy))
    return key


def require_prefix(prefix: str) -> str:
    """The beginning of a key, or `InputError` if no key can begin so."""
    *folders, last = prefix.split("/")
    begun = [*folders, last] if last else folders
    if len(prefix) > MAX_KEY or not all(SEGMENT.fullmatch(part) for part in begun):
        remedy = "give the beginning of a key, such as parties/10000/"
        raise InputError(problem("exchange", "prefix", prefix, remedy))
    return prefix


def coordinator_folder(run: str) -> str:
    """The prefix of all that the coordinator writes for a run."""
    return f"coordinator/{run}/"


def agreement(run: str) -> str:
    """What is trained with whom: the task file and the parties. Keys travel in the envelopes."""
    return f"coordinator/{run}/agreement.json"


def rounds_folder(run: str) -> str:
    """The prefix of all rounds of a run."""
    return f"coordinator/{run}/rounds/"


def model(run: str, number: int) -> str:
    """The global model after round `number`; 0 is the initial one."""
    return f"{rounds_folder(run)}{number:05d}/model.safetensors"


def numbered_model(run: str, number: int, sha256: str) -> str:
    """The global model after round `number` by its hash: two attempts never claim one name."""
    return require_key(model(run, number).replace(".safetensors", f"-{sha256[:16]}.safetensors"))


def numbered_step(run: str, number: int, sha256: str) -> str:
    """The step to the global model after round `number` from the one before it, by its hash."""
    return require_key(f"{rounds_folder(run)}{number:05d}/step-{sha256[:16]}.safetensors")


def numbered_memory(run: str, number: int, sha256: str) -> str:
    """What the strategy remembers after round `number`, by its hash."""
    return require_key(f"{rounds_folder(run)}{number:05d}/memory-{sha256[:16]}.safetensors")


def invitation(run: str, number: int) -> str:
    """The invitation to round `number`."""
    return f"{rounds_folder(run)}{number:05d}/invitation.json"


def combined(run: str, number: int) -> str:
    """Which replies were combined in round `number`, and into what."""
    return f"{rounds_folder(run)}{number:05d}/combined.json"


def group_sum(run: str, number: int, group: int, mark: str) -> str:
    """What a group's updates of round `number` add up to; `mark` stands for who had replied.

    Not under the coordinator's prefix, which parties may read: a sum of few tells of each.
    """
    return require_key(f"{_group(run, number, group)}-{mark}.json")


def group_body(run: str, number: int, group: int, sha256: str) -> str:
    """A part of a group's sums in round `number`, by its hash."""
    return require_key(f"{_group(run, number, group)}-{sha256[:16]}.safetensors")


def groups_folder(run: str, number: int) -> str:
    """The prefix of all that the groups of round `number` add up to."""
    return f"{GROUPS}{run}/rounds/{number:05d}/"


def all_groups(run: str) -> str:
    """The prefix of all that groups of a run add up to."""
    return f"{GROUPS}{run}/"


def _group(run: str, number: int, group: int) -> str:
    return f"{groups_folder(run, number)}group-{group:05d}"


def record(run: str, number: int) -> str:
    """The commit marker: round `number` is done when it exists."""
    return f"{rounds_folder(run)}{number:05d}/record.json"


def ledger_part(run: str, number: int) -> str:
    """What the coordinator's ledger gained up to round `number`, line by line; 0: the opening."""
    return f"{rounds_folder(run)}{number:05d}/ledger.jsonl"


def final_ledger_part(run: str) -> str:
    """What the coordinator's ledger gained between the last round and the end."""
    return f"coordinator/{run}/final/ledger.jsonl"


def final_folder(run: str) -> str:
    """The prefix of what belongs to the final test."""
    return f"coordinator/{run}/final/"


def pooled_statistics(run: str) -> str:
    """What the parties told of their data before the training, each and all together."""
    return f"coordinator/{run}/statistics.json"


def final_evaluation(run: str) -> str:
    """The request for the final test: which models to score."""
    return f"coordinator/{run}/final/evaluation.json"


def local_model(run: str, party: str, sha256: str) -> str:
    """A party's last local model, by its hash, for the others to score."""
    return require_key(f"coordinator/{run}/final/local-{party}-{sha256[:16]}.safetensors")


def end(run: str) -> str:
    """The end of the run: every party may leave."""
    return f"coordinator/{run}/end.json"


def term(folder: str, number: int) -> str:
    """The claim of the `number`-th process that acts for the side whose `folder` it is."""
    return f"{folder}terms/{number:05d}.json"


def identity(party: str, serial: int, mark: str) -> str:
    """Who a party is, as said with its kit number `serial`, which alone knows the `mark`."""
    return require_key(f"{PARTIES}{party}/identity/{serial:05d}-{mark}.json")


def party_folder(party: str, run: str) -> str:
    """The prefix of all that a party writes for a run."""
    return f"{PARTIES}{party}/{run}/"


def hello(party: str, run: str) -> str:
    """What a party brings: the numbers of its data, and the hashes of task file and contract."""
    return f"{party_folder(party, run)}hello.json"


def pending(party: str, run: str) -> str:
    """The word that a person at the party has yet to approve the training."""
    return f"{party_folder(party, run)}pending.json"


def refusal(party: str, run: str) -> str:
    """The party's word that it takes no part, and why."""
    return f"{party_folder(party, run)}refusal.json"


def statistics(party: str, run: str) -> str:
    """What a party tells of its data before the training."""
    return f"{party_folder(party, run)}statistics.json"


def initial(party: str, run: str) -> str:
    """The initial model, made by the guest."""
    return f"{party_folder(party, run)}initial.safetensors"


def update(party: str, run: str, number: int) -> str:
    """A party's update of round `number`."""
    return f"{party_folder(party, run)}rounds/{number:05d}/update.safetensors"


def reply(party: str, run: str, number: int) -> str:
    """A party's signed reply of round `number`, written after the update."""
    return f"{party_folder(party, run)}rounds/{number:05d}/reply.json"


def score(party: str, run: str, number: int) -> str:
    """A party's scores of the global model after round `number`, on its validation images."""
    return f"{party_folder(party, run)}rounds/{number:05d}/score.json"


def final_score(party: str, run: str) -> str:
    """A party's scores of the models that the final test names, on its test images."""
    return f"{party_folder(party, run)}final/score.json"
