"""An orderer's channel participation interface: join a channel, and ask how it stands.

REST over TLS with the certificate of the organisation's admin; the orderer's certificate is checked against the
organisation's TLS authority. Answers are bounded. Source: Fabric, orderer/common/channelparticipation/restapi.go.
"""

import http.client
import json
import secrets
import ssl
from dataclasses import dataclass
from typing import Any

from network.errors import NodeError
from network.identities.places import ADMIN, CERTIFICATE, KEY
from network.layout import Layout, Node

CHANNELS = "/participation/v1/channels"
TIMEOUT_S = 20.0
MAX_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """How an orderer stands to the channel: status `active`, `onboarding`, `failed`; height in blocks."""

    status: str
    height: int


class OrdererAdmin:
    """Speaks to one orderer."""

    def __init__(self, layout: Layout, node: Node) -> None:
        organisation = layout.organisation(node.msp_id)
        own = organisation / "users" / ADMIN / "tls"
        self._context = ssl.create_default_context(cafile=organisation / "tlsca" / CERTIFICATE)
        self._context.load_cert_chain(own / CERTIFICATE, own / KEY)
        self._node = node
        self._channel = layout.topology.channel

    def status(self) -> ChannelStatus | None:
        """None when the orderer has not joined the channel."""
        code, answer = self._call("GET", f"{CHANNELS}/{self._channel}")
        if code == http.client.NOT_FOUND:
            return None
        if code != http.client.OK:
            raise NodeError(f"{self._node.name}: asked for the channel, answered {code}: {answer}")
        return ChannelStatus(str(answer.get("status")), int(answer.get("height", 0)))

    def join(self, genesis: bytes) -> None:
        """Join by the channel's genesis block; joining again changes nothing."""
        if self.status() is not None:
            return
        boundary = secrets.token_hex(16)
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="config-block"; filename="genesis.block"\r\n\r\n'
        body = head.encode() + genesis + f"\r\n--{boundary}--\r\n".encode()
        content_type = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        code, answer = self._call("POST", CHANNELS, body, content_type)
        if code != http.client.CREATED:
            raise NodeError(f"{self._node.name}: cannot join the channel, answered {code}: {answer}")

    def _call(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        port = self._node.ports["admin"]
        connection = http.client.HTTPSConnection(self._node.host, port, context=self._context, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            content = answer.read(MAX_ANSWER_BYTES)
            return answer.status, json.loads(content or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as e:
            raise NodeError(f"{self._node.name}: its admin interface does not answer: {e}") from e
        finally:
            connection.close()
