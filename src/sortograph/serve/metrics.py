"""What the server counts, for Prometheus. Labels are routes, statuses and models of ours: never a name of
a file, a class, or anything else that a client sends."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

OTHER = "other"  # paths that are no route
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """One registry for each server, so that several may live in one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counter("http_requests", "Requests answered.", ("route", "method", "status"))
        self.seconds = Histogram(
            "sortograph_http_request_seconds",
            "From the head of a request to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.photos = self._counter("photos", "Photos of predictions.", ("model", "outcome"))
        self.batches = Histogram(
            "sortograph_batch_photos",
            "Photos in one run of a model.",
            ("model",),
            buckets=_SIZES,
            registry=self._registry,
        )
        self.failures = self._counter("model_failures", "Times that a model failed or hung.", ("model",))
        self.reloads = self._counter("model_reloads", "Models read again.", ("model", "outcome"))
        self.corrections = self._counter("corrections", "Corrections stored.", ())
        self.waiting = self._gauge("waiting_photos", "Photos that wait for an answer.")
        self.held = self._gauge("held_bytes", "Bytes of requests that are being read or answered.")
        self.open = self._gauge("connections", "Open connections.")

    def text(self) -> bytes:
        """All of it, in the text format of Prometheus."""
        return generate_latest(self._registry)

    def _counter(self, name: str, help_: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"sortograph_{name}", help_, labels, registry=self._registry)

    def _gauge(self, name: str, help_: str) -> Gauge:
        return Gauge(f"sortograph_{name}", help_, registry=self._registry)
