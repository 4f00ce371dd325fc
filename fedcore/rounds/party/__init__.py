"""The party's side: say hello, answer invitations, score models. The only room with patients."""

from fedcore.rounds.party.desk import Desk
from fedcore.rounds.party.greeting import greet, join, require_same_task
from fedcore.rounds.party.near import Near
from fedcore.rounds.party.personal import personal_model
from fedcore.rounds.party.requests import Request, next_request
from fedcore.rounds.party.scoring import score, score_final
from fedcore.rounds.party.standardising import own_encoding
from fedcore.rounds.party.statistics import pooled_statistics, tell_statistics
from fedcore.rounds.party.training import train, upload
from fedcore.rounds.party.weights import usable_model

__all__ = [
    "Desk",
    "Near",
    "Request",
    "greet",
    "join",
    "next_request",
    "own_encoding",
    "personal_model",
    "pooled_statistics",
    "require_same_task",
    "score",
    "score_final",
    "tell_statistics",
    "train",
    "upload",
    "usable_model",
]
