from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wabot.core.passages import PASSAGE_CHARACTERS, Passage, passages, query
from wabot.knowledge.search import Index

FACTS = {
    "hours.md": "# Opening hours\n\nWe open at nine.\n\n## On Sunday\n\nClosed.",
    "prices.md": "# Prices\n\nTulips cost 3 €.\n\n## Delivery\n\nIn Berlin deliveries are free.",
    "hindi.md": "# कीमतें\n\nगुलाब की कीमत पाँच यूरो है।\n\n# वापसी\n\nचौदह दिनों में पैसा वापस।",
    "arabic.md": "# الأسعار\n\nسعر الورد خمسة يورو.\n\n# الإرجاع\n\nيمكنك إرجاع المنتج خلال أسبوعين.",
    "spanish.md": "# Envío\n\nEl envío a España tarda tres días.\n\n# Garantía\n\nDos años.",
}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("How much is a tulip?", "Tulips cost"),
        ("is delivery free", "deliveries are free"),
        ("Sunday??", "Closed."),
        ("गुलाब की कीमत क्या है", "गुलाब की कीमत"),
        ("वापसी कैसे करें", "पैसा वापस"),
        ("كم سعر الورد؟", "سعر الورد"),
        ("cuanto tarda el envio a espana", "tarda tres"),
        ("¿Hay garantía?", "Dos años"),
    ],
)
def test_the_passage_that_fits_a_question_best_is_found(asked: str, found: str) -> None:
    (passage,) = Index(FACTS).best([asked], 80)
    assert found in passage.text


def test_as_many_passages_as_there_is_room_for_stand_in_the_order_of_the_files() -> None:
    index = Index({f"{n:03}.md": f"# Rose {n}\n\n" + "A rose is red. " * 60 for n in range(50)})
    found = index.best(["Tell me about the rose 7"], 5000)
    assert [one.file for one in found] == sorted(one.file for one in found)
    assert "007.md" in {one.file for one in found}
    assert 3000 < sum(len(one.shown()) for one in found) <= 5000


@pytest.mark.parametrize("asked", ["", "?!", '"', "NEAR(", "* OR AND NOT", "text:", "😀", "a" * 100_000, "\x00'"])
def test_whatever_people_write_is_no_error(asked: str) -> None:
    assert Index(FACTS).best([asked], 1000) == () or asked in {"* OR AND NOT", "text:"}


def test_a_text_is_cut_at_its_headings_and_long_paragraphs_at_spaces() -> None:
    text = "Hello.\n# A\nOne.\n\nTwo.\n## B\n" + "word " * 900 + "\n# C\nThree."
    first, one, *long, last = passages("f.md", text)
    assert (first, one, last) == (
        Passage("f.md", "", "Hello."), Passage("f.md", "A", "One.\n\nTwo."), Passage("f.md", "C", "Three."),
    )  # fmt: skip
    assert {each.heading for each in long} == {"A > B"}
    assert " ".join(each.text for each in long).split() == ["word"] * 900
    assert max(len(each.text) for each in long) <= PASSAGE_CHARACTERS


def test_the_newest_words_are_searched_for_first() -> None:
    assert query(["old tulips", "new roses"]) == '"new" OR "rose"* OR "old" OR "tulip"*'


@given(st.text(alphabet="ab \n", max_size=200), st.integers(1, 40))
def test_no_word_of_a_text_is_lost_by_cutting(text: str, times: int) -> None:
    found = list(passages("f.md", text * times))
    assert "".join("".join(one.text.split()) for one in found) == "".join((text * times).split())
    assert all(0 < len(one.text) <= PASSAGE_CHARACTERS for one in found)


def test_a_line_of_many_megabytes_is_cut_in_linear_time() -> None:
    began = time.process_time()
    assert sum(1 for _ in passages("f.md", "Tulips cost three euros. " * (1 << 20))) > 10_000
    assert time.process_time() - began < 3
