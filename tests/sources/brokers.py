"""Logins as their brokers tell them: rows, pages, lines and files of each source's own form, with what is no login."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from tests.log_analytics_server import POOL, connection
from tests.monitor_server import session
from tests.sources.people import Login, edges

NEW_YORK = ZoneInfo("America/New_York")
"""Of Guacamole's own clock."""


def citrix(login: Login) -> dict[str, Any]:
    """Failed, anonymous; a reconnect that failed, of a session that did too."""
    names, begun = login.person.names, login.begun or login.at
    domain, _, account = names["sam"].partition("\\")
    user = {"Upn": login.name, "Sid": names["sid"], "Domain": domain, "UserName": account}
    change: dict[str, Any] = {
        "StartDate": zulu(begun), "User": user, "Machine": {"DesktopGroup": {"Name": login.product}}
    }  # fmt: skip
    again = {"Id": login.number, "IsReconnect": True, "LogOnEndDate": zulu(login.at)}
    if login.begun:
        change["Connections"] = [again]
    if not login.counts:
        failed = again | {"ConnectionFailureLog": {"ConnectionFailureEnumValue": 2}}
        reasons: list[dict[str, Any]] = [
            {"FailureId": 1711}, {"IsAnonymous": True, "User": None}, {"FailureDate": zulu(login.at)},
            {"FailureId": 3, "Connections": [failed]},
        ]  # fmt: skip
        change |= reasons[login.number % 4]
    modified = edges(login.month)[1] + timedelta(minutes=5) if login.late else login.at + timedelta(minutes=3)
    return session(login.number, modified.astimezone(UTC), login.name, **change)


def avd(login: Login) -> dict[str, Any]:
    state = "Connected" if login.counts else ("Started", "Completed")[login.number % 2]
    return dict(connection(login.number, login.at.astimezone(UTC), login.name, State=state, _ResourceId=POOL))


def workspaces(logins: Sequence[Login]) -> str:
    return lines([
        {"version": "0", "id": f"64ca0eda-0000-4000-8000-{login.number:012}", "source": "aws.workspaces",
         "detail-type": "WorkSpaces Access" if login.counts else "WorkSpaces Alert", "account": "123456789012",
         "time": zulu(login.at + timedelta(minutes=9)), "region": "ap-northeast-1", "resources": [],
         "detail": {"actionType": "successfulLogin" if login.counts else "none", "loginTime": zulu(login.at),
                    "directoryId": f"domain/{login.product}", "workspaceId": machine(login)}}
        for login in logins
    ])  # fmt: skip


def inventory(logins: Sequence[Login]) -> str:
    """Whose machines they are."""
    owners = ((machine(login), login.name.partition("\\")[2]) for login in logins)
    return "WorkspaceId,UserName\n" + "".join(f'{each},"{owner}"\n' for each, owner in owners)


def machine(login: Login) -> str:
    return f"ws-{login.number:09}"


def secure_browser(logins: Sequence[Login]) -> str:
    return lines([
        {"timestamp": str(round(login.at.timestamp() * 1000)), "portalArn": login.product, "userName": login.name,
         "eventType": "StartSession" if login.counts else ("VisitPage", "EndSession", "Validation")[login.number % 3],
         "details": {}}
        for login in logins
    ])  # fmt: skip


def horizon_row(broker: Connection, login: Login) -> None:
    """Of the event database, in Tokyo's time; the account's name beside it."""
    kind = "AGENT_CONNECTED" if login.counts else ("BROKER_USERLOGGEDIN", "AGENT_DISCONNECTED")[login.number % 2]
    row = {"n": login.number, "k": kind, "t": login.at.strftime("%Y-%m-%d %H:%M:%S.%f"), "s": login.name,
           "p": login.product, "u": login.person.names["sam"]}  # fmt: skip
    broker.execute(text("INSERT INTO h_event VALUES (:n, :k, 'INFO', :t, :s, :p)"), row)
    broker.execute(text("INSERT INTO h_event_data VALUES (:n, 'UserDisplayName', 0, :u)"), row)


def horizon_syslog(login: Login) -> bytes:
    """RFC 6587, counted."""
    kind = "AGENT_CONNECTED" if login.counts else ("BROKER_USERLOGGEDIN", "AGENT_ENDED")[login.number % 2]
    line = (
        f'<110>1 {login.at.isoformat(timespec="milliseconds")} view-cs1 View - {login.number} [View@6876 '
        f'EventType="{kind}" UserSID="{login.name}" DesktopId="{login.product}"]'
    ).encode()
    return b"%d %s" % (len(line), line)


def guacamole_row(broker: Connection, login: Login) -> None:
    start = login.at.astimezone(NEW_YORK).strftime("%Y-%m-%d %H:%M:%S.%f")
    broker.execute(
        text("INSERT INTO guacamole_connection_history VALUES (:n, NULL, :u, '', 1, :c, :i, NULL, :s, NULL)"),
        {"n": login.number, "u": login.name, "c": login.product, "i": None if login.counts else 2, "s": start},
    )


def windows(logins: Sequence[Login]) -> str:
    """Over the network, unlocked, Windows itself, the machine."""
    found = []
    for login in logins:
        domain, _, account = login.name.partition("\\")
        data = {"TargetUserSid": login.person.names["sid"], "TargetUserName": account, "TargetDomainName": domain,
                "LogonType": ("2", "10", "11")[login.number % 3]}  # fmt: skip
        if not login.counts:
            data |= [{"LogonType": "3"}, {"LogonType": "7"}, {"TargetUserSid": "S-1-5-90-0-2"},
                     {"TargetUserName": "RDSH-1$"}][login.number % 4]  # fmt: skip
        found.append(
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><EventID>4624</EventID>"
            f"<TimeCreated SystemTime='{zulu(login.at, 'microseconds')[:-1]}7Z'/><EventRecordID>{login.number}"
            f"</EventRecordID><Computer>{login.product.upper()}</Computer></System><EventData>"
            + "".join(f"<Data Name='{name}'>{xml(value)}</Data>" for name, value in data.items())
            + "</EventData></Event>"
        )
    return "\n".join(found) + "\n"


def sshd(logins: Sequence[Login]) -> str:
    return "".join(
        f"{login.at.isoformat(timespec='microseconds')} bastion sshd[{login.number}]: "
        f"{'Accepted' if login.counts else 'Failed'} {login.product} for {login.name} from 192.0.2.7 port 50022 ssh2\n"
        for login in logins
    )  # fmt: skip


VPN_MAP = """records: csv
delimiter: ";"
source: /vpn/1
login:
  time: {from: Aangemeld om, format: "%d-%m-%Y %H:%M:%S", zone: Asia/Tokyo}
  subject: {text: "{Domein}\\\\{Gebruiker}"}
  product: {from: Pool, values: {"7": Kantoor}}
only:
  - {from: Resultaat, in: [OK]}
"""


def vpn(logins: Sequence[Login]) -> str:
    out = io.StringIO()
    rows = csv.writer(out, delimiter=";", lineterminator="\n")
    rows.writerow(["Domein", "Gebruiker", "Aangemeld om", "Pool", "Resultaat"])
    for login in logins:
        result = "OK" if login.counts else "Mislukt"
        rows.writerow([*login.name.split("\\"), login.at.strftime("%d-%m-%Y %H:%M:%S"), "7", result])
    return out.getvalue()


def portal(login: Login) -> dict[str, Any]:
    """An event as a portal of one's own sends it to the gateway; one that is none lacks the offset of its time."""
    at = login.at.isoformat(timespec="milliseconds")
    return {
        "specversion": "1.0", "id": f"p-{login.number}", "source": login.source, "type": "rollcall.login.v1",
        "time": at if login.counts else at.partition("+")[0], "subject": login.name,
        "data": {"tenant": login.person.tenant, "product": login.product},
    }  # fmt: skip


def instances(states: dict[str, str]) -> str:
    return "Name,Type,State\n" + "".join(f"{name},VPX,{state}\n" for name, state in states.items())


def zulu(at: datetime, precision: str = "milliseconds") -> str:
    return at.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def lines(values: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def xml(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;")
