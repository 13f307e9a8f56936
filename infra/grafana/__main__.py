"""Writes `dashboards/*.json`, which Grafana reads: `python -m infra.grafana` (a test tells when they are stale)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from infra.grafana.close import CLOSE
from infra.grafana.month import MONTH
from infra.grafana.panels import model
from infra.grafana.pipeline import PIPELINE
from infra.grafana.quarantine import QUARANTINE

FOLDER: Final = Path(__file__).parent / "dashboards"
DASHBOARDS: Final = (PIPELINE, MONTH, QUARANTINE, CLOSE)


def files() -> dict[Path, str]:
    """What each file holds."""
    return {
        FOLDER / f"{dashboard.uid}.json": json.dumps(model(dashboard), indent=1, ensure_ascii=False) + "\n"
        for dashboard in DASHBOARDS
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path, text in files().items():
        path.write_text(text, "utf-8")
