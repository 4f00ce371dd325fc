"""Every party's last local model, made anew from its update, for the cross-site evaluation.

What a party keeps at home is not in its update, so it is not in these models either: there stands
what the global model holds, and whoever scores one uses its own.
"""

from __future__ import annotations

from fedcore.errors import NotThere, Refused
from fedcore.exchange import codec, keys
from fedcore.params import Params, add, require_finite, select
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.asking import invitation_of
from fedcore.rounds.coordinator.combining import combined_of, reply_as_combined
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.messages import ObjectRef, Record, Reply

LOCAL = "local-"


def publish_local_models(desk: Desk, done: list[Record]) -> dict[str, tuple[ObjectRef, int]]:
    """Name -> local model and the round that it was trained in, of every party that has replied.

    One model is in memory at a time. Written under names that hold their hash, so a repeated call
    finds them. A party whose update is no longer what was combined is left out.
    """
    found = {}
    for party, reply in sorted(_last_replies(desk, done).items()):
        try:
            found[f"{LOCAL}{party}"] = (_publish(desk, party, reply), reply.trained_in)
        except (Refused, NotThere) as gone:
            reason = gone.reason if isinstance(gone, Refused) else "update_missing"
            desk.ledger.append_once("local_model_missing", {"party": party, "reason": reason})
    return found


def _last_replies(desk: Desk, done: list[Record]) -> dict[str, Reply]:
    """The newest admitted reply of every party."""
    found: dict[str, Reply] = {}
    for number in range(len(done), 0, -1):
        combined, invitation = combined_of(desk, number), invitation_of(desk, number)
        for party in sorted(combined.weights.keys() - found.keys()):
            reply = reply_as_combined(desk, combined, invitation, party)
            if reply is not None:
                found[party] = reply
    return found


def _publish(desk: Desk, party: str, reply: Reply) -> ObjectRef:
    base = invitation_of(desk, reply.trained_in).weights
    body = codec.encode(_model(desk, base, reply))
    ref = sealed.reference(keys.model(desk.run, 0), body)
    ref = ref.model_copy(update={"key": keys.local_model(desk.run, party, ref.sha256)})
    desk.ledger.append_once("local_model_shown", {"party": party, "model": ref.sha256})
    desk.store.put_once(ref.key, body)
    return ref


def _model(desk: Desk, base: ObjectRef, reply: Reply) -> Params:
    start = codec.decode(sealed.fetch(desk.store, base))
    update = codec.decode(sealed.fetch(desk.store, reply.update))
    model = {**start, **add(select(start, update), update)}
    require_finite(model)
    return model
