"""The contract's definition as it is committed on the channel, for an organisation that joins later.

An approval counts for the current sequence only, and only with exactly the committed parameters; so they are read from
the organisation's own peer (`peer lifecycle chaincode querycommitted`) and given back as that program's flags.
"""

import base64
import binascii
from typing import Any

from network.channel import messages
from network.channel.messages import read
from network.errors import ConfigurationError

MOST_RULES = 200


def approval_flags(name: str, definition: dict[str, Any]) -> list[str]:
    """Flags of `approveformyorg` for the committed definition."""
    if definition.get("collections", {}).get("config"):
        raise ConfigurationError(f"the contract {name} has private collections, which Sealtrail's does not; approve it")
    try:
        parameter = base64.b64decode(definition["validation_parameter"], validate=True)
        flags = ["--name", name, "--version", str(definition["version"]), "--sequence", str(definition["sequence"])]
    except (KeyError, TypeError, binascii.Error) as e:
        raise ConfigurationError(f"the committed definition of {name} cannot be read: {e!r}") from e
    for plugin in ("endorsement_plugin", "validation_plugin"):
        flags += [f"--{plugin.replace('_', '-')}", str(definition[plugin])] if definition.get(plugin) else []
    flags += ["--init-required"] if definition.get("init_required") else []
    return [*flags, *_policy_flags(parameter)]


def _policy_flags(parameter: bytes) -> list[str]:
    policy = read(messages.peer_policy.ApplicationPolicy, parameter, "the contract's endorsement policy")
    if policy.channel_config_policy_reference:
        return ["--channel-config-policy", policy.channel_config_policy_reference]
    return ["--signature-policy", signature_words(policy.signature_policy)]


def signature_words(policy: Any) -> str:
    """A signature policy in Fabric's own words, which become the same policy again: the order is kept."""
    if len(policy.identities) > MOST_RULES:
        raise ConfigurationError(
            f"an endorsement policy names at most {MOST_RULES} roles, got {len(policy.identities)}"
        )
    roles = [_role(one) for one in policy.identities]
    return _rule(policy.rule, roles)


def _rule(rule: Any, roles: list[str]) -> str:
    if rule.WhichOneof("Type") == "signed_by":
        return roles[int(rule.signed_by)]
    rules = ",".join(_rule(one, roles) for one in rule.n_out_of.rules)
    return f"OutOf({rule.n_out_of.n},{rules})"


def _role(principal: Any) -> str:
    kinds = messages.msp_principal
    if principal.principal_classification != kinds.MSPPrincipal.ROLE:
        raise ConfigurationError("the contract's endorsement policy names others than roles; approve it with `peer`")
    role = read(kinds.MSPRole, principal.principal, "a role")
    return f"'{role.msp_identifier}.{kinds.MSPRole.MSPRoleType.Name(role.role).lower()}'"
