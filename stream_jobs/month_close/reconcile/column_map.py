"""Reading a column map (YAML): every fault at once, each with its place and cure. Pure."""

from __future__ import annotations

import yaml
from pydantic import ValidationError

from infra.errors import ConfigurationError
from schemas.reconciliation import ColumnMap


def parse_map(text: str, name: str = "map.yaml") -> ColumnMap:
    """The map of a YAML text; `name` is the file's. Raises ConfigurationError with every fault."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        what = " ".join(str(error).split())
        raise ConfigurationError(f"{name}: not YAML: {what}; mend it or quote the text") from None
    if not isinstance(value, dict):
        raise ConfigurationError(f"{name}: not a column map: expected origin, tenant, sku and total or paid at the top")
    try:
        return ColumnMap.model_validate(value)
    except ValidationError as error:
        faults = [
            f"{name}: {'.'.join(map(str, e['loc'])) or 'the map'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors(include_url=False)
        ]
        raise ConfigurationError("\n".join([*faults, "docs/reconciliation.md has every part of a map"])) from None
