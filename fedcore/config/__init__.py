"""The files that people write: task file and party file, frozen and checked to the last field."""

from fedcore.config.address import Address
from fedcore.config.party import PartyFile, PartyRef, load_party_file
from fedcore.config.task import TaskFile, load_task_file

__all__ = ["Address", "PartyFile", "PartyRef", "TaskFile", "load_party_file", "load_task_file"]
