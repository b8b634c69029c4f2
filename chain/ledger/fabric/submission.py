"""A transaction's way through the Gateway: endorse, check, sign, submit, wait for the commit, and what may be retried.

The order of retries keeps a call from being committed twice: while it is not known whether the orderers have a
transaction, only the same signed envelope is handed in again, and Fabric takes a transaction id once. A new id is
used only when the one before is known to have changed nothing.
"""

import contextlib
from collections.abc import Sequence

from chain.ledger.fabric.errors import CommitError, CommitStatusError, EvaluateError, LyingPeerError
from chain.ledger.fabric.gateway import Gateway, NotKnownError
from chain.ledger.fabric.patience import patiently
from chain.ledger.fabric.profile import Identity, Profile
from chain.ledger.fabric.proposal import NONE, Transient, check_prepared, make_proposal
from chain.ledger.fabric.reader import Reader
from chain.ledger.fabric.transaction import Transaction
from chain.ledger.interface import Submitted
from crypto.errors import SealtrailError
from crypto.keys import PrivateKey

SENDINGS = 3
UNSURE_S = 5.0  # how long an unsure transaction is looked for before it is handed in again


class Submission:
    """Runs calls as transactions, one method call each."""

    def __init__(
        self, gateway: Gateway, identity: Identity, reader: Reader, profile: Profile, patience_s: float
    ) -> None:
        self._gateway, self._identity, self._reader, self._profile = gateway, identity, reader, profile
        self._patience_s = patience_s

    async def run(
        self, args: Sequence[bytes], caller: PrivateKey | None = None, transient: Transient = NONE
    ) -> Submitted:
        """Commit a call of the chaincode, signed by `caller` too where there is one, with transient data beside it;
        tried again under new ids where what it failed for passes and it is known to have changed nothing.

        Raises:
            ContractError: the contract refused.
            ClockError: this machine's clock is wrong.
            EndorseError, LyingPeerError, SubmitError, CommitStatusError, CommitError: the stage that failed.
        """
        transaction, block = await patiently(lambda: self._once(args, caller, transient), self._patience_s)
        try:
            index = await patiently(lambda: self._reader.index(block, transaction.tx_id), self._patience_s)
        except EvaluateError as e:
            raise CommitStatusError(
                f"it is valid in block {block}, which cannot be read: {e}", transaction.tx_id
            ) from e
        return Submitted(transaction.tx_id, transaction.result, index)

    async def _once(
        self, args: Sequence[bytes], caller: PrivateKey | None, transient: Transient
    ) -> tuple[Transaction, int]:
        # 1. Endorse, and sign nothing that is not what was sent.
        transaction, payload = await self._endorsed(args, caller, transient)
        tx_id = transaction.tx_id
        # 2. Hand it in, and wait until it is in a block.
        code, block = await self._committed(tx_id, payload)
        if code != "VALID":
            raise CommitError(code, tx_id)
        return transaction, block

    async def _endorsed(
        self, args: Sequence[bytes], caller: PrivateKey | None, transient: Transient
    ) -> tuple[Transaction, bytes]:
        sent = make_proposal(self._identity, self._profile.channel, self._profile.chaincode, args, caller, transient)
        channel = await self._reader.channel()
        payload = await self._gateway.endorse(sent)
        try:
            return check_prepared(payload, sent, channel), payload
        except SealtrailError as e:
            # The channel may have new organisations since its configuration was read.
            renewed = await self._reader.channel(renew=True)
            if renewed != channel:
                try:
                    return check_prepared(payload, sent, renewed), payload
                except SealtrailError as again:
                    raise LyingPeerError(f"the gateway peer's answer is false: {again}", sent.tx_id) from again
            raise LyingPeerError(f"the gateway peer's answer is false: {e}", sent.tx_id) from e

    async def _committed(self, tx_id: str, payload: bytes) -> tuple[str, int]:
        for _ in range(SENDINGS - 1):
            try:
                await self._gateway.submit(tx_id, payload)
                break
            except NotKnownError:
                with contextlib.suppress(CommitStatusError):
                    return await self._gateway.commit_status(tx_id, UNSURE_S)
        else:
            await self._gateway.submit(tx_id, payload)
        return await self._gateway.commit_status(tx_id)
