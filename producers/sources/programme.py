"""What a programme says of an inventory of instances (CSP-23), where the catalogue tells which programme it feeds."""

from __future__ import annotations

from dataclasses import replace

from infra.errors import ConfigurationError
from producers.adapters.instances import POLICIES, SOURCE
from producers.sources.source import SourceOptions
from schemas.catalogue import Catalogue
from schemas.source_policy import instance_terms


def as_programme_says(options: SourceOptions, catalogue: Catalogue) -> SourceOptions:
    """The options with the programme's time zone and policies; as they are where no programme is known.

    Raises ConfigurationError for an option that contradicts it, and where two programmes contradict each other.
    """
    try:
        known = instance_terms(catalogue, options.source or SOURCE, options.sku)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
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
