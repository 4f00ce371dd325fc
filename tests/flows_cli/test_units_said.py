"""What a person reads of a table's training counts rows, and of images' images."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import table_story as story

from fedcore.simulation import World, simulate
from flows.comparison_voice import ComparisonVoice
from flows.farewell import farewell


@pytest.fixture
def heard() -> list[str]:
    return []


def test_the_last_line_of_a_tables_training_counts_rows(tmp_path, heard):
    task = story.task(data={"classes": ["0", "1"]})
    folders = {
        party: story.write(tmp_path / party / "t.csv", story.patients(40, seed)).parent
        for seed, party in enumerate(("1", "2"))
    }
    end = simulate(task, folders, World(tmp_path / "world")).end
    told = {"end": {"end": end.model_dump(mode="json")}, "prefect": {}}
    seat = SimpleNamespace(task=task, output=None)
    farewell(SimpleNamespace(told=told, say=heard.append), SimpleNamespace(parties=(seat,)))
    assert "on 20 held-out rows of 20 patients" in heard[1]


@pytest.mark.parametrize(
    ("unit", "aside", "said"),
    [("row", 6, "6 rows set aside"), ("row", 1, "1 row set"), ("image", 1, "1 file set aside")],
)
def test_a_comparison_says_what_is_set_aside(heard, unit, aside, said):
    voice = ComparisonVoice(SimpleNamespace(say=heard.append), 1, 0)
    voice.tell("data", party="va", unit=unit, images=9, patients=9, test_images=0, set_aside=aside)
    assert heard == [f"va: 9 {unit}s of 9 patients, {said.removesuffix(' aside')} aside"]
