"""Prometheus metrics, read at each scrape from the running gateway; a registry of its own, nothing global."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.delivery.outbox import QueueState
from gateway.live import LiveStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Scrape:
    """A collector of one scrape."""

    def __init__(
        self, status: LiveStatus, notices: Mapping[str, int], indexed: int, queues: Sequence[QueueState] = ()
    ) -> None:
        self._status, self._notices, self._indexed, self._queues = status, notices, indexed, queues

    def collect(self) -> Iterator[Metric]:
        now = self._status
        events = CounterMetricFamily("sealtrail_events", "Events since the start, by verdict", labels=["verdict"])
        for verdict, count in (("stored", now.stored), ("duplicate", now.duplicates), ("rejected", now.rejected)):
            events.add_metric([verdict], count)
        yield events
        sizes = GaugeMetricFamily("sealtrail_log_entries", "Entries of the log, by how far they came", labels=["stage"])
        for stage, size in (
            ("durable", now.log_size), ("signed", now.checkpoint_size), ("anchored", now.anchored_size),
            ("indexed", self._indexed),
        ):  # fmt: skip
            sizes.add_metric([stage], size)
        yield sizes
        handshakes = CounterMetricFamily("sealtrail_handshakes", "Handshakes of sessions, by end", labels=["end"])
        handshakes.add_metric(["session"], now.handshakes)
        handshakes.add_metric(["refused"], now.handshakes_refused)
        yield handshakes
        yield from self._gauges()
        yield from self._kept()
        yield from self._tls()
        yield from self._outbox()

    def _gauges(self) -> Iterator[Metric]:
        now = self._status
        for name, text, value in (
            ("sealtrail_start_time_seconds", "Start of the gateway, Unix time", now.started_us / 1e6),
            ("sealtrail_last_anchor_time_seconds", "Last anchor, Unix time; 0 before the first", now.anchored_us / 1e6),
            ("sealtrail_queued_bytes", "Received and waiting for the next commit", now.queued_bytes),
            ("sealtrail_connected_sources", "Sources connected now", len(now.connected)),
            ("sealtrail_sessions_open", "Sessions of devices, open now", now.sessions),
            ("sealtrail_disk_used_bytes", "Bytes in the data directory", now.disk_bytes),
            ("sealtrail_disk_limit_bytes", "Bound of the data directory", now.disk_limit_bytes),
            ("sealtrail_ready", "1 when the gateway has no problem", 0 if now.problems else 1),
        ):
            yield GaugeMetricFamily(name, text, value)

    def _kept(self) -> Iterator[Metric]:
        kept = GaugeMetricFamily("sealtrail_notices_kept", "Notices in their bounded tables", labels=["table"])
        dropped = CounterMetricFamily("sealtrail_notices_dropped", "Notices that fell out", labels=["table"])
        for table in ("dead_letter", "alert"):
            kept.add_metric([table], self._notices.get(table, 0))
            dropped.add_metric([table], self._notices.get(f"dropped_{table}", 0))
        yield kept
        yield dropped

    def _outbox(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("sealtrail_deliveries_waiting", "Deliveries that wait", labels=["receiver"])
        oldest = GaugeMetricFamily("sealtrail_deliveries_oldest_seconds", "Time of the oldest", labels=["receiver"])
        taken = CounterMetricFamily("sealtrail_deliveries_taken", "Deliveries taken", labels=["receiver"])
        lost = CounterMetricFamily("sealtrail_deliveries_put_out", "Deliveries put out", labels=["receiver"])
        for queue in self._queues:
            waiting.add_metric([queue.name], queue.waiting)
            oldest.add_metric([queue.name], queue.oldest_us / 1e6)
            taken.add_metric([queue.name], queue.delivered)
            lost.add_metric([queue.name], queue.put_out)
        yield from (waiting, oldest, taken, lost)

    def _tls(self) -> Iterator[Metric]:
        done = CounterMetricFamily(
            "sealtrail_tls_handshakes", "TLS handshakes by the group that each took", labels=["place", "group"]
        )
        failed = CounterMetricFamily("sealtrail_tls_failures", "TLS handshakes that failed", labels=["place"])
        for use in self._status.tls:
            for group, count in use.handshakes.items():
                done.add_metric([use.place, group], count)
            failed.add_metric([use.place], use.failures)
        yield done
        yield failed


def exposition(
    status: LiveStatus, notices: Mapping[str, int], indexed: int, queues: Sequence[QueueState] = ()
) -> bytes:
    """The answer to one scrape."""
    registry = CollectorRegistry()
    registry.register(_Scrape(status, notices, indexed, queues))
    return generate_latest(registry)
