"""The subcommand `conditions export`: all that proves a shipment's conditions, for somebody else, in one file.

What leaves the house is noted in the gateway's list of disclosures before the file is written.
"""

from pathlib import Path
from typing import Annotated

import typer


def export(
    shipment: Annotated[str, typer.Argument(help="Id of the shipment, 64 hexadecimal digits.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    data: Annotated[Path, typer.Option("--data", help="Data directory of the gateway that reports.")],
    to: Annotated[str, typer.Option(help="For whom; the gateway signs it.")] = "whoever holds it",
    reason: Annotated[str, typer.Option(help="Why; the gateway signs it.")] = "conditions of a shipment",
) -> None:
    """Write what proves a shipment's conditions: its reports on the ledger, and its loggers' readings with receipts."""
    from contextlib import closing
    from hashlib import sha256

    from chain.conditions.cli import shipment_of
    from chain.conditions.exporting import exported
    from chain.conditions.samples import FIELD
    from chain.disclosing import Purpose
    from chain.site import Folder
    from crypto.files import write_durably
    from gateway.access import Access, MadeDisclosure, now_us

    folder = Folder.existing(data)
    content, made, leaves = exported(folder, shipment_of(shipment), Purpose(to, reason))
    with closing(Access(folder)) as access:
        for one in made:
            digest = sha256(one).digest()
            span = (len(leaves), leaves[0], leaves[-1])
            access.note_disclosure(MadeDisclosure(now_us(), to, reason, *span, FIELD, digest))
    write_durably(output, content, mode=0o600)
    print(f"wrote {output} ({len(content):,} bytes, {len(leaves):,} records)")
    print(f"check it with: sealtrail conditions recompute {shipment} --from {output} --policy POLICY")
