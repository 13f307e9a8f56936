"""The file of the catalogue, as the operator keeps it; what holds is the version that ClickHouse stores."""

from __future__ import annotations

from infra.errors import ConfigurationError
from schemas.settings import Settings


def catalogue_text(settings: Settings) -> str | None:
    """None when there is no such file. Raises ConfigurationError."""
    path = settings.catalogue
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the catalogue {path} is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise ConfigurationError(
            f"the catalogue {path} cannot be read ({error.strerror}): mend its permissions, or name another file in "
            f"ROLLCALL_CATALOGUE"
        ) from None
