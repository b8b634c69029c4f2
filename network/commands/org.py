"""Subcommands of `sealtrail network org`: a partner joins a running channel and leaves it again.

Exit codes: 0, or 1 for an error; 2 for wrong usage.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from network.commands.options import TopologyOption, load, show_progress

if TYPE_CHECKING:
    from network.topology import Topology

app = typer.Typer(help="A partner joins a running channel, or leaves it.", no_args_is_help=True)
UpdateArgument = Annotated[Path, typer.Argument(help="File of the update.")]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="File to write the update to.")]
AsOption = Annotated[str, typer.Option("--as", help="MSP id that signs; needed where the topology has several.")]
LEAVING = """\
Leaving takes effect with the block that this update makes. From then on the organisation is shown no new blocks, its
endorsements and signatures no longer count, and the majority is counted without it. It keeps what it has seen: its copy
of the ledger, and payloads whose keys it holds. A contract whose endorsement policy names it still asks for it.
Orderers that it runs stay orderers and still see every block: this command does not remove them."""


@app.command()
def new(
    topology: TopologyOption,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File of the definition; by default in the data folder.")
    ] = None,
) -> None:
    """Joiner: make identities, and the organisation's definition to be mailed to a member."""
    from network.partners import new_organisations

    for file, lines in new_organisations(load(topology), output).items():
        print("\n".join(lines))
        print(f"  definition: {file}")
    print("Mail the definition to a member, and compare the CA's fingerprint by telephone.")


@app.command()
def propose(
    topology: TopologyOption,
    organisation: Annotated[Path, typer.Option("--organisation", help="The joiner's definition.")],
    output: OutputOption,
) -> None:
    """Member: write the update that takes an organisation in."""
    from network.partners import propose as write

    print("\n".join(write(load(topology), organisation, output)))
    print(f"Compare the fingerprints by telephone. {output} is to be signed: `sealtrail network org sign`.")


@app.command()
def leave(
    topology: TopologyOption,
    organisation: Annotated[str, typer.Option("--organisation", help="MSP id of the organisation that leaves.")],
    output: OutputOption,
) -> None:
    """Member: write the update that removes an organisation."""
    from network.partners import leave as write

    print("\n".join(write(load(topology), organisation, output)))
    print(f"{LEAVING}\n{output} is to be signed: `sealtrail network org sign`.")


@app.command()
def sign(topology: TopologyOption, update: UpdateArgument, msp_id: AsOption = "") -> None:
    """Member: show what an update changes, and add this organisation's signature to it."""
    from network.partners import sign as add

    signed = add(loaded := load(topology), _one_of(loaded, msp_id), update)
    print("\n".join(signed.words))
    print(f"signed by {len(signed.signers)} organisations: {', '.join(signed.signers)}; needed: {signed.needed}")
    if len(signed.signers) >= signed.needed:
        print(f"That is enough: `sealtrail network org submit` {update}")


@app.command()
def submit(topology: TopologyOption, update: UpdateArgument) -> None:
    """Member: hand a signed update to the orderers, and wait until it is in force."""
    from network.partners import submit as hand_in

    now = hand_in(load(topology), update)
    print(f"{now.channel}: config block {now.number} is in force; members: {', '.join(now.members)}")
    print(f"Auditors pin it as: ledger fabric {now.channel} {now.block_hash}")


@app.command()
def snapshot(
    topology: TopologyOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the snapshot.")],
) -> None:
    """Member: copy a snapshot of the channel for a joiner. It holds the contract's whole state."""
    from network.channel.member import Member

    number, block_hash = Member(load(topology)).snapshot(output)
    print(f"{output}: the channel's state after block {number}; hash of that block {block_hash}")


@app.command()
def join(
    topology: TopologyOption,
    genesis: Annotated[Path | None, typer.Option("--genesis", help="The channel's first block.")] = None,
    snapshot: Annotated[Path | None, typer.Option("--snapshot", help="Folder of a snapshot.")] = None,
) -> None:
    """Joiner: start peers and chaincode, join the channel, and approve the contract as it is committed."""
    from network.channel.guest import Entry
    from network.partners import join as enter

    if (genesis is None) == (snapshot is None):
        raise typer.BadParameter("give either --genesis or --snapshot")
    tell = show_progress()
    profiles = enter(load(topology), Entry(genesis, snapshot), tell)
    tell("on the channel; connection profiles:")
    for msp_id, file in profiles.items():
        print(f"         {msp_id}: {file}")


def _one_of(topology: "Topology", msp_id: str) -> str:
    """The organisation that acts; never a guess among several."""
    if not msp_id and len(topology.msp_ids) > 1:
        raise typer.BadParameter(
            f"the topology has several organisations; say --as {' or --as '.join(topology.msp_ids)}"
        )
    return msp_id or topology.msp_ids[0]
