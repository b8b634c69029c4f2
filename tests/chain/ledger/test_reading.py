"""Evidence for receipts, read beside the running ledger and without its private keys."""

from pathlib import Path

from chain.ledger.embedded import EmbeddedLedger
from chain.ledger.evidence import EmbeddedEvidence
from chain.ledger.reading import EmbeddedLedgerReader
from chaincode.state import checkpoint_key, head_key, identity_key
from tests.chain.ledger import site
from tests.chain.ledger.site import verify
from tests.contract_suite.actors import Actor


def test_evidence_is_of_the_transaction_that_last_wrote_a_key(tmp_path: Path) -> None:
    async def act(ledger: EmbeddedLedger) -> None:
        await site.begin(ledger, tmp_path)
        reader, log = EmbeddedLedgerReader(tmp_path), site.log(tmp_path)
        for old, new in ((0, 3), (3, 8)):
            submitted = await ledger.submit("logs.anchor", *log.anchor(old, new))
            await ledger.submit("identities.enrol", *Actor(f"thing-{new}", site.ORIGIN).enrolment("source"))
            for key in (checkpoint_key(site.ORIGIN, new), head_key(site.ORIGIN)):
                part = reader.evidence_for(key)
                assert part is not None
                assert part.kind == "embedded"
                evidence = EmbeddedEvidence.decode(part.evidence)
                leaf = verify(evidence, site.keys(tmp_path))
                assert leaf.request.tx_id == submitted.tx_id
                assert site.anchored(tmp_path, evidence) == log.checkpoint(new)
        assert reader.evidence_for(identity_key("nobody")) is None
        reader.close()

    site.using(tmp_path, act)
