"""`fedcore doctor`: what is installed, reachable and missing, each in one line with its remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fedcore.config import PartyFile, TaskFile, load_party_file, load_task_file
from fedcore.config.training import TrainingSection
from fedcore.errors import FedcoreError
from flows import doctor_machine, doctor_services
from flows.cli_screen import Screen
from flows.doctor_finding import Finding, lacking, well


@dataclass(frozen=True)
class Questions:
    """What is to be looked at; without files only what every training needs."""

    party_config: Path | None
    config: Path | None
    output: Path
    environ: Mapping[str, str]
    home: Path | None = None


def run(questions: Questions, screen: Screen) -> int:
    """Look at everything, a line each as soon as it is known; 0 if all is well, else 1."""
    wrong = 0
    for finding in look(questions):
        screen.mark(finding.good, "ok" if finding.good else "missing", _line(finding))
        wrong += not finding.good
    if wrong:
        screen.say(f"{wrong} to mend: each line above that begins with missing says how")
    else:
        screen.say("all is well")
    return 1 if wrong else 0


def look(questions: Questions) -> Iterator[Finding]:
    """All findings, the quick ones first."""
    task, party, found = _files(questions)
    yield from found
    yield doctor_machine.python()
    yield from doctor_machine.libraries()
    yield from doctor_machine.decoders()
    yield doctor_machine.hardware(task.training if task else TrainingSection())
    if questions.home is not None:
        # Only here: a machine without Prefect has no party's home.
        from flows import doctor_party  # noqa: PLC0415

        yield from doctor_party.look(questions.home)
        return
    yield doctor_machine.disk(questions.output)
    yield doctor_services.prefect_api()
    yield doctor_services.tracking(questions.environ.get("MLFLOW_TRACKING_URI"))
    if party is not None and questions.party_config is not None:
        yield from doctor_services.exchange(party, questions.party_config, questions.environ)


def _files(questions: Questions) -> tuple[TaskFile | None, PartyFile | None, list[Finding]]:
    """The two files as far as they can be read, and what is to be said about them."""
    task, party, found = None, None, []
    if questions.config is not None:
        try:
            task = load_task_file(questions.config)
            shown = f"{questions.config}: {task.model.name}, {task.federation.epochs} rounds"
            found.append(well("task file", shown))
        except FedcoreError as fault:
            found.append(lacking("task file", str(fault)))
    if questions.party_config is not None:
        try:
            party = load_party_file(questions.party_config)
            shown = ", ".join(one.label for one in party.parties)
            found.append(well("party file", f"{questions.party_config}: {shown}"))
        except FedcoreError as fault:
            found.append(lacking("party file", str(fault)))
    return task, party, found


def _line(finding: Finding) -> str:
    return f"{finding.name:<18} {finding.said}"
