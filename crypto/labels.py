"""Every label and signature context of Sealtrail, in one place so that no two purposes can share one.

A context is never empty except where C2SP demands it (signed notes); keys that sign notes sign nothing
else but their own replacement.
"""

SEAL = b"sealtrail/seal/v1"  # a source's signature over a range of its events
ENROL = b"sealtrail/enrol/v1"  # proof that an enrolling source holds its private key
GATEWAY_RECEIPT = b"sealtrail/gateway-receipt/v1"  # the gateway's word that a range is durable
LEDGER_TRANSACTION = b"sealtrail/ledger-transaction/v1"  # a caller's signature over a transaction
KEY_ROTATION = b"sealtrail/key-rotation/v1"  # old and new key sign the change from one to the other
KEM_KEY = b"sealtrail/kem-key/v1"  # an identity publishes or withdraws a KEM key of its own
EXCHANGE_REGRANT = b"sealtrail/exchange-regrant/v1"  # a holder passes a sealed object on
DELIVERY_RECEIPT = b"sealtrail/delivery-receipt/v1"  # a recipient says that it opened, or refused, an object
RECOVERY_KEY = b"sealtrail/recovery-key/v1"  # the present key, and the offline one, sign that the latter may recover
KEY_RECOVERY = b"sealtrail/key-recovery/v1"  # the offline key and a new key sign that the new one takes over
LOG_KEY_ROTATION = b"sealtrail/log-key-rotation/v1"  # a log's old and new keys sign the change
COMMITMENT = "sealtrail/commitment/v1"  # HMAC input of a field's salted commitment
SALT = "sealtrail/salt/v1"  # HMAC input that derives a field's salt from its segment's seed
DISCLOSURE = b"sealtrail/disclosure/v1"  # a gateway's signature over a disclosure to an auditor
SEGMENT = b"sealtrail/segment/v1"  # additional data of an encrypted payload segment
SUBJECT_KEY = b"sealtrail/subject-key/v1"  # additional data of a wrapped subject key
EPOCH_KEY = b"sealtrail/epoch-key/v1"  # HPKE info of a payload key that is sealed to a recipient
SUBJECT_TAG = b"sealtrail/subject-tag/v1"  # HMAC input that derives the key of subjects' tags from the site key
SEALED_OBJECT = b"sealtrail/sealed-object/v1"  # a sender's signature over a sealed object
SEALED_STANZA = "sealtrail/sealed-stanza/v1"  # HPKE info of a content key for one recipient of an object
SEALED_GRANT = "sealtrail/sealed-grant/v1"  # HPKE info of a content key that was passed on later
KEY_FILE = b"sealtrail/key-file/v1"  # additional data of a key locked by a passphrase
KEY_REVOCATION = b"sealtrail/key-revocation/v1"  # a key's own word that it is not to be believed any more
LOCKED_FILE = b"sealtrail/locked-file/v1"  # additional data of a private file in a locked folder
LOCKED_FOLDER = b"sealtrail/locked-folder/v1"  # additional data of the proof in its passphrase.lock
SESSION = b"sealtrail/session/v1"  # the protocol of device sessions: its transcript and all its keys
DEVICE_AUTH = b"sealtrail/device-auth/v1"  # a device's signature in the handshake of a session
SESSION_KEY = b"sealtrail/session-key/v1"  # the gateway's signature over its static key for sessions
UNIT = b"sealtrail/unit/v1"  # HMAC input that makes the ledger's name of a lot, a pack or a logistic unit
UNIT_SECRET = b"sealtrail/unit-secret/v1"  # additional data of a unit secret at rest
HANDOVER = b"sealtrail/handover/v1"  # a gateway's signature over what it tells the next holder of a shipment
RECALL = b"sealtrail/recall/v1"  # a gateway's signature over a notice or an answer in a recall
RECALL_ANSWER = b"sealtrail/recall-answer/v1"  # begins the hash that commits to an answer on the ledger
