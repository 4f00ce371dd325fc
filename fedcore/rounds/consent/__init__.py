"""Consent: whether a training may run at this hospital, asked before anything of it is run.

The hospital's policy file accepts, asks a person, or refuses. Needs neither torch nor data, so
that the person is asked without loading either. Only the hospital's side comes here.
"""

from fedcore.rounds.consent.approval import Decision, Request, decisions, read_request, requests
from fedcore.rounds.consent.gate import Gate
from fedcore.rounds.consent.judging import Fault, Verdict, judge, judge_cohort
from fedcore.rounds.consent.wording import Plain, in_plain_words

__all__ = [
    "Decision",
    "Fault",
    "Gate",
    "Plain",
    "Request",
    "Verdict",
    "decisions",
    "in_plain_words",
    "judge",
    "judge_cohort",
    "read_request",
    "requests",
]
