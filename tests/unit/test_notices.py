"""Notices: who is told what, by mail and webhook; and that nobody counts as told who was not."""

from __future__ import annotations

import string
from collections.abc import Iterator
from datetime import date
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast, get_args

import pytest

from infra.local.ports import free_port
from schemas.agreement import Agreement, Language
from schemas.settings import Settings
from stream_jobs.month_close.notices.notice import Kind, Notice
from stream_jobs.month_close.notices.tell import notify
from stream_jobs.month_close.notices.wording import NOTICES, subject, text
from tests.receivers import LOOPBACK, SECRET, HttpReceiver, SmtpScript
from tests.unit.report_basis import OCTOBER, agreement

CONTACTS = [
    {"name": "P", "email": "p@provider.example", "role": "preparer"},
    {"name": "A", "email": "a@provider.example", "role": "approver"},
    {"name": "B", "email": "b@provider.example", "role": "approver"},
    {"name": "E", "email": "e@provider.example", "role": "escalation"},
]
DUE = date(2026, 11, 10)


def agreed(**more: Any) -> Agreement:
    return Agreement.model_validate(agreement(**{"contacts": CONTACTS, **more}))


def notice(kind: Kind = "reminder", **more: Any) -> Notice:
    return Notice(**{"kind": kind, "key": f"{kind} r1", "month": OCTOBER, "state": "draft", "due": DUE, "revision": 1,
                     **more})  # fmt: skip


@pytest.fixture
def hook() -> Iterator[HttpReceiver]:
    receiver = HttpReceiver()
    yield receiver
    receiver.close()


def settings(port: int | None = None) -> Settings:
    smtp = {"host": LOOPBACK, "port": port, "security": "none"} if port else {}
    return Settings(smtp=smtp, submit={"secret": SECRET, "timeout_seconds": 2})


@pytest.mark.parametrize(
    ("kind", "state", "told"),
    [
        ("reminder", "draft", "ab"), ("reminder", "approved", "p"), ("reminder", "rejected", "p"),
        ("reminder", "open", "p"), ("escalation", "draft", "e"), ("failure", "approved", "p"),
        ("overdue", "draft", "pabe"),
    ],
)  # fmt: skip
def test_who_can_do_something_is_told(kind: Kind, state: Any, told: str) -> None:
    one = notice(kind, state=state)
    assert one.recipients(agreed().contacts) == [f"{letter}@provider.example" for letter in told]
    assert one.recipients(agreed(contacts=CONTACTS[:1]).contacts) == ["p@provider.example"], "whoever there is"


@pytest.mark.parametrize(
    ("state", "command"),
    [
        ("open", "rollcall close 2026-10 --agreement east"),
        ("draft", "rollcall report approve 2026-10 --agreement east"),
        ("approved", "rollcall report submit 2026-10 --agreement east --by-hand"),
        ("rejected", "rollcall report draft 2026-10 --agreement east"),
        ("submitted", "rollcall report history 2026-10 --agreement east"),
    ],
)
@pytest.mark.parametrize("language", get_args(Language))
def test_the_command_that_brings_it_on_stands_in_it(state: Any, command: str, language: str) -> None:
    letter = text(notice(state=state, why="nobody has said yes"), agreed(language=language))
    assert command in [line.strip() for line in letter.splitlines()]
    assert "nobody has said yes" in letter
    assert len(letter) < 600


def test_every_language_says_the_same() -> None:
    def fields(words: Any) -> dict[str, set[str | None]]:
        return {k: {f for _, f, _, _ in string.Formatter().parse(v)} - {None} for k, v in words.items()}

    assert set(NOTICES) == set(get_args(Language))
    assert all(fields(words) == fields(NOTICES["en"]) for words in NOTICES.values())
    assert set(get_args(Kind)) <= set(NOTICES["en"])
    line = subject(notice(), agreed(language="ja"))
    assert line == "【確認依頼】2026年10月分報告書の提出期限は2026年11月10日です（east）"


def test_mail_and_webhook_reach_people_and_are_named(hook: HttpReceiver) -> None:
    mail, told = SmtpScript(), []
    one = agreed(reminders={"webhook": hook.url("/hook", host=LOOPBACK)})
    reached = notify(settings(mail.port), one, notice(), tell=told.append)
    mail.close()
    assert reached == ["a@provider.example", "b@provider.example", hook.url("/hook", host=LOOPBACK)]
    assert told == []
    message = cast(EmailMessage, message_from_bytes(mail.got[0][1], policy=policy.default))
    assert message["Subject"] == "Reminder: report October 2026 is due on 10 November 2026 (east)"
    (body,) = hook.accepted.values()
    assert body["type"] == "rollcall.notice.v1"
    assert {k: body["data"][k] for k in ("kind", "agreement", "month", "state", "due")} == {
        "kind": "reminder", "agreement": "east", "month": "2026-10", "state": "draft", "due": "2026-11-10",
    }  # fmt: skip


def test_the_same_occasion_has_the_same_id(hook: HttpReceiver) -> None:
    """A notice that comes twice is seen to be one; another occasion is not."""
    one = agreed(contacts=[], reminders={"webhook": hook.url("/hook", host=LOOPBACK)})
    for occasion in (notice(), notice(), notice(key="reminder another day"), notice(month=date(2026, 9, 1))):
        assert notify(settings(), one, occasion, tell=print)
    assert len(hook.requests) == 4
    assert len(hook.accepted) == 3


def test_one_refused_address_keeps_nothing_from_the_others() -> None:
    mail, told = SmtpScript(refused=("a@provider.example",)), []
    assert notify(settings(mail.port), agreed(), notice(), tell=told.append) == ["b@provider.example"]
    mail.close()
    assert "a@provider.example" in told[0]


@pytest.mark.parametrize("end", ["drop", "refuse", "hang"])
def test_who_may_not_have_got_it_does_not_count_as_told(end: Any) -> None:
    mail, told = SmtpScript(end=end), []
    assert notify(settings(mail.port), agreed(), notice(), tell=told.append) == []
    mail.close()
    assert len(told) == 1


def test_one_way_that_fails_does_not_hinder_the_other(hook: HttpReceiver) -> None:
    told: list[str] = []
    one = agreed(reminders={"webhook": hook.url("/hook", host=LOOPBACK)})
    assert notify(settings(), one, notice(), tell=told.append) == [hook.url("/hook", host=LOOPBACK)]
    assert "ROLLCALL_SMTP_HOST" in told[0]
    mail, told = SmtpScript(), []
    gone = agreed(reminders={"webhook": f"http://{LOOPBACK}:{free_port()}/"})
    assert notify(settings(mail.port), gone, notice(), tell=told.append) == ["a@provider.example", "b@provider.example"]
    mail.close()
    assert "cannot be reached" in told[0]


def test_nobody_to_tell_is_told() -> None:
    told: list[str] = []
    assert notify(settings(), agreed(contacts=[]), notice(), tell=told.append) == []
    assert told == ["agreement east has neither contacts nor a webhook: nobody is told"]


def test_a_webhook_that_refuses_is_not_reached(hook: HttpReceiver) -> None:
    hook.answers, told = [500], []
    one = agreed(contacts=[], reminders={"webhook": hook.url("/hook", host=LOOPBACK)})
    assert notify(settings(), one, notice(), tell=told.append) == []
    assert "500" in told[0]
