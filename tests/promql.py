"""As much of Prometheus as our rules and panels need: series in memory, an evaluator over promql-parser's tree, alerts.

What it does not know it refuses, so an expression is never half understood. Where promtool is at hand, a test holds it
against that (tests/unit/test_alerts.py).
"""

from __future__ import annotations

import math
import operator
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any, TypeAlias

import promql_parser as ast

Labels: TypeAlias = frozenset[tuple[str, str]]
Vector: TypeAlias = dict[Labels, float]
Points: TypeAlias = list[tuple[float, float]]

LOOKBACK = 300.0
parsed = cache(ast.parse)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul,
    "/": lambda a, b: a / b if b else (math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a)),
}  # fmt: skip
_AGGREGATE: dict[str, Callable[[list[float]], float]] = {
    "sum": math.fsum, "max": max, "min": min, "count": lambda values: float(len(values)),
}  # fmt: skip


def selectors(expression: str) -> Iterator[ast.VectorSelector]:
    """Every series that an expression asks for. Raises ValueError where it is no PromQL."""
    pending = [parsed(expression)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.VectorSelector):
            yield node
        elif isinstance(node, ast.MatrixSelector):
            yield node.vector_selector
        elif isinstance(node, ast.BinaryExpr):
            pending += [node.lhs, node.rhs]
        elif isinstance(node, ast.Call):
            pending += node.args
        elif isinstance(node, ast.ParenExpr | ast.AggregateExpr):
            pending.append(node.expr)
        elif not isinstance(node, ast.NumberLiteral):
            raise NotImplementedError(type(node).__name__)


def labels_of(notation: str) -> Labels:
    """`name{label="value"}` as labels, `__name__` among them."""
    node = parsed(notation)
    return frozenset({("__name__", node.name), *((m.name, m.value) for m in node.matchers.matchers)})


def expanded(notation: str) -> Iterator[float | None]:
    """promtool's values: `1 2+1x3 5x2 _ _x3`; None: no sample."""
    for item in notation.split():
        if gap := re.fullmatch(r"_(?:x(\d+))?", item):
            yield from [None] * int(gap[1] or 1)
        elif found := re.fullmatch(r"([\d.]+)([+-][\d.]+)x(\d+)|([\d.]+)(?:x(\d+))?|(-[\d.]+)x(\d+)", item):
            start, step, times, alone, more, below, still = found.groups()
            first = float(start or alone or below)
            for n in range(int(times or more or still or 0) + 1):
                yield first + n * float(step or 0)
        else:
            raise NotImplementedError(item)


@dataclass
class Series:
    """Samples by labels, each at rising times (seconds)."""

    points: dict[Labels, Points] = field(default_factory=lambda: defaultdict(list))
    regardless: bool = False
    """Comparisons hold whatever the values are, and nothing is absent that is there with other values: an alert's
    expression then answers wherever its series exist and its joins meet, though nothing is wrong."""

    def add(self, labels: Labels, time: float, value: float) -> None:
        self.points[labels].append((time, value))

    def matching(self, selector: ast.VectorSelector) -> Iterator[tuple[Labels, Points]]:
        if selector.offset is not None or selector.at is not None or selector.matchers.or_matchers:
            raise NotImplementedError("offset, @, or")
        for labels, points in self.points.items():
            named = dict(labels)
            if selector.name in (None, named["__name__"]) and all(map(_matcher(named), selector.matchers.matchers)):
                yield labels, points

    def ask(self, expression: str, time: float) -> Vector:
        """What an expression is at a moment; a number is a vector without labels."""
        found = self._value(parsed(expression), time)
        return found if isinstance(found, dict) else {frozenset(): found}

    def _value(self, node: Any, time: float) -> Vector | float:
        match node:
            case ast.NumberLiteral():
                return float(node.val)
            case ast.ParenExpr():
                return self._value(node.expr, time)
            case ast.VectorSelector():
                newest = ((labels, points_in(points, time - LOOKBACK, time)) for labels, points in self.matching(node))
                return {labels: points[-1][1] for labels, points in newest if points}
            case ast.AggregateExpr():
                return _aggregated(node, self._vector(node.expr, time))
            case ast.BinaryExpr():
                return _joined(node, self._value(node.lhs, time), self._value(node.rhs, time), self.regardless)
            case ast.Call():
                return self._called(node, time)
        raise NotImplementedError(type(node).__name__)

    def _vector(self, node: Any, time: float) -> Vector:
        found = self._value(node, time)
        assert isinstance(found, dict), "a vector is needed"
        return found

    def _called(self, node: Any, time: float) -> Vector | float:
        name = node.func.name
        if name == "time":
            return time
        if name == "absent":
            # Labels of a plain selector would be in the answer; ours are always in brackets or compared.
            return {} if bool(self._vector(node.args[0], time)) != self.regardless else {frozenset(): 1.0}
        if name == "histogram_quantile":
            return _quantiles(self._value(node.args[0], time), self._vector(node.args[1], time))
        over = {"rate": _rate, "increase": _increase, "changes": _changes, "max_over_time": _greatest}[name]
        [matrix] = node.args
        seconds = matrix.range.total_seconds()
        found = {}
        for labels, points in self.matching(matrix.vector_selector):
            value = over(points_in(points, time - seconds, time), time - seconds, time)
            if value is not None:
                found[without(labels, "__name__")] = value
        return found


def points_in(points: Points, after: float, until: float) -> Points:
    """Prometheus 2's ranges hold both ends."""
    return points[bisect_left(points, (after, -math.inf)) : bisect_right(points, (until, math.inf))]


def without(labels: Labels, *names: str) -> Labels:
    return frozenset(label for label in labels if label[0] not in names)


def only(labels: Labels, names: Iterable[str]) -> Labels:
    kept = set(names)
    return frozenset(label for label in labels if label[0] in kept)


def _matcher(labels: Mapping[str, str]) -> Callable[[Any], bool]:
    def holds(matcher: Any) -> bool:
        value = labels.get(matcher.name, "")
        kind = str(matcher.op).rpartition(".")[2]
        if kind in ("Equal", "NotEqual"):
            return (value == matcher.value) == (kind == "Equal")
        return bool(re.fullmatch(matcher.value, value)) == (kind == "Re")

    return holds


def _aggregated(node: Any, vector: Vector) -> Vector:
    groups: dict[Labels, list[float]] = defaultdict(list)
    names = node.modifier.labels if node.modifier else []
    if node.modifier and "By" not in str(node.modifier.type):
        raise NotImplementedError("without")
    for labels, value in vector.items():
        groups[only(labels, names)].append(value)
    return {labels: _AGGREGATE[str(node.op)](values) for labels, values in groups.items()}


def _joined(node: Any, left: Vector | float, right: Vector | float, regardless: bool) -> Vector | float:
    op, modifier = str(node.op), node.modifier
    if isinstance(left, float) and isinstance(right, float):
        return _ARITHMETIC[op](left, right)
    if isinstance(right, float):
        pairs = [(labels, value, right) for labels, value in left.items()]  # type: ignore[union-attr]
        return _answers(op, pairs, regardless)
    if isinstance(left, float):
        return _answers(op, [(labels, left, value) for labels, value in right.items()], regardless, keep_right=True)
    on = modifier.matching if modifier else None
    if on is not None and "Include" not in str(on.type):
        raise NotImplementedError("ignoring")

    def key(labels: Labels) -> Labels:
        return without(labels, "__name__") if on is None else only(labels, on.labels)

    if op in ("and", "unless", "or"):
        there = {key(labels) for labels in right}
        kept = {labels: value for labels, value in left.items() if (key(labels) in there) == (op == "and")}
        if op != "or":
            return kept
        here = {key(labels) for labels in left}
        return left | {labels: value for labels, value in right.items() if key(labels) not in here}
    many = modifier is not None and "ManyToOne" in str(modifier.card)
    by_key: dict[Labels, float] = {}
    for labels, value in right.items():
        assert key(labels) not in by_key, f"several on the right for {sorted(key(labels))}"
        by_key[key(labels)] = value
    pairs = [(labels, value, by_key[key(labels)]) for labels, value in left.items() if key(labels) in by_key]
    if not many:
        assert len({key(labels) for labels, _, _ in pairs}) == len(pairs), "several on the left"
        if on is not None:
            pairs = [(only(labels, on.labels), a, b) for labels, a, b in pairs]
    return _answers(op, pairs, regardless)


def _answers(
    op: str, pairs: list[tuple[Labels, float, float]], regardless: bool, *, keep_right: bool = False
) -> Vector:
    if op in _COMPARE:
        return {labels: b if keep_right else a for labels, a, b in pairs if regardless or _COMPARE[op](a, b)}
    return {without(labels, "__name__"): _ARITHMETIC[op](a, b) for labels, a, b in pairs}


def _risen(points: Points) -> float:
    """How far a counter has come; a fall is a restart from 0."""
    resets = sum(before[1] for before, after in pairwise(points) if after[1] < before[1])
    return points[-1][1] - points[0][1] + resets


def _increase(points: Points, start: float, end: float) -> float | None:
    """With Prometheus's extrapolation to the ends of the range, where samples come near enough to them."""
    if len(points) < 2:
        return None
    (first, value), (last, _) = points[0], points[-1]
    rise, spacing = _risen(points), (last - first) / (len(points) - 1)
    before, after = first - start, end - last
    if rise > 0 and value >= 0:
        before = min(before, (last - first) * value / rise)
    reach = spacing * 1.1
    span = (last - first) + (before if before < reach else spacing / 2) + (after if after < reach else spacing / 2)
    return rise * span / (last - first)


def _rate(points: Points, start: float, end: float) -> float | None:
    found = _increase(points, start, end)
    return None if found is None else found / (end - start)


def _changes(points: Points, start: float, end: float) -> float | None:
    return float(sum(a[1] != b[1] for a, b in pairwise(points))) if points else None


def _greatest(points: Points, start: float, end: float) -> float | None:
    return max(value for _, value in points) if points else None


def _quantiles(share: Any, vector: Vector) -> Vector:
    histograms: dict[Labels, list[tuple[float, float]]] = defaultdict(list)
    for labels, count in vector.items():
        histograms[without(labels, "le", "__name__")].append((float(dict(labels)["le"]), count))
    found = {}
    for labels, buckets in histograms.items():
        buckets.sort()
        rank, lower, below = share * buckets[-1][1], 0.0, 0.0
        for upper, count in buckets:
            if count >= rank and buckets[-1][1] > 0:
                inside = (rank - below) / (count - below) if count > below else 0.0
                found[labels] = lower if math.isinf(upper) else lower + (upper - lower) * inside
                break
            lower, below = upper, count
        else:
            found[labels] = math.nan
    return found


@dataclass(frozen=True)
class Rule:
    alert: str
    expr: str
    hold: float
    labels: tuple[tuple[str, str], ...]


def run_rules(series: Series, rules: Iterable[Rule], every: float, until: float) -> dict[str, set[str]]:
    """Evaluates the rules from 0 on, writing ALERTS as Prometheus does; the labels seen by alert, for annotations."""
    seen: dict[str, set[str]] = defaultdict(set)
    for rule in rules:
        since: dict[Labels, float] = {}
        time = 0.0
        while time <= until:
            now = {without(labels, "__name__") for labels in series.ask(rule.expr, time)}
            since = {labels: since.get(labels, time) for labels in now}
            for labels, begun in since.items():
                state = "firing" if time - begun >= rule.hold else "pending"
                marks = {"__name__": "ALERTS", "alertname": rule.alert, "alertstate": state}
                series.add(frozenset({**dict(labels), **dict(rule.labels), **marks}.items()), time, 1.0)
                seen[rule.alert] |= {name for name, _ in labels}
            time += every
    return seen
