"""What devices ask before they have a connection: enrolment, and the change of a key.

No bearer token: the one-time code, the proof of possession and the signatures of both keys are what counts.
"""

import base64

from fastapi import APIRouter
from fastapi.responses import Response

from crypto.errors import SealtrailError
from crypto.kem import KemSuite
from gateway.access import AccessError
from gateway.api.bodies import Enrol, Enrolled, GatewayKeyOut, MqttOut, OfferOut, OfferRequest, Rotate, SessionKeyOut
from gateway.api.parameters import SourcePath
from gateway.api.problems import documented, refused_input
from gateway.api.services import Here
from gateway.live import Enrolment

router = APIRouter(prefix="/v1", tags=["devices"])


@router.post("/enrol/offer", summary="What a code enrols", responses=documented(400, 403))
def offer(body: OfferRequest, here: Here) -> OfferOut:
    """The source and origin that the device's proof must name. The code stays good. 403 for one that is not."""
    found = here.live.offer(body.code)
    return OfferOut(source=found.source, origin=found.origin)


@router.post("/enrol", summary="Enrol a device", responses=documented(400, 403, 409))
async def enrol(body: Enrol, here: Here) -> Enrolled:
    """Redeem a one-time code. The contract checks that the device holds the key before the code is used up."""
    try:
        return _enrolled(await here.live.enrol(body.code, body.algorithm, body.public_key, body.proof))
    except AccessError:
        raise
    except SealtrailError as e:
        raise refused_input(e) from e


@router.post("/sources/{name}/rotate", status_code=204, summary="Change a source's key", response_class=Response,
             responses=documented(400, 404, 409))  # fmt: skip
async def rotate(name: SourcePath, body: Rotate, here: Here) -> Response:
    """The new key counts from `from_index` on. The contract demands the signatures of both keys."""
    try:
        await here.live.rotate(
            name, body.algorithm, body.public_key, body.from_index, body.old_signature, body.new_signature
        )
    except SealtrailError as e:
        raise refused_input(e) from e
    return Response(status_code=204)


def _enrolled(found: Enrolment) -> Enrolled:
    key = GatewayKeyOut(algorithm=found.gateway_key_algorithm, public_key=base64.b64encode(found.gateway_key).decode())
    session = found.session_key and SessionKeyOut(
        suite=KemSuite.X_WING, public_key=base64.b64encode(found.session_key).decode(), serial=found.session_serial
    )
    return Enrolled(
        source=found.source, origin=found.origin, password=found.password, gateway_key=key,
        mqtt=MqttOut(host=found.mqtt_host, port=found.mqtt_port, tls=found.mqtt_tls),
        log_vkeys=list(found.log_vkeys), session_key=session or None,
    )  # fmt: skip
