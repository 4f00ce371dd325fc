"""The party's desk, opened once per process and seat: data, network, key, ledger, exchange."""

from __future__ import annotations

import contextlib
import os
from functools import cache, partial
from pathlib import Path

import fedcore
from fedcore.config.policy import EVERYTHING
from fedcore.data.cohort import open_cohort
from fedcore.data.cohort_record import Cohort
from fedcore.data.intake import decoding_workers
from fedcore.errors import NotAllowed
from fedcore.exchange import keys
from fedcore.models.catalogue import build
from fedcore.rounds import party, terms
from fedcore.training.pretraining import stage_task
from tasks.seat import Seat
from tasks.voices import voice_of


@cache
def cohort_at(seat: str) -> Cohort:
    """Read the party's data folder: decode what is new, split by patient, check the contract."""
    place = Seat.load(seat)
    told = partial(_told, seat)
    folder = Path(place.data or ".")
    workers = decoding_workers(os.cpu_count() or 1)
    state = place.folder / "cache" / place.owner
    frozen = place.folder / "runs" / place.run / f"{place.name}.contents"
    task = place.task.seen_by(place.modality)
    return open_cohort(folder, task, state, progress=told, workers=workers, frozen=frozen)


def _public_at(seat: str) -> Cohort:
    """Read the guest's folder of public images, as the stage before the first round wants it."""
    place = Seat.load(seat)
    state = place.folder / "cache" / f"{place.owner}-pretrain"
    told, folder = partial(_told, seat), Path(place.pretrain or ".")
    return open_cohort(folder, stage_task(place.task), state, progress=told)


@cache
def desk_at(seat: str) -> party.Desk:
    """Open everything that the party's seat at this path needs."""
    place = Seat.load(seat)
    watch = voice_of(seat).watch()
    spool = place.folder / "runs" / place.run / "spool" / place.owner
    spool.mkdir(parents=True, exist_ok=True)
    store, key, ledger = place.store(watch), place.key(), place.ledger()
    with contextlib.suppress(NotAllowed):  # a party's credentials may not see the bucket itself
        store.prepare()
    term = (place.run, place.owner, keys.party_folder(place.owner, place.run))
    return party.Desk(
        run=place.run,
        task=place.task,
        member=place.member(place.owner),
        store=store,
        key=key,
        ledger=ledger,
        watch=watch,
        code_version=fedcore.__version__,
        cohort=cohort_at(seat),
        network=build(
            place.task.model,
            place.task.seed,
            modality=place.modality,
            inputs=place.task.inputs,
        ),
        spool=spool,
        modality=place.modality,
        near=party.Near(most=1, shared=False),
        fence=terms.take(store, key, term, os.urandom, watch.clock, ledger),
        pinned_coordinator=place.coordinator_key,
        public=partial(_public_at, seat) if place.pretrain else None,
        leaving=place.policy.leaving if place.policy else EVERYTHING,
        progress=lambda phase, done, total, loss: voice_of(seat).tell(
            "progress", phase=phase, done=done, total=total, loss=loss
        ),
    )


def _told(seat: str, done: int, total: int) -> None:
    voice_of(seat).tell("progress", phase="preprocess", done=done, total=total, loss=None)
