"""What a Ray that a test starts is told beside what it always is."""

from __future__ import annotations

PATIENT_RAY = {
    # On a busy machine Ray's own processes take longer than it likes to wait.
    "RAY_agent_register_timeout_ms": "150000",
    "RAY_raylet_start_wait_time_s": "150",
    "RAY_worker_register_timeout_seconds": "150",
    # Every second instead of every ten: tests do not wait for metrics.
    "RAY_metrics_report_interval_ms": "1000",
}
"""For the environment in which it starts."""
