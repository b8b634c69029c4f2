"""The difference between two configurations of a channel, in the form in which Fabric wants it proposed.

A ConfigUpdate has two trees. The read set names, with their versions, the groups that the update was made against; the
write set has what is to be, each changed element with its version one higher. A group whose members or modification
policy change lists all members it is to have: what is missing there is removed. Elements that stay are listed there by
version alone. (Fabric, internal/configtxlator/update/update.go makes the same; a test compares the two.)
Pure: the caller fetched the original and says what it trusts of it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from network.channel import messages
from network.errors import UpdateError

MAPS = ("groups", "values", "policies")


def compute_update(channel: str, original: Any, updated: Any) -> Any:
    """The ConfigUpdate between two `common.Config`; UpdateError where they do not differ."""
    read, write, changed = _group(original.channel_group, updated.channel_group)
    if not changed:
        raise UpdateError(f"nothing would change on {channel}: the configuration already is so")
    return messages.configtx.ConfigUpdate(channel_id=channel, read_set=read, write_set=write)


def _group(original: Any, updated: Any) -> tuple[Any, Any, bool]:
    """Read set, write set, and whether anything in the group differs."""
    read, write, same = (messages.configtx.ConfigGroup(version=original.version) for _ in range(3))
    itself = original.mod_policy != updated.mod_policy
    for name in MAPS:
        before, after = getattr(original, name), getattr(updated, name)
        itself |= set(before) != set(after)
        handle = _subgroup if name == "groups" else _leaf
        for key in after:
            handle(name, key, before, after, (read, write, same))
    if itself:
        read.MergeFrom(same)
        write.MergeFrom(same)
        write.version, write.mod_policy = original.version + 1, updated.mod_policy
    return read, write, itself or any(getattr(write, name) for name in MAPS)


def _subgroup(name: str, key: str, before: Mapping[str, Any], after: Mapping[str, Any], sets: Any) -> None:
    read, write, same = sets
    if key not in before:
        write.groups[key].CopyFrom(_fresh(after[key]))
        return
    inner_read, inner_write, changed = _group(before[key], after[key])
    if changed:
        read.groups[key].CopyFrom(inner_read)
        write.groups[key].CopyFrom(inner_write)
    else:
        same.groups[key].version = before[key].version


def _leaf(name: str, key: str, before: Mapping[str, Any], after: Mapping[str, Any], sets: Any) -> None:
    """A value or a policy."""
    _, write, same = sets
    if key in before and _content(before[key]) == _content(after[key]):
        getattr(same, name)[key].version = before[key].version
        return
    written = getattr(write, name)[key]
    written.CopyFrom(after[key])
    written.version = before[key].version + 1 if key in before else 0


def _content(leaf: Any) -> tuple[str, Any]:
    """A value or policy without its version."""
    return leaf.mod_policy, leaf.value if isinstance(leaf, messages.configtx.ConfigValue) else leaf.policy


def _fresh(group: Any) -> Any:
    """A new group: all versions are 0, whatever its maker wrote there."""
    fresh = messages.configtx.ConfigGroup()
    fresh.CopyFrom(group)
    _visit(fresh, lambda element: setattr(element, "version", 0))
    return fresh


def _visit(group: Any, change: Callable[[Any], None]) -> None:
    change(group)
    for element in (*group.values.values(), *group.policies.values()):
        change(element)
    for inner in group.groups.values():
        _visit(inner, change)
