"""The report: self-contained, escaped, accessible, and honest about what is not known."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import training_story as story
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcore.config.columns import layouts
from fedcore.data.columns import CategoricalColumn, NumericColumn
from fedcore.explain.figures import drawings
from fedcore.explain.outcome import outcome_of
from fedcore.explain.report import render, sentences, tiles, write_report
from fedcore.explain.report_tables import Story
from fedcore.explain.statistics_tables import read_statistics
from fedcore.rounds.statistics_messages import PooledStatistics
from fedcore.statistics import ColumnSummary, pool_columns

TASK = story.task_file()
HEADS = {"coordinator": {"index": 57, "hash": "ab" * 32}}
ALL = {"9999", "10000", "10001"}


def told(records=None, end=None, hellos=None, agreement=None, task=TASK) -> Story:
    end = story.end() if end is None else end
    records = story.records(12) if records is None else records
    hellos = story.hellos(task) if hellos is None else hellos
    return Story(task, agreement or story.agreement(task), hellos, records, end, outcome_of(end))


class Page(HTMLParser):
    """The page's text and elements, as a browser reads them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    records = story.records(12, absent={(4, "10000"), (5, "10000")}, withheld={"10001"})
    end = story.end(withheld={"10001"})
    agreement, hellos = story.agreement(TASK), story.hellos(TASK)
    write_report(path, TASK, agreement, hellos, records, end, HEADS)
    return path.read_text()


def test_the_page_needs_nothing_from_elsewhere(html):
    page = Page(html)
    names = {name for name, _ in page.elements}
    assert not names & {"script", "link", "img", "iframe", "object", "image"}
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href")
    ]
    assert all(address and address.startswith("#") for address in addresses)
    assert not re.search(r"url\((?!#)|@import", html)


def test_the_page_is_well_formed_and_can_be_listened_to(html):
    page = Page(html)
    assert page.open == []
    assert dict(page.elements[0][1]) == {"lang": "en"}
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch(r"h[1-6]", name)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all(one.get("role") == "img" and one.get("aria-label") for one in page.all("svg"))
    assert all(one.get("scope") in ("col", "row") for one in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert len(page.all("svg")) == 4


def test_what_was_withheld_is_said_and_absences_have_a_reason(html):
    text = " ".join(Page(html).texts)
    assert "withheld: fewer than 5 patients" in text
    assert "The test numbers of host-10001 are withheld" in text
    assert re.search(r"host-10000\s+late\s+4-5", text)
    assert re.search(r"guest-9999\s+no pixels\s+3", text)


def test_hashes_and_ledger_heads_are_whole(html):
    text = " ".join(Page(html).texts)
    for digest in (story.end().best.sha256, TASK.fingerprint(), HEADS["coordinator"]["hash"]):
        assert digest in text


def test_the_task_file_is_shown_as_it_was_run(html):
    page = Page(html)
    assert TASK.to_yaml() in "".join(page.texts)


@settings(max_examples=25, deadline=None)
@given(text=st.text(min_size=1, max_size=30))
def test_text_from_outside_never_becomes_markup(text):
    hostile = f'<script>alert("{text}")</script>&{text}'
    end = story.end((hostile, "other")).model_copy(update={"reason": hostile})
    told_story = told(story.records(2), end, {})
    plain = render(told_story, {hostile: {"index": 1, "hash": hostile}}, [])
    assert "<script" not in plain
    assert "&lt;script&gt;" in plain


def test_nobody_reporting_is_said_and_not_invented():
    silent = told(end=story.end(withheld=ALL))
    assert "nothing can be said" in sentences(silent)[1]
    assert [tile["value"] for tile in tiles(silent)[:3]] == ["\N{EN DASH}"] * 3
    page = render(silent, {}, [])
    assert "All together" not in page


def test_a_training_without_rounds_hellos_or_scores_still_has_a_report():
    end = story.end().model_copy(update={"scores": {}, "rounds": 0})
    page = Page(render(told([], end, {}), {}, []))
    assert page.open == []
    assert "no answer" in page.texts


def test_one_party_alone_reads_in_the_singular():
    parties = (("9999", "guest"),)
    end = story.end(parties=parties, rounds=1)
    alone = told(
        story.records(1, parties),
        end,
        story.hellos(TASK, parties=parties),
        story.agreement(TASK, parties),
    )
    assert "at 1 party" in sentences(alone)[0]
    assert "between the parties" not in sentences(alone)[1]


def test_rounds_without_a_record_are_named():
    holes = [one for one in story.records(12) if one.round not in (3, 7, 8)]
    assert "3, 7-8" in render(told(holes), {}, [])


def told_statistics(task) -> PooledStatistics:
    known = layouts(task, story.CLASSES)
    by_class, each, pixels, maker = known[0], known[3], known[4], known[6]
    images = np.arange(40.0)
    parts = {
        "9999": [
            CategoricalColumn.of(by_class, ["normal"] * 30 + ["pneumonia"] * 12),
            NumericColumn.of(each, np.ones(42)),
            NumericColumn.of(pixels, images * 6),
            CategoricalColumn.of(maker, ["<b>Maker</b>"] * 42),
        ],
        "10000": [
            CategoricalColumn.of(by_class, ["normal"] * 30 + ["pneumonia"] * 2),
            NumericColumn.of(pixels, images * 3),
        ],
    }
    columns = {
        party: {one.layout.name: one.summary(5) for one in own} for party, own in parts.items()
    }
    full = {
        party: [
            own.get(one.name, ColumnSummary(one, 0, None, (None,) * one.cells)) for one in known
        ]
        for party, own in columns.items()
    }
    return PooledStatistics(
        run=story.RUN,
        parties={party: tuple(one.to_json() for one in own) for party, own in full.items()},
        absent={"10001": "withheld: policy"},
        total=tuple(one.to_json() for one in pool_columns(full.values()).values()),
    )


def test_the_data_before_the_training_is_shown_per_party_and_together(tmp_path):
    task = story.task_file(data={"statistics": "full"})
    path = tmp_path / "report.html"
    statistics = told_statistics(task)
    arguments = (story.agreement(task), story.hellos(task), story.records(2), story.end(), HEADS)
    write_report(path, task, *arguments, statistics)
    page = Page(path.read_text())
    text = " ".join(" ".join(page.texts).split())
    assert page.open == []
    assert len(page.all("svg")) == 5
    assert "class/train: guest-9999 42 0" in text
    assert "normal 30, pneumonia 12" in text
    assert "class/train: host-10000 32 0 \N{EN DASH} \N{EN DASH} withheld 32" in text
    assert "pixel value: All together 80 0" in text
    assert "host-10001 withheld: policy" in text
    assert "<b>Maker" not in path.read_text()
    assert drawings_with(task, statistics)[0].name == "statistics"


def drawings_with(task, statistics):
    data = read_statistics(statistics, task, story.CLASSES)
    return drawings(story.agreement(task), [], story.end(), data)


def test_without_statistics_the_report_does_not_speak_of_them(html):
    assert "Statistics" not in " ".join(Page(html).texts)
