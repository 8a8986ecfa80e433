from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wabot.core import whatsapp_text
from wabot.core.whatsapp_text import LONGEST, MAX_BODY, MOST_BUBBLES, for_whatsapp, sendable


def shown(text: str) -> str:
    (bubble,) = for_whatsapp(text)
    return bubble


@pytest.mark.parametrize(
    ("markdown", "whatsapp"),
    [
        ("**bold**", "*bold*"),
        ("__bold__", "*bold*"),
        ("*italic*", "_italic_"),
        ("_italic_", "_italic_"),
        ("***both***", "*_both_*"),
        ("**bold *and italic* in it**", "*bold _and italic_ in it*"),
        ("*italic **and bold** in it*", "_italic *and bold* in it_"),
        ("**Price:** 10 €, **Size:** L", "*Price:* 10 €, *Size:* L"),
        ("~~gone~~", "~gone~"),
        ("**Note:**so, item**s**", "*Note:*so, item*s*"),
        ("这是**重点**内容", "这是*重点*内容"),
        ("“*so*”, (**so**)", "“_so_”, (*so*)"),
    ],
)
def test_emphasis_is_spelt_as_whatsapp_reads_it(markdown: str, whatsapp: str) -> None:
    assert shown(markdown) == whatsapp


@pytest.mark.parametrize(
    "text",
    [
        "2 * 3 * 4",
        "2*3*4 cm",
        "a snake_case_name and another_one",
        "**open",
        "5* and 4* hotels",
        "** spaced **",
        "a * b",
        "#hashtag",
        "+49 30 123",
        "1. one\n2. two",
        "> quoted",
        "use `**kwargs` here",
        "https://shop.example/a__b__c/?x=_y_",
        "x | y",
        "a [b] (c)",
    ],
)
def test_what_is_no_markup_stays(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("markdown", "whatsapp"),
    [
        ("[Our shop](https://a.example)", "Our shop (https://a.example)"),
        ("[https://a.example](https://a.example)", "https://a.example"),
        ("[me@a.example](mailto:me@a.example)", "mailto:me@a.example"),
        ("<https://a.example/x_y>", "https://a.example/x_y"),
        ("![Tulips](https://a.example/t.png)", "Tulips (https://a.example/t.png)"),
        ('[a](https://a.example "Title")', "a (https://a.example)"),
        ("[**a**](https://a.example/_(b)_c)", "*a* (https://a.example/_(b)_c)"),
        ("see [a](https://a.example), [b](https://b.example).", "see a (https://a.example), b (https://b.example)."),
    ],
)
def test_links_show_where_they_lead(markdown: str, whatsapp: str) -> None:
    assert shown(markdown) == whatsapp


@pytest.mark.parametrize(
    ("markdown", "whatsapp"),
    [
        ("# Hours", "*Hours*"),
        ("### **Hours** and *more* ###", "*Hours and _more_*"),
        ("# C#", "*C#*"),
        ("* one\n- two\n+ three", "• one\n• two\n• three"),
        ("- a\n  - **b**", "• a\n  • *b*"),
        ("a\n\n---\n\nb", "a\n\nb"),
        ("a\n* * *\nb", "a\n\nb"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        (r"\*not\_ marked\*", "*not_ marked*"),
        ("a  \nb", "a\nb"),
    ],
)
def test_blocks_are_spelt_as_whatsapp_reads_them(markdown: str, whatsapp: str) -> None:
    assert shown(markdown) == whatsapp


def test_code_fences_stay_and_nothing_in_them_is_touched() -> None:
    code = "def f(**kw):\n    # not a heading\n* a"
    assert shown(f"So:\n```python\n{code}\n```\n**done**") == f"So:\n```\n{code}\n```\n*done*"


def test_a_fence_that_never_closes_is_closed() -> None:
    assert shown("```\n**a**") == "```\n**a**\n```"


def test_a_table_becomes_a_list_that_names_its_columns() -> None:
    table = "| Plan | Price | Seats |\n|:-----|------:|---|\n| **Basic** | 10 € | 2 |\n| Pro | 20 € | |\nAfter"
    assert shown(table) == "• *Basic* – Price: 10 €, Seats: 2\n• *Pro* – Price: 20 €\nAfter"


def test_a_table_may_be_ragged_or_empty() -> None:
    assert shown("a | b\n--- | ---\n1 | 2 | 3\n| |\n4 |") == "• *1* – b: 2, 3\n• *4*"
    assert shown("| a | b |\n|---|---|") == "a | b"


@pytest.mark.parametrize("text", ["", " \n\t\r\n ", "\x00\x07", "\ud800", "\u200b\u2060", "---"])
def test_nothing_to_show_is_no_bubble(text: str) -> None:
    assert for_whatsapp(text) == ()


def test_what_cannot_be_sent_is_left_out() -> None:
    assert sendable("a\x00b\x1b[0m\ud83dc\ufeff\td\r\ne\u2028f") == "ab[0mc\td\ne\nf"
    assert sendable("👨‍👩‍👧 می‌خواهم ❤️") == "👨‍👩‍👧 می‌خواهم ❤️"


def test_a_text_that_just_fits_is_one_bubble() -> None:
    assert for_whatsapp("x" * MAX_BODY) == ("x" * MAX_BODY,)


@pytest.mark.parametrize(("gap", "kept"), [("\n\n", ""), ("\n", ""), (". ", "."), ("。", "。"), (" ", "")], ids=repr)
def test_a_long_text_breaks_at_the_best_place(gap: str, kept: str) -> None:
    first, second = "a" * 3000, "b" * 3000
    assert for_whatsapp(first + gap + second, 2) == (first + kept, second)


def test_a_paragraph_is_a_better_break_than_a_later_word() -> None:
    first, second = "a" * 2500, "b c " * 1000 + "d"
    assert for_whatsapp(f"{first}\n\n{second}", 2) == (first, second)


def test_a_text_without_any_break_is_cut_where_it_must() -> None:
    assert for_whatsapp("x" * 5000, 2) == ("x" * MAX_BODY, "x" * (5000 - MAX_BODY))


def test_what_is_too_long_for_all_bubbles_ends_with_an_ellipsis() -> None:
    bubbles = for_whatsapp("word " * 10_000, 3)
    assert [bubble[-1] for bubble in bubbles] == ["d", "d", "…"]
    assert all(MAX_BODY - 10 < len(bubble) <= MAX_BODY for bubble in bubbles)


def test_by_default_an_answer_is_one_bubble_that_ends_at_a_sentence() -> None:
    (bubble,) = for_whatsapp("This is a sentence. " * 1_000)
    assert bubble.endswith("This is a sentence.…")
    assert MAX_BODY - 20 < len(bubble) <= MAX_BODY


@pytest.mark.parametrize(
    "piece",
    [
        "*", "* ", "*a ", " *a", "*a*", "a* ", "**a ", "_", " _a", "~", "`", "`a", "[", "[a", "[a](", "[a](b",
        "[a](b(c)", "[a]()", "![a](<b", '[a](b "c', "(", "<http://a", "http://", "\\", "#", "# ", "|", "|-",
        "|\n|-|\n", "- ", "\n", "\n\n", "```\n", "```", " ", "\t", " a", "\u200b", "\x00", ". ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("around", ["{}", "x{}", "# {}x", "**a {}", " _a" * 9_000 + "{}", "*a **b __c " * 3_000 + "{}"])
def test_hostile_input_takes_linear_time(piece: str, around: str) -> None:
    text = around.format(piece * (50_000 // len(piece)))
    began = time.process_time()
    bubbles = for_whatsapp(text, MOST_BUBBLES)
    assert time.process_time() - began < 2
    assert all(len(bubble) <= MAX_BODY for bubble in bubbles)


def test_a_wall_of_stars_takes_no_time() -> None:
    began = time.process_time()
    assert for_whatsapp("*" * 200_000) == ()
    assert len(for_whatsapp("x" + "*" * 200_000, MOST_BUBBLES)) == MOST_BUBBLES
    assert time.process_time() - began < 1


def cpu_seconds(text: str) -> float:
    """The least of three: what it takes when nobody disturbs."""

    def once() -> float:
        began = time.process_time()
        for_whatsapp(text, MOST_BUBBLES)
        return time.process_time() - began

    return min(once() for _ in range(3))


def table(columns: int, rows: int, *, head: str = "a", row: str = "|") -> str:
    return f"{f'|{head}' * columns}\n{'|-' * columns}\n" + f"{row}\n" * rows


@pytest.mark.parametrize("row", ["|", "||", "| b |"])
def test_a_wide_table_takes_twice_as_long_when_it_is_twice_as_large(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whatsapp_text, "LONGEST", 1 << 20)
    small, large = (cpu_seconds(table(size, size, row=row)) for size in (2_000, 16_000))
    assert large < 24 * small  # 8 times as large; 64 times as long where each row costs the whole head


@pytest.mark.parametrize(
    "answer",
    [
        table(40_000, 40_000),
        table(2, 20_000, head="a" * 20_000, row="|b|c|"),
        "x\n" * 1_000_000,
        " \n" * 1_000_000 + "x" + " \n" * 1_000_000,
        "**a** _b_ " * 500_000,
    ],
    ids=["wide table", "long heads", "many lines", "blank lines", "marks"],
)
def test_no_answer_holds_up_the_loop_however_long_it_is(answer: str) -> None:
    assert cpu_seconds(answer) < 0.1


def test_what_was_not_read_is_hinted_at() -> None:
    assert for_whatsapp("a" + "\n" * LONGEST + "b") == ("a…",)
    assert for_whatsapp(" " * LONGEST + "b") == ("b",)
    assert for_whatsapp("a" + " " * LONGEST) == ("a",)


@settings(deadline=None)
@given(st.text() | st.text(alphabet="ab1 *_~`#|->[]()\\\n!<:/\u200b\ud800\x00", max_size=200))
def test_every_bubble_can_be_sent(text: str) -> None:
    for bubble in for_whatsapp(text, MOST_BUBBLES):
        assert bubble == sendable(bubble).strip()
        assert bubble.encode()


@settings(deadline=None)
@given(st.text(alphabet="abc12 *_~\n.>-#\\", max_size=200))
def test_no_word_is_lost_or_moved(text: str) -> None:
    assert letters("".join(for_whatsapp(text))) == letters(text)


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))
