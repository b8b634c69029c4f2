"""What an update of a channel's configuration would change, in words, from what it would write and from what is there.

An update removes what it does not list, so its words need the channel's configuration beside it; they hold for that
one only. A stale update, made against another configuration, is therefore refused first.
"""

from collections.abc import Iterator
from typing import Any

from network.channel.config_update import MAPS
from network.channel.configuration import APPLICATION, Configuration
from network.channel.definition import summary
from network.channel.messages import shown
from network.channel.update_file import Update
from network.errors import UpdateError

ONE_OF = {"groups": "group", "values": "value", "policies": "policy"}


def require_current(update: Update, configuration: Configuration) -> None:
    """Whether an update was made against this configuration.

    Raises:
        UpdateError: another channel's, or the configuration changed since.
    """
    if update.channel != configuration.channel:
        raise UpdateError(f"the update is for the channel {update.channel}, this network is on {configuration.channel}")
    if not _is_current(update.message.read_set, configuration.config.channel_group):
        raise UpdateError(
            f"the configuration of {configuration.channel} changed since this update was made (block "
            f"{configuration.number} is the latest now); its signatures are void: propose it again"
        )


def _is_current(read_set: Any, group: Any) -> bool:
    if read_set.version != group.version:
        return False
    for name in MAPS:
        there = getattr(group, name)
        for key, one in getattr(read_set, name).items():
            if key not in there or one.version != there[key].version:
                return False
    return all(_is_current(inner, group.groups[key]) for key, inner in read_set.groups.items())


def describe(update: Update, configuration: Configuration) -> list[str]:
    """A line for each change, and what an organisation that joins is; for an update that is current.

    Raises:
        UpdateError: it would change nothing.
    """
    message = update.message
    lines = list(_changes((), message.read_set, message.write_set, configuration.config.channel_group))
    if not lines:
        raise UpdateError("the update would change nothing")
    return lines


def joining_and_leaving(update: Update, configuration: Configuration) -> tuple[set[str], set[str]]:
    """MSP ids of the organisations that the update adds and removes; for an update that is current."""
    written = update.message.write_set.groups.get(APPLICATION)
    if written is None or written.version == configuration.application.version:
        return set(), set()
    after, before = set(written.groups), set(configuration.members)
    return after - before, before - after


def _changes(path: tuple[str, ...], read: Any, write: Any, now: Any) -> Iterator[str]:
    """Fabric applies what has another version in the write set than in the read set (common/configtx/update.go)."""
    where = "/".join(("Channel", *path))
    if write.version != read.version:
        if write.mod_policy != now.mod_policy:
            yield f"changes who may change {shown(where)}: {shown(write.mod_policy)} in place of {now.mod_policy}"
        for name in MAPS:
            for key in sorted(set(getattr(now, name)) - set(getattr(write, name))):
                yield _named("removes", path, name, key)
    for name in MAPS:
        written, known, before = getattr(write, name), getattr(read, name), getattr(now, name)
        for key, one in sorted(written.items()):
            if key not in before:
                yield from _added(path, name, key, one)
            elif name == "groups":
                inner = known[key] if key in known else before[key]
                yield from _changes((*path, key), inner, one, before[key])
            elif key not in known or known[key].version != one.version:
                yield _named("changes", path, name, key)


def _added(path: tuple[str, ...], name: str, key: str, one: Any) -> Iterator[str]:
    yield _named("adds", path, name, key)
    if name == "groups" and path == (APPLICATION,):
        yield from (f"  {line}" for line in summary(key, one)[1:])


def _named(verb: str, path: tuple[str, ...], name: str, key: str) -> str:
    if name == "groups" and path == (APPLICATION,):
        return f"{verb} the organisation {shown(key)}"
    return f"{verb} the {ONE_OF[name]} {shown(key)} of {shown('/'.join(('Channel', *path)))}"
