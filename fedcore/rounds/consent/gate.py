"""The gate of a hospital: a training passes by the policy or by a person's word, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
from fedcore.config.policy import Policy
from fedcore.errors import JobRefused
from fedcore.exchange import keys
from fedcore.exchange.store import ObjectStore
from fedcore.rounds import departure, sealed
from fedcore.rounds.consent import approval
from fedcore.rounds.consent.approval import Decision, Request
from fedcore.rounds.consent.judging import Fault, Verdict, judge, judge_cohort
from fedcore.rounds.messages import Agreement, Pending, Refusal
from fedcore.rounds.waiting import Watch

POLICY = "policy"
MOST_SAID = 400
UNINVITED = Fault("not_invited", "the agreement does not name this party")


@dataclass(frozen=True)
class Gate:
    """`policy` has its defaults filled in from the party file; `approvals` holds the notices.

    `command` is what a person types to approve, as told to whoever reads the session's words.
    """

    run: str
    party: str
    policy: Policy
    data: Path
    store: ObjectStore
    key: SigningKey
    ledger: Ledger
    watch: Watch
    approvals: Path
    command: str = "fedcore party approve"

    def agreement(self) -> tuple[Agreement, str]:
        """Wait for the run to be founded; the agreement, and the key that signed it."""
        key = keys.agreement(self.run)
        what = f"the coordinator to found run {self.run}"
        self.watch.wait(lambda: self.store.exists(key) or None, what)
        signer = sealed.writer_of(self.store, key)
        return sealed.read(self.store, key, Agreement, signer), signer

    def consult(self) -> Verdict:
        """Ask the policy: `accept` or `ask`; `JobRefused`, once both sides know it, if it refuses.

        An approval from before counts for the same task file and coordinator, within the bounds.
        """
        agreement, signer = self.agreement()
        standing = self._decided(agreement, signer)
        if standing is not None and standing.state == "refused":
            raise self._refused(agreement, signer, standing.by, standing.fault)
        if self.party not in {member.party_id for member in agreement.parties}:
            raise self._refused(agreement, signer, POLICY, UNINVITED)
        verdict = judge(self.policy, agreement, signer, self.data)
        if verdict.decision == "refuse":
            fault = Fault(verdict.reason, verdict.sentence)
            raise self._refused(agreement, signer, POLICY, fault)
        if verdict.decision == "accept" and standing is None:
            approval.approve(self.ledger, agreement, signer, POLICY)
        return Verdict("accept") if standing is not None else verdict

    def await_approval(self) -> str:
        """Ask a person and wait for the word; who approved. `JobRefused` if the word is no."""
        agreement, signer = self.agreement()
        if self._decided(agreement, signer) is None:
            self._ask(agreement, signer)
        what = f"a person here to approve run {self.run} ({self.command} {self.run})"
        decided = self.watch.wait(lambda: self._word(agreement, signer), what)
        if decided is None or decided.state == "refused":
            by, fault = (decided.by, decided.fault) if decided else (POLICY, UNINVITED)
            raise self._refused(agreement, signer, by, fault)
        return decided.by

    def require_cohort(self, patients: int) -> None:
        """Raise `JobRefused`, once both sides know it, unless training patients are enough."""
        verdict = judge_cohort(self.policy, patients)
        if verdict.decision == "refuse":
            agreement, signer = self.agreement()
            fault = Fault(verdict.reason, verdict.sentence)
            raise self._refused(agreement, signer, POLICY, fault)

    def _decided(self, agreement: Agreement, signer: str) -> Decision | None:
        return approval.decisions(self.ledger.entries(), agreement, signer)

    def _word(self, agreement: Agreement, signer: str) -> Decision | None:
        """The decision, if there is one by now; a training that is over needs none."""
        decided = self._decided(agreement, signer)
        if decided is None and self.store.exists(keys.end(self.run)):
            fault = Fault("too_late", "the training ended before anybody here approved it")
            return Decision("refused", POLICY, fault)
        return decided

    def _ask(self, agreement: Agreement, signer: str) -> None:
        """Put the notice where a person finds it, and tell the coordinator that one is asked."""
        request = Request(
            party=self.party, coordinator=signer, data=str(self.data), agreement=agreement
        )
        request.save(self.approvals)
        waits = Pending(run=self.run, party=self.party, task_hash=agreement.task_hash)
        self._send("pending notice", keys.pending(self.party, self.run), waits)
        self.watch.say(f"run {self.run} waits for approval: {self.command} {self.run}")

    def _refused(self, agreement: Agreement, signer: str, by: str, fault: Fault) -> JobRefused:
        """Write the refusal down, tell the coordinator; the error to end with."""
        approval.refuse(self.ledger, agreement, signer, by, fault)
        # Another process of this party may have refused first: one word goes out, the first.
        first = self._decided(agreement, signer)
        by, fault = (first.by, first.fault) if first is not None else (by, fault)
        said = Refusal(
            run=self.run,
            party=self.party,
            task_hash=agreement.task_hash,
            reason=fault.reason,
            sentence=fault.sentence[:MOST_SAID],
        )
        self._send("refusal", keys.refusal(self.party, self.run), said)
        return JobRefused(
            fault.reason,
            f"run {self.run} is refused here by {by} ({fault.reason}): {fault.sentence}",
        )

    def _send(self, kind: str, key: str, message: Pending | Refusal) -> None:
        departure.send(self.store, self.ledger, self.key, kind, key, message)
