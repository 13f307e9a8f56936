"""What a programme says of what is pushed, where the catalogue tells which programme it feeds: which instances of an
inventory count (CSP-23), and whether a session that is taken up again is a login then."""

from __future__ import annotations

from dataclasses import replace

from infra.errors import ConfigurationError
from producers.adapters.instances import POLICIES, SOURCE
from producers.sources.source import SourceOptions
from schemas.catalogue import Catalogue
from schemas.source_policy import RECONNECTING, instance_terms, reconnects


def as_programme_says(options: SourceOptions, catalogue: Catalogue) -> SourceOptions:
    """The options with the programme's policies, and for instances its zone; as they are where no programme is known.

    Raises ConfigurationError for an option that contradicts it, and where two programmes contradict each other.
    """
    try:
        if options.format in RECONNECTING:
            return _reconnecting(options, catalogue)
        return _instances(options, catalogue) if options.format == "instances" else options
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _reconnecting(options: SourceOptions, catalogue: Catalogue) -> SourceOptions:
    """What the command line says comes first, as what a declared source says does."""
    if "reconnects" in options.policy or options.source is None:
        return options
    said = reconnects(catalogue, options.source, options.sku)
    return options if said is None else replace(options, policy={**options.policy, "reconnects": said})


def _instances(options: SourceOptions, catalogue: Catalogue) -> SourceOptions:
    known = instance_terms(catalogue, options.source or SOURCE, options.sku)
    if known is None:
        return options
    zone, terms = known
    if options.zone not in (None, zone):
        raise ConfigurationError(f"--zone {options.zone}: its programme counts in {zone}; leave it out")
    said = {} if terms is None else {"active": "+".join(terms.states or ()), "days": terms.days}
    for name in said.keys() & options.policy.keys() & POLICIES.keys():
        if options.policy[name] != said[name]:
            raise ConfigurationError(
                f"--policy {name}={options.policy[name]}: its programme says {said[name] or 'all of them'}; leave it "
                f"out"
            )
    return replace(options, zone=zone, policy={**options.policy, **said})
