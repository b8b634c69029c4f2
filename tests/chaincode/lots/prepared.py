"""A plant's goods in every state that a call of `lots` may begin with, and good arguments for each function."""

from chaincode.evidence import Evidence
from chaincode.lots.exception_records import ExceptionRecord, Kind
from chaincode.lots.exceptions import exception_named
from chaincode.lots.recall_records import RecallRecord
from tests.chaincode.memory import MemoryLedger
from tests.contract_suite.actors import Actor, MemoryLog, log_signers
from tests.contract_suite.companies import Lot, case, position

PLANT, THERE = "plant", "wholesaler"
ORIGIN = "wholesaler.example/gw"
WHOLESALER, LOG = Actor("wholesaler/gateway", ORIGIN, organisation=THERE), MemoryLog(ORIGIN, log_signers(ORIGIN))
MATERIAL, LOT, SPARE_LOT, RECALLED = Lot(900, serialised=False), Lot(12), Lot(5), Lot(3)
AT_HAND, SENT, COMING, OPENED, TO_PACK = (case(LOT, 2 * i, 2 * i + 2) for i in range(5))
ASKED = exception_named(Kind.OTHER, THERE, Evidence.decode(LOG.evidence(2, 5)).ref.leaf_hash, LOT.lot_id)


def prepare(made: MemoryLedger, gateway: Actor, log: MemoryLog) -> dict[str, list[bytes]]:
    """One case at hand, one sent, one come from the wholesaler, one opened, some packs loose; an exception that asks
    the plant, one of its own, and a recall."""
    proved = [log.evidence(i, 5) for i in range(5)]

    def plant(function: str, *args: bytes) -> bytes:
        return made.call(gateway.key.public, function, *args, organisation=PLANT)

    def wholesaler(function: str, *args: bytes) -> bytes:
        return made.call(WHOLESALER.key.public, function, *args, organisation=THERE)

    wholesaler("identities.bootstrap", *WHOLESALER.bootstrap())
    wholesaler("logs.register", ORIGIN.encode(), *LOG.vkeys())
    wholesaler("logs.anchor", *LOG.anchor(0, 5))
    for lot in (MATERIAL, LOT, RECALLED):
        plant("lots.commission", *lot.commission(proved[0]))
    for one in (AT_HAND, SENT, COMING, OPENED):
        plant("lots.pack", *one.pack(proved[0]))
    plant("lots.ship", SENT.unit_id, COMING.unit_id, THERE.encode(), proved[0])
    wholesaler("lots.receive", COMING.unit_id, LOG.evidence(0, 5))
    wholesaler("lots.ship", COMING.unit_id, PLANT.encode(), LOG.evidence(1, 5))
    plant("lots.unpack", OPENED.unit_id, proved[0])
    wholesaler("lots.report", b"other", LOT.lot_id, PLANT.encode(), LOG.evidence(2, 5), bytes(32), b"0")
    own = plant("lots.report", b"damaged", COMING.unit_id, b"", proved[0], b"", b"0")
    begun = plant("lots.recall", RECALLED.lot_id, b"2", b"1800000000000000", b"glass", proved[0])
    recall_id = RecallRecord.decode(begun).recall_id.encode()
    wholesaler("recalls.answer", recall_id, bytes(32), LOG.evidence(3, 5))
    return _valid(proved[1], ExceptionRecord.decode(own).exception_id, recall_id)


def _valid(proved: bytes, own: bytes, recall_id: bytes) -> dict[str, list[bytes]]:
    pack, loose = OPENED.members[0], LOT.packs[10]
    return {
        "lots.commission": SPARE_LOT.commission(proved, MATERIAL.of(100)),
        "lots.pack": TO_PACK.pack(proved),
        "lots.unpack": [AT_HAND.unit_id, proved],
        "lots.destroy": [AT_HAND.unit_id, b"wet", proved],
        "lots.ship": [AT_HAND.unit_id, THERE.encode(), proved],
        "lots.receive": [COMING.unit_id, proved],
        "lots.refuse": [COMING.unit_id, b"wet", proved],
        "lots.dispense": [
            LOT.lot_id, pack, position(LOT.packs, pack), OPENED.unit_id, position(OPENED.members, pack), proved,
        ],
        "lots.decommission": [LOT.lot_id, loose, position(LOT.packs, loose), b"", b"", b"stolen", proved],
        "lots.write-off": [MATERIAL.lot_id, b"5", b"spilt", proved],
        "lots.report": [b"damaged", AT_HAND.unit_id + LOT.lot_id, THERE.encode(), proved, bytes(32), b"9"],
        "lots.answer": [ASKED, bytes(32), proved],
        "lots.resolve": [own, b"explained", proved],
        "lots.recall": [LOT.lot_id, b"1", b"1800000000000000", b"glass", proved],
        "lots.lift": [recall_id, b"another lot", proved],
        "recalls.answer": [recall_id, bytes(31) + b"1", proved],
        "recalls.get": [recall_id],
        "recalls.answered": [recall_id, bytes(32)],
        "lots.get": [LOT.lot_id],
        "lots.unit": [SENT.unit_id],
        "lots.where": [SENT.unit_id],
        "lots.balance": [LOT.lot_id, PLANT.encode()],
        "lots.pack-state": [LOT.lot_id, pack],
        "lots.history": [SENT.unit_id],
        "lots.exception": [ASKED],
        "lots.exceptions": [PLANT.encode(), bytes(32)],
        "lots.held-by": [COMING.unit_id],
    }  # fmt: skip
