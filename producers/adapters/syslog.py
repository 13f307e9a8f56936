"""RFC 5424 syslog lines: the header's time and host, and the parameters of structured data. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

# What a relay writes to a file may lack the priority and version.
_HEAD = re.compile(r"(?:<[0-9]{1,3}>[1-9][0-9]{0,2} )?(\S+) (\S+) (\S+) (\S+) (\S+) (?=\[|-)")
_ELEMENT = re.compile(r'\[([^ =\]"]{1,32})((?: [^ =\]"]{1,32}="(?:[^"\\\]]|\\.)*")*)\]')
_PARAMETER = re.compile(r' ([^ =\]"]{1,32})="((?:[^"\\\]]|\\.)*)"')
_ESCAPED = re.compile(r'\\(["\\\]])')


class SyslogLine(NamedTuple):
    time: str
    host: str
    program: str
    message_id: str
    elements: dict[str, dict[str, str]]
    """SD-ID to its parameters."""
    message: str


def parse_syslog(line: str) -> SyslogLine | None:
    """None for what is no line of RFC 5424."""
    head = _HEAD.match(line)
    if head is None:
        return None
    at, elements = head.end(), dict[str, dict[str, str]]()
    if line[at] == "-":
        return SyslogLine(head[1], head[2], head[3], head[5], elements, line[at + 2:])
    while at < len(line) and line[at] == "[":
        element = _ELEMENT.match(line, at)
        if element is None:
            return None
        elements[element[1]] = {
            name: _ESCAPED.sub(r"\1", value) for name, value in _PARAMETER.findall(element[2])
        }  # fmt: skip
        at = element.end()
    return SyslogLine(head[1], head[2], head[3], head[5], elements, line[at + 1:])
