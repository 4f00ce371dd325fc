"""Batches made ahead for a GPU, with a stand-in for its streams: order, faults, the end."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
import torch

from fedcore.training.ahead import DEPTH, ahead
from fedcore.training.hardware import Hardware

GPU = Hardware("cuda")


class Event:
    """A point on a stream; waiting for it is written down."""

    def __init__(self, stream, number):
        self.stream, self.number = stream, number

    def synchronize(self):
        self.stream.story.append(("host waits for", self.stream.name, self.number))


class Stream:
    """Where work is handed to the GPU, in order."""

    def __init__(self, name, story):
        self.name, self.story, self.events = name, story, 0

    def record_event(self):
        self.events += 1
        return Event(self, self.events)

    def wait_event(self, event):
        self.story.append((self.name, "waits for", event.stream.name, event.number))

    def wait_stream(self, other):
        self.story.append((self.name, "waits for all of", other.name))

    def synchronize(self):
        self.story.append(("the end of", self.name))


@pytest.fixture
def story(monkeypatch):
    """What the streams of a GPU are told, in order."""
    told = []
    computing = Stream("computing", told)

    @contextmanager
    def entered(stream):
        yield stream

    monkeypatch.setattr(torch.cuda, "Stream", lambda: Stream("arriving", told))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: computing)
    monkeypatch.setattr(torch.cuda, "stream", entered)
    return told


def made(item):
    return (torch.tensor(item),)


def numbers(batches):
    return [int(one) for (one,) in batches]


def readers():
    return [one for one in threading.enumerate() if one.name.startswith("batches")]


@pytest.mark.parametrize("hardware", [Hardware(), GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("amount", [0, 1, 2, 7])
def test_every_batch_comes_once_and_in_order(story, hardware, amount):
    with ahead(range(amount), made, hardware) as batches:
        assert numbers(batches) == list(range(amount))
    assert readers() == []


def test_a_step_waits_for_its_batch_and_a_batch_is_held_until_its_step_is_done(story):
    with ahead(range(4), made, GPU) as batches:
        numbers(batches)
    assert story == [
        ("arriving", "waits for all of", "computing"),
        ("computing", "waits for", "arriving", 1),
        ("computing", "waits for", "arriving", 2),
        ("computing", "waits for", "arriving", 3),
        ("host waits for", "computing", 1),
        ("computing", "waits for", "arriving", 4),
        ("host waits for", "computing", 2),
        ("the end of", "computing"),
    ]


def test_no_more_batches_are_read_than_are_soon_needed(story):
    begun = []

    def noting(item):
        begun.append(item)
        return made(item)

    with ahead(range(100), noting, GPU) as batches:
        next(batches)
    assert len(begun) <= DEPTH + 1


@pytest.mark.parametrize("hardware", [Hardware(), GPU], ids=["cpu", "gpu"])
def test_what_goes_wrong_with_a_batch_is_raised_where_it_is_asked_for(story, hardware):
    def torn(item):
        if item == 3:
            raise KeyError("torn")
        return made(item)

    seen = []
    with pytest.raises(KeyError, match="torn"), ahead(range(9), torn, hardware) as batches:
        seen.extend(int(one) for (one,) in batches)
    assert readers() == []


def test_whoever_stops_in_the_middle_leaves_no_thread_behind(story):
    with ahead(range(9), made, GPU) as batches:
        next(batches)
    assert readers() == []
    assert story[-1] == ("the end of", "computing")
