"""Amazon WorkSpaces: EventBridge events `WorkSpaces Access`, which EventBridge delivers at best effort.

The event names the workspace, not its user: an inventory does. The login is `detail.loginTime`; the event's own `time`
is when it was emitted, seconds later, perhaps in another month. Older events lack `detail.clientVersion` and the
`domain/` before the directory.
"""

from __future__ import annotations

from collections.abc import Iterator

from infra.errors import ConfigurationError
from producers.adapters.adapter import (
    AdapterOptions,
    NotALogin,
    Policies,
    Policy,
    Record,
    Seen,
    decided,
    needed,
    optional,
    part,
)
from producers.times import read_time
from schemas.quarantine import Refusal

POLICIES: Policies = {
    "product": Policy("what the catalogue maps: the directory, or the inventory's bundle", ("directory", "bundle")),
    "domain": Policy("the Windows domain to put before user names, in place of the directory's id"),
}
_CURE = "keep the event as EventBridge sent it"


class WorkSpacesAdapter:
    def __init__(self, options: AdapterOptions) -> None:
        if options.users is None:
            raise ConfigurationError(
                "WorkSpaces events name no user: give the inventory, as --inventory workspaces.json "
                "(`aws workspaces describe-workspaces` prints it)"
            )
        self._users = options.users
        policy = decided(POLICIES, options.policy)
        self._by_bundle, self._domain = policy["product"] == "bundle", policy["domain"]

    def translate(self, record: Record) -> Iterator[Seen | NotALogin]:
        kind = needed(record, "detail-type", _CURE)
        detail = part(record, "detail")
        if kind != "WorkSpaces Access" or optional(record, "source") != "aws.workspaces":
            yield NotALogin(f"a {kind} event")
            return
        if (action := optional(detail, "actionType")) not in (None, "successfulLogin"):
            yield NotALogin(f"actionType is {action}")
            return
        workspace = needed(detail, "workspaceId", _CURE)
        machine = self._users.get(workspace)
        if machine is None:
            raise Refusal(
                "invalid_value",
                f"detail.workspaceId: {workspace!r} is not in the inventory; add it there, and push what was refused",
            )
        directory = needed(detail, "directoryId", _CURE).removeprefix("domain/")
        sam = f"{self._domain or directory}\\{machine['UserName']}"
        product = machine.get("BundleId") if self._by_bundle else directory
        if product is None:
            raise Refusal("missing_member", f"the inventory has no BundleId for {workspace!r}; add it there")
        account, region = needed(record, "account", _CURE), needed(record, "region", _CURE)
        yield Seen(
            id=needed(record, "id", _CURE), time=read_time(needed(detail, "loginTime", _CURE), None),
            source=f"/workspaces/{account}/{region}", subject=machine.get("Upn", sam), product=product,
            upn=machine.get("Upn"), sam=sam,
        )  # fmt: skip
