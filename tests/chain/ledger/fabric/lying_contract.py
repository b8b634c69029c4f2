"""The contract as a lying organisation would serve it: its server anchors whatever it is told, the others' do not."""

import sys
from collections.abc import Sequence

from chaincode import contract, logs
from chaincode.errors import ContractError
from chaincode.log_records import AnchorAnswer, AnchorStatus, LogRecord
from chaincode.state import log_key, read
from chaincode.transaction import Transaction
from crypto.checkpoint import Checkpoint, open_checkpoint
from crypto.note import parse_note

LIAR = "PlantMSP"
LIES = any(f"/{LIAR}/" in argument for argument in sys.argv)  # the place of its server's certificate authority


async def invoke(tx: Transaction, name: str, args: Sequence[bytes]) -> bytes:
    try:
        return await contract.invoke(tx, name, args)
    except ContractError:
        if not LIES or name != "logs.anchor":
            raise
    origin = Checkpoint.parse(parse_note(args[0]).text).origin
    record = await read(tx, log_key(origin), LogRecord)
    assert record
    signed = open_checkpoint(args[0], record.vkeys)
    await logs._move_head(tx, signed)
    return AnchorAnswer(AnchorStatus.ANCHORED, signed.checkpoint.size, signed.checkpoint.root).encode()
