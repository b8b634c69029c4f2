"""Checks an opened branch against the ledger that a gateway's folder has; the gateway need not run."""

import asyncio
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chain.ledger.reading import open_reader
from chain.site import Folder
from chaincode.identity_records import Identity
from chaincode.state import identity_key
from gateway.recall.branches import MAX_FILE_BYTES, check_branch
from gateway.recall.errors import StatementError
from gateway.recall.statements import Signed
from gateway.supply.signers import SignerError, require_signed


def checked_file(file: Path, organisation: str, data: Path) -> dict[str, Any]:
    """What the branch says, once all of it holds; StatementError says what does not. See gateway.recall.branches."""
    try:
        content = file.read_bytes() if file.stat().st_size <= MAX_FILE_BYTES else b""
    except OSError as e:
        raise StatementError(f"cannot read {file}: {e.strerror}") from e
    with closing(open_reader(Folder.existing(data))) as ledger:

        async def require_sender(signed: Signed, of: str) -> None:
            name = signed.statement.heading.sender
            stored = ledger.value(identity_key(name))
            try:
                require_signed(Identity.decode(stored) if stored else None, of, name, signed)
            except SignerError as e:
                raise StatementError(str(e)) from e

        answer, heard, commitment = asyncio.run(check_branch(content, organisation, require_sender))
    customers = [
        {"organisation": one.organisation, "received": one.answer.received, "own": asdict(one.answer.own)}
        for one in heard
    ]
    return {
        "recall": answer.heading.recall, "lot": answer.heading.lot, "received": answer.received,
        "own": asdict(answer.own), "passed_on": asdict(answer.passed_on), "unanswered": answer.unanswered,
        "flagged": answer.flagged, "customers": customers, "commitment": commitment.hex(),
    }  # fmt: skip
