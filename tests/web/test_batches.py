"""/batches, as the contract has them: counts, results, and the table."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from tests.business import ANA, EVA, Business
from tests.web.shapes import queue, refusal, tried
from wabot.web.batches import CSV_COLUMNS


async def test_a_batch_has_counts_and_results(patient: Business) -> None:
    batch = await queue(patient, ANA, "12", EVA, ANA)
    await tried(patient, 2)
    answer = await patient.get(f"/batches/{batch['batch_id']}")
    assert answer.status == 200
    results = answer.json["results"]
    assert {key: answer.json[key] for key in ("batch_id", "total", "successful", "failed", "queued")} == {
        "batch_id": batch["batch_id"], "total": 4, "successful": 2, "failed": 1, "queued": 1,
    }  # fmt: skip
    assert [(result["number"], result["status"]) for result in results] == [
        (ANA, "sent"), ("12", "failed"), (EVA, "queued"), (ANA, "sent"),
    ]  # fmt: skip


async def test_a_batch_comes_as_a_table_too(patient: Business) -> None:
    batch = await queue(patient, ANA, "12", EVA)
    await tried(patient, 2)
    answer = await patient.get(f"/batches/{batch['batch_id']}", params={"format": "csv"})
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert list(table[0]) == list(CSV_COLUMNS)
    assert [(row["number"], row["status"], row["error_code"]) for row in table] == [
        (ANA, "sent", ""), ("12", "failed", "invalid_number"), (EVA, "queued", ""),
    ]  # fmt: skip
    assert table[0]["wamid"] == patient.meta.sent[0].wamid
    assert table[1]["error"] == "Invalid phone number"


@pytest.mark.parametrize(
    "evil",
    [
        "=1+1", "+SUM(A1)", "-2+3", "@cmd", "\t=1", "\r=1", '=HYPERLINK("http://x","y")', "\n=1", "\r\n@x", " =1",
        "\u2028=1", "\ufeff=1", "\u200e-1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20x", ";=1", "; -1", "\tx", "\n",
    ],
)  # fmt: skip
async def test_no_cell_of_a_table_is_a_formula(wabot: Business, evil: str) -> None:
    batch = await queue(wabot, evil, "12")
    answer = await wabot.get(f"/batches/{batch['batch_id']}", params={"format": "csv"})
    table = list(csv.reader(io.StringIO(answer.body.decode(), newline="")))
    assert table[1][0] == "'" + evil
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in table for cell in row)
    assert batch["results"][0]["number"] == evil  # what is read by a program stays what it was


@pytest.mark.parametrize(
    ("evil", "shown"),
    [("a;=1", "a;'=1"), ("a,-1", "a,'-1"), ("a\n\uff1d1", "a\n'\uff1d1"), ("a;b; @c", "a;b;' @c"), ("a-b=c", "a-b=c")],
)
async def test_nor_is_what_other_programs_take_for_a_cell(wabot: Business, evil: str, shown: str) -> None:
    batch = await queue(wabot, evil)
    answer = await wabot.get(f"/batches/{batch['batch_id']}", params={"format": "csv"})
    assert list(csv.reader(io.StringIO(answer.body.decode(), newline="")))[1][0] == shown


async def test_an_unknown_batch_or_format_is_refused(wabot: Business) -> None:
    batch = await queue(wabot, ANA)
    refusal(await wabot.get("/batches/nothing"), 404)
    refusal(await wabot.get(f"/batches/{batch['batch_id']}", params={"format": "xlsx"}), 422)


async def test_batches_are_listed_newest_first_with_their_counts_and_their_state(patient: Business) -> None:
    first, second = await queue(patient, ANA, "12"), await queue(patient, EVA)
    await tried(patient, 2)
    answer = await patient.get("/batches")
    assert (answer.status, answer.json["count"], "next_cursor" in answer.json) == (200, 2, False)
    running, settled = answer.json["batches"]
    assert running.items() >= {
        "batch_id": second["batch_id"], "state": "running", "total": 1, "successful": 0, "failed": 0, "queued": 1,
    }.items()  # fmt: skip
    assert settled.items() >= {
        "batch_id": first["batch_id"], "state": "settled", "total": 2, "successful": 1, "failed": 1, "queued": 0,
    }.items()  # fmt: skip
    whole = (await patient.get(f"/batches/{first['batch_id']}")).json
    del whole["results"]
    assert whole == settled
    page = (await patient.get("/batches", params={"limit": 1})).json
    rest = (await patient.get("/batches", params={"limit": 1, "cursor": page["next_cursor"]})).json
    assert [*page["batches"], *rest["batches"]] == [running, settled]


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"cursor": "junk"}, {"page": "2"}], ids=str)
async def test_a_list_of_batches_that_makes_no_sense_is_refused(wabot: Business, query: dict[str, str]) -> None:
    refusal(await wabot.get("/batches", params=query), 422)


async def test_a_batch_is_cancelled_and_its_waiting_caller_gets_an_answer(patient: Business) -> None:
    batch = await queue(patient, ANA, EVA)
    await tried(patient, 2)
    answer = await patient.post(f"/batches/{batch['batch_id']}/cancel")
    assert answer.status == 200
    counts = {"state": "cancelled", "total": 2, "successful": 1, "failed": 1, "queued": 0}
    assert answer.json.items() >= counts.items()
    assert "results" not in answer.json
    again = await patient.post(f"/batches/{batch['batch_id']}/cancel")
    assert (again.status, again.json) == (200, answer.json)
    whole = (await patient.get(f"/batches/{batch['batch_id']}")).json
    assert whole.items() >= counts.items()
    assert [result.get("error_code") for result in whole["results"]] == [None, "cancelled"]
    refusal(await patient.post("/batches/nothing/cancel"), 404)


async def test_a_settled_batch_has_nothing_to_cancel(wabot: Business) -> None:
    batch = await queue(wabot, ANA)
    answer = await wabot.post(f"/batches/{batch['batch_id']}/cancel")
    assert (answer.json["state"], answer.json["successful"]) == ("settled", 1)


async def test_a_batch_names_its_template_before_and_after_it_has_left(patient: Business) -> None:
    template = {"name": "hello_world", "language": "en_US"}
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for more in ({"send_at": later}, {}):
        batch = await patient.post("/initiate-bulk", {"numbers": ["12", ANA], "template": template, **more})
        assert batch.json["template"] == template
        (listed,) = (await patient.get("/batches", params={"limit": "1"})).json["batches"]
        assert listed["template"] == template
    long = [{"type": "body", "parameters": [{"type": "text", "text": "x" * 2000}]}]
    people = {"recipients": [{"number": EVA, "components": long}], "template": template}
    assert (await patient.post("/initiate-bulk", people)).json["template"] == template
    nobody = await patient.post("/initiate-bulk", {"numbers": ["12"], "template": template})
    assert nobody.json["template"] == template
    cancelled = await patient.post("/initiate-bulk", {"numbers": [EVA], "template": template, "send_at": later})
    answer = await patient.post(f"/batches/{cancelled.json['batch_id']}/cancel")
    assert (answer.json["state"], answer.json["template"]) == ("cancelled", template)
