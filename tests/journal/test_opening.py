from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.journal.scene import ANA, BEN, DAY, EVA, NOW, POLICY, RULES, Scene, receipt, said
from wabot.core.jobs import Event, Kind, Outcome, State
from wabot.core.messages import Status, Webhook
from wabot.journal import connections, opening
from wabot.journal.backup import copy
from wabot.journal.files import CannotOpen
from wabot.journal.journal import FILE_NAME, Journal, open_journal
from wabot.journal.opening import Purpose
from wabot.journal.restore import put_in_place

TOMORROW = Outcome(Event.HOLD, due_at=NOW + DAY, spent=False, error="not before tomorrow", code=131049)


async def opened(data_dir: Path, purpose: Purpose = Purpose.LIVE) -> Journal:
    return await open_journal(data_dir, rules=RULES, policy=POLICY, purpose=purpose)


async def contacts_after_a_fresh_start(data_dir: Path, purpose: Purpose) -> int:
    """How many are left of one that was there."""
    journal = await opened(data_dir, purpose)
    await journal.accept(Webhook(messages=(said("wamid.1"),)), NOW)
    await journal.close()
    journal = await open_journal(data_dir, rules=RULES, policy=POLICY, purpose=purpose, fresh=True)
    await journal.ping()
    await journal.close()
    with closing(sqlite3.connect(data_dir / FILE_NAME)) as db:
        return int(db.execute("SELECT count(*) FROM contacts").fetchone()[0])


async def opened_and_closed(data_dir: Path, purpose: Purpose = Purpose.LIVE) -> None:
    """Where it should have been refused, no thread stays behind."""
    await (await opened(data_dir, purpose)).close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def pragma(path: Path, name: str, value: int | None = None) -> object:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"PRAGMA {name}" + ("" if value is None else f" = {value}")).fetchone()


async def test_a_second_instance_is_refused_with_what_to_do(scene: Scene) -> None:
    with pytest.raises(CannotOpen, match=r"another wabot already uses .*wabot\.db: stop it, or .*server\.data_dir"):
        await opened_and_closed(scene.data_dir)
    await scene.hear(said("wamid.1"))


async def test_a_fresh_start_makes_a_sandboxes_journal_as_new(tmp_path: Path) -> None:
    def schema(data_dir: Path) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(data_dir / FILE_NAME)) as db:
            return db.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()

    used, new = tmp_path / "used", tmp_path / "new"
    assert await contacts_after_a_fresh_start(used, Purpose.SANDBOX) == 0
    await opened_and_closed(new, Purpose.SANDBOX)
    assert schema(used) == schema(new)
    assert pragma(used / FILE_NAME, "user_version") == pragma(new / FILE_NAME, "user_version")
    with closing(sqlite3.connect(used / FILE_NAME)) as db:
        assert db.execute("SELECT name FROM sqlite_sequence").fetchall() == []
        assert db.execute("SELECT value FROM meta WHERE key = 'purpose'").fetchone() == ("sandbox",)


async def test_a_fresh_start_is_not_refused_for_what_a_newer_wabots_sandbox_left(tmp_path: Path) -> None:
    await opened_and_closed(tmp_path, Purpose.SANDBOX)
    pragma(tmp_path / FILE_NAME, "user_version", 99)
    with pytest.raises(CannotOpen, match="install a newer wabot"):
        await opened_and_closed(tmp_path, Purpose.SANDBOX)
    journal = await open_journal(tmp_path, rules=RULES, policy=POLICY, purpose=Purpose.SANDBOX, fresh=True)
    await journal.close()
    assert pragma(tmp_path / FILE_NAME, "user_version") == (opening.VERSION,)


async def test_a_fresh_start_touches_no_real_journal_none_that_is_in_use_and_no_copy_that_was_put_back(
    tmp_path: Path,
) -> None:
    assert await contacts_after_a_fresh_start(tmp_path / "live", Purpose.LIVE) == 1
    with pytest.raises(CannotOpen):
        await open_journal(tmp_path / "live", rules=RULES, policy=POLICY, purpose=Purpose.SANDBOX, fresh=True)

    place = tmp_path / "sandbox"
    running = await opened(place, Purpose.SANDBOX)
    await running.accept(Webhook(messages=(said("wamid.1"),)), NOW)
    with pytest.raises(CannotOpen, match="another wabot already uses"):
        await open_journal(place, rules=RULES, policy=POLICY, purpose=Purpose.SANDBOX, fresh=True)
    assert await running.depths() != []
    await running.close()

    put_in_place(copy(place, tmp_path / "copy.db"), place)
    restored = await open_journal(place, rules=RULES, policy=POLICY, purpose=Purpose.SANDBOX, fresh=True)
    assert (await restored.of_contact(ANA, 0, ()))[0] is not None
    await restored.close()


async def test_a_second_process_is_refused_and_a_dead_one_leaves_no_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from wabot.journal.files import take\n"
            "path = Path(sys.argv[1]); take(path); print('locked', flush=True)\n"
            "time.sleep(60)",
            str(tmp_path / "data" / FILE_NAME),
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    with holder.stdout:
        try:
            assert holder.stdout.readline() == b"locked\n"
            with pytest.raises(CannotOpen):
                await opened_and_closed(tmp_path / "data")
        finally:
            holder.kill()
            holder.wait()
    await opened_and_closed(tmp_path / "data")


@pytest.mark.parametrize("content", [b"PK\x03\x04 not a database at all" * 50, b"SQLite format 3\x00 and no more"])
async def test_a_file_that_is_no_database_is_refused_and_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    before = set(threading.enumerate())
    with pytest.raises(CannotOpen, match=r"move wabot\.db, wabot\.db-wal and wabot\.db-shm aside"):
        await opened_and_closed(tmp_path)
    assert path.read_bytes() == content
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive(), "a thread left behind would keep the process from ending"


async def test_somebody_elses_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(CannotOpen, match=r"not a journal of wabot: move it aside or choose another server\.data_dir"):
        await opened_and_closed(tmp_path)
    assert path.read_bytes() == before


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    await opened_and_closed(tmp_path)
    pragma(tmp_path / FILE_NAME, "user_version", 99)
    with pytest.raises(CannotOpen, match=r"schema 99, this wabot knows 2: install a newer wabot"):
        await opened_and_closed(tmp_path)


async def test_a_damaged_journal_is_refused_after_an_unclean_end(scene: Scene) -> None:
    await scene.hear(*(said(f"wamid.{n}", body="x" * 500) for n in range(200)))
    await scene.journal.close()
    with closing(sqlite3.connect(scene.path)) as db:
        db.execute("UPDATE meta SET value = 'no' WHERE key = 'clean'")
        db.commit()
        root = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'messages_of'").fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
    with scene.path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(os.urandom(size))
    with pytest.raises(CannotOpen, match=r"move wabot\.db.* restore a backup \(python run\.py backup"):
        await opened_and_closed(scene.data_dir)
    for file in scene.data_dir.glob("wabot.db*"):
        file.unlink()
    await scene.open()


async def test_a_journal_that_another_program_holds_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened_and_closed(tmp_path)
    monkeypatch.setattr(connections, "_PRAGMAS", ("busy_timeout = 20", *connections._PRAGMAS[:2]))
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CannotOpen, match=r"locked.*other program") as refusal:
            await opened_and_closed(tmp_path)
        assert "aside" not in str(refusal.value)
    await opened_and_closed(tmp_path)


async def test_the_data_directory_is_for_our_user_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "deep" / "data"
    data_dir.mkdir(parents=True, mode=0o755)
    (data_dir / FILE_NAME).touch(mode=0o644)
    journal = await opened(data_dir)
    try:
        await journal.ping()
        assert mode(data_dir) == 0o700
        files = sorted(file.name for file in data_dir.iterdir())
        assert files == ["wabot.db", "wabot.db-shm", "wabot.db-wal", "wabot.db.lock"]
        assert {mode(data_dir / file) for file in files} == {0o600}
    finally:
        await journal.close()


async def test_files_that_a_link_or_another_user_put_there_are_refused_and_not_touched(tmp_path: Path) -> None:
    for name in (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}.lock"):
        data_dir = tmp_path / f"with {name}"
        data_dir.mkdir(mode=0o700)
        (tmp_path / "precious").write_text("precious")
        (tmp_path / "precious").chmod(0o644)
        (data_dir / name).symlink_to(tmp_path / "precious")
        with pytest.raises(CannotOpen, match="is a link"):
            await opened_and_closed(data_dir)
        assert ((tmp_path / "precious").read_text(), mode(tmp_path / "precious")) == ("precious", 0o644)
    os.mkfifo(tmp_path / FILE_NAME)
    with pytest.raises(CannotOpen, match="must be a file of wabot's user"):
        await opened_and_closed(tmp_path)


async def test_a_data_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotOpen, match=r"data is a link: name the directory that it leads to"):
        await opened_and_closed(tmp_path / "data")
    assert (mode(tmp_path / "elsewhere"), list((tmp_path / "elsewhere").iterdir())) == (0o755, [])


@pytest.mark.parametrize("rights", [0o777, 0o1777, 0o775])
async def test_a_directory_that_others_can_write_in_is_refused_and_not_touched(tmp_path: Path, rights: int) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(rights)
    with pytest.raises(CannotOpen, match=r"others can write in .*shared: chmod 700 it if"):
        await opened_and_closed(tmp_path / "shared")
    assert (stat.S_IMODE((tmp_path / "shared").stat().st_mode), list((tmp_path / "shared").iterdir())) == (rights, [])


async def test_a_directory_with_other_things_in_it_keeps_its_mode_and_our_files_their_own(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir(mode=0o755)
    (project / "index.html").touch(mode=0o644)
    for _ in range(2):
        await opened_and_closed(project)
        assert (mode(project), mode(project / FILE_NAME), mode(project / "index.html")) == (0o755, 0o600, 0o644)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to another user")
async def test_a_directory_of_another_user_is_refused_and_not_touched(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o755)
    os.chown(theirs, 12345, 12345)
    with pytest.raises(CannotOpen, match=r"belongs to uid 12345.*this runs as .*: run wabot as its owner"):
        await opened_and_closed(theirs)
    assert (mode(theirs), list(theirs.iterdir())) == (0o755, [])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_link_that_systemd_made_for_a_user_of_its_own_is_followed_and_one_of_that_users_is_not(
    tmp_path: Path,
) -> None:
    """`StateDirectory=` with `DynamicUser=`: /var/lib/wabot leads to /var/lib/private/wabot."""
    place = Path("/run") / f"wabot-{tmp_path.name}-{os.getpid()}"
    (place / "private" / "wabot").mkdir(parents=True, mode=0o755)
    try:
        os.chown(place / "private" / "wabot", 12345, 12345)
        (place / "wabot").symlink_to("private/wabot")
        (place / "theirs").symlink_to("private/wabot")
        os.chown(place / "theirs", 12345, 12345, follow_symlinks=False)
        script = (
            "import os, sys; from pathlib import Path; from wabot.journal.files import CannotOpen, take\n"
            "os.setgid(12345); os.setuid(12345)\n"
            "try: take(Path(sys.argv[1])); print('taken')\n"
            "except CannotOpen as error: print(error)\n"
        )

        def said(name: str) -> str:
            command = [sys.executable, "-c", script, str(place / name / FILE_NAME)]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        assert said("theirs") == f"server.data_dir {place}/theirs is a link: name the directory that it leads to\n"
        assert said("wabot") == "taken\n"
        assert mode(place / "private" / "wabot") == 0o700
    finally:
        shutil.rmtree(place)


async def test_a_journal_says_what_it_is_for_and_is_refused_for_anything_else(tmp_path: Path) -> None:
    await opened_and_closed(tmp_path / "live")
    await opened_and_closed(tmp_path / "sandbox", Purpose.SANDBOX)
    before = (tmp_path / "live" / FILE_NAME).read_bytes(), (tmp_path / "sandbox" / FILE_NAME).read_bytes()

    with pytest.raises(CannotOpen, match=r"real messages, which the sandbox does not touch: move it out of"):
        await opened_and_closed(tmp_path / "live", Purpose.SANDBOX)
    with pytest.raises(CannotOpen, match=r"the sandbox's journal: choose another server\.data_dir"):
        await opened_and_closed(tmp_path / "sandbox")

    assert before == ((tmp_path / "live" / FILE_NAME).read_bytes(), (tmp_path / "sandbox" / FILE_NAME).read_bytes())
    await opened_and_closed(tmp_path / "live")
    await opened_and_closed(tmp_path / "sandbox", Purpose.SANDBOX)


async def test_a_journal_that_was_kept_for_another_phone_number_id_starts_and_forgets_its_number(
    tmp_path: Path,
) -> None:
    async def our_number(phone_number_id: str, told: str | None = None) -> str:
        journal = await open_journal(tmp_path, rules=RULES, policy=POLICY, business=phone_number_id)
        try:
            if told:
                await journal.accept(Webhook(1, (said("wamid.1", business_number=told),)), NOW)
            return journal._business
        finally:
            await journal.close()

    assert await our_number("1234", told="15550001111") == "15550001111"
    assert await our_number("1234") == "15550001111"
    assert await our_number("12345") == "12345"


async def test_the_epoch_grows_with_every_opening_and_the_name_stays(scene: Scene) -> None:
    name = scene.journal.name
    epochs = []
    for _ in range(3):
        epochs.append(int(scene.row("SELECT value FROM meta WHERE key = 'epoch'")["value"]))
        await scene.restart()
    assert epochs == [1, 2, 3]
    assert scene.journal.name == name


async def test_two_journals_have_two_names(scene: Scene, tmp_path: Path) -> None:
    other = await opened(tmp_path / "other")
    assert other.name != scene.journal.name
    await other.close()


async def test_our_own_number_is_learnt_and_remembered(scene: Scene) -> None:
    await scene.hear(said("wamid.1", business_number="15550783881"))
    await scene.restart()
    _, (document,) = await scene.journal.of_contact(ANA, 0, ())
    assert document["to"] == "15550783881"


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of an upgrade beyond the newest schema, to be written by the test."""
    monkeypatch.setattr(opening, "UPGRADES", tmp_path)
    monkeypatch.setattr(opening, "VERSION", opening.VERSION + 1)
    return tmp_path / f"{opening.VERSION}.sql"


async def test_a_start_reads_no_table_of_the_present_version_whole(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check of all foreign keys took seconds for ten million messages."""
    await scene.journal.close()
    statements, open_file = list[str](), connections.open_file

    def listening(database: str, *, uri: bool = False) -> sqlite3.Connection:
        connection = open_file(database, uri=uri)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(connections, "open_file", listening)
    await scene.open()
    assert any("user_version" in statement for statement in statements)
    assert [statement for statement in statements if "check" in statement and "checkpoint" not in statement] == []


async def test_an_interrupted_upgrade_leaves_the_old_version_whole(
    scene: Scene, next_version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.hear(said("wamid.1"))
    await scene.journal.close()
    next_version.write_text("ALTER TABLE contacts ADD COLUMN mood TEXT;\nCREATE TABLE contacts (oops);\n")
    with pytest.raises(CannotOpen):
        await opened_and_closed(scene.data_dir)
    assert pragma(scene.path, "user_version") == (opening.VERSION - 1,)
    monkeypatch.undo()
    await scene.open()
    assert "mood" not in scene.row("SELECT * FROM contacts")
    assert scene.row("SELECT wamid FROM messages") == {"wamid": "wamid.1"}


async def test_an_upgrade_keeps_what_is_there_and_counts_up(scene: Scene, next_version: Path) -> None:
    await scene.hear(said("wamid.1"))
    next_version.write_text("ALTER TABLE contacts ADD COLUMN mood TEXT;\n")
    await scene.restart()
    assert scene.row("SELECT mood FROM contacts") == {"mood": None}
    assert pragma(scene.path, "user_version") == (opening.VERSION,)


def shape(path: Path) -> dict[str, object]:
    """Every table's columns, in whatever order, and every index as it was written."""
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        columns = {
            name: sorted(row[1:] for row in db.execute(f"SELECT * FROM pragma_table_xinfo('{name}')"))
            for name in tables
        }
        indexes = db.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
        )
        return {"columns": columns, "indexes": [(name, " ".join(sql.split())) for name, sql in indexes]}


FIRST_SCHEMA = Path(__file__).with_name("schema_1.sql")
"""As the first journals were made."""


async def test_an_upgraded_journal_is_made_like_a_new_one(tmp_path: Path) -> None:
    await opened_and_closed(tmp_path / "new")
    old = tmp_path / "old" / FILE_NAME
    old.parent.mkdir()
    with closing(sqlite3.connect(old)) as db:
        db.executescript(FIRST_SCHEMA.read_text("utf-8"))
        db.execute(f"PRAGMA application_id = {opening.APPLICATION_ID}")
        db.execute("PRAGMA user_version = 1")
    await opened_and_closed(old.parent)
    assert shape(old) == shape(tmp_path / "new" / FILE_NAME)


async def test_a_clean_end_leaves_everything_in_the_main_file(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    await scene.journal.close()
    wal = scene.path.with_name(FILE_NAME + "-wal")
    assert not wal.exists() or wal.stat().st_size == 0
    assert scene.row("SELECT value FROM meta WHERE key = 'clean'") == {"value": "yes"}
    await scene.open()
    assert scene.row("SELECT value FROM meta WHERE key = 'clean'") == {"value": "no"}


async def test_closing_a_journal_that_another_program_holds_still_ends(scene: Scene) -> None:
    await scene.journal._connection.run(lambda db: db.execute("PRAGMA busy_timeout = 20").fetchall())
    with closing(sqlite3.connect(scene.path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        await scene.journal.close()
    await scene.open()


async def test_a_restart_starts_running_replies_again_and_doubts_running_sends(scene: Scene) -> None:
    await scene.hear(said("wamid.1"), said("wamid.2", BEN))
    await scene.batch(ANA, BEN)
    scene.now += 2
    replies, sends = await scene.claim(Kind.REPLY), await scene.claim()
    assert (len(replies), len(sends)) == (2, 2)
    assert await scene.restart() == (2, 2)
    assert scene.jobs(Kind.REPLY, "state, spent") == [("queued", 1)] * 2
    assert scene.jobs(Kind.SEND, "state, spent, due_at") == [("in_doubt", 1, scene.now + 90)] * 2


async def test_a_hold_that_ended_while_we_were_down_starts_anew(scene: Scene) -> None:
    job = await scene.doubtful()
    scene.now += 1000
    assert await scene.restart() == (0, 0)
    assert await scene.journal.tend(scene.now) == []
    assert scene.job(job.id)["due_at"] == scene.now + 90


async def test_restarting_twice_is_restarting_once(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    await scene.batch(ANA, BEN)
    scene.now += 2
    await scene.claim(Kind.REPLY)
    await scene.claim()
    await scene.hear(said("wamid.2"))

    def everything() -> list[dict[str, object]]:
        return scene.rows("SELECT * FROM jobs") + scene.rows("SELECT * FROM messages")

    await scene.restart()
    once = everything()
    assert await scene.restart() == (0, 0)
    assert everything() == once


async def test_the_outcome_of_an_earlier_run_changes_nothing(scene: Scene) -> None:
    await scene.batch(ANA)
    early = await scene.claim_one()
    await scene.restart()
    assert await scene.settle(early, Outcome(Event.GIVE_UP)) is None
    assert scene.state(early.id) is State.IN_DOUBT
    await scene.told(receipt("wamid.1", Status.SENT, tag=early.tag))
    assert scene.state(early.id) is State.DONE


async def test_a_clock_that_was_set_back_keeps_nothing_held_longer_than_a_day(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    await scene.settle(job, TOMORROW)
    scene.now = NOW - 400 * DAY
    await scene.restart()
    assert scene.rows("SELECT due_at FROM jobs")[0]["due_at"] == scene.now + DAY


async def test_a_clock_that_was_set_back_keeps_nothing_waiting_longer_than_a_back_off(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    await scene.batch(ANA)
    scene.now = NOW - 7200
    await scene.restart()
    latest = scene.now + POLICY.backoff_max_seconds
    assert [row["due_at"] for row in scene.rows("SELECT due_at FROM jobs")] == [latest, latest]


async def test_a_clock_that_is_set_back_meanwhile_keeps_nothing_waiting_for_the_wrong_time(scene: Scene) -> None:
    """What is queued is soon due, a doubt has its hold, and what is held is looked at within a day."""
    await scene.hear(said("wamid.1"))
    doubt = await scene.doubtful(EVA)
    await scene.batch(BEN)
    job = await scene.claim_one()
    await scene.settle(job, TOMORROW)
    await scene.batch(BEN, batch_id="next")
    scene.now = NOW - 400 * DAY
    scene.notified.clear()
    await scene.journal.tend(scene.now)
    assert {row["id"]: row["due_at"] - scene.now for row in scene.rows("SELECT id, due_at FROM jobs")} == {
        1: POLICY.backoff_max_seconds,
        job.id: DAY,
        doubt.id: POLICY.hold_seconds,
        4: POLICY.backoff_max_seconds,
    }
    assert set(scene.notified) == {Kind.REPLY, Kind.SEND}


async def test_upkeep_leaves_alone_what_waits_as_long_as_it_was_meant_to(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    await scene.doubtful(BEN)
    await scene.batch(EVA)
    job = await scene.claim_one()
    await scene.settle(job, Outcome(Event.RETRY, due_at=NOW + 599, spent=False, error="as Meta asked", code=4))
    before = scene.rows("SELECT id, due_at FROM jobs")
    await scene.journal.tend(scene.now)
    assert scene.rows("SELECT id, due_at FROM jobs") == before


async def test_a_place_where_no_directory_can_be_made_is_named_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(
        CannotOpen, match=r"server\.data_dir /.+/file/data cannot be made \(Not a directory\): make it as"
    ):
        await opened_and_closed(tmp_path / "file" / "data")
