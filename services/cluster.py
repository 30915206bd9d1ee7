"""Starts and stops Ray Serve with the application, on a local Ray or a running cluster."""

from __future__ import annotations

import logging
import os

from services.common.errors import ConfigurationError
from services.common.settings import Settings

# Read by Ray when it is imported. The application's code never blocks its event loop, so it
# needs no thread of its own for user code or routing; and handles that call over gRPC take
# half as long as calls through Ray's object store (docs/adr/0001-one-request.md).
_ENVIRONMENT = {
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    # Ray starts its workers at niceness 15: anything else on the machine then stops one of
    # the engine's threads, and the others wait for it.
    "RAY_worker_niceness": "0",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_OBJECT_STORE_BYTES = 256 << 20


def start(settings: Settings) -> None:
    """Starts Ray (unless `serve.ray_address` names one) and deploys the application.

    Returns when every deployment is running.

    Raises:
        ConfigurationError: Ray cannot be reached, or a deployment failed to start; the
            message holds the deployment's own reason.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray  # noqa: PLC0415 - read the environment above
    from ray import serve  # noqa: PLC0415
    from ray.serve.config import HTTPOptions, gRPCOptions  # noqa: PLC0415
    from ray.serve.exceptions import RayServeException  # noqa: PLC0415

    from services.app import SERVICERS, build  # noqa: PLC0415

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    address = settings.serve.ray_address
    limits = settings.serve
    needed = limits.student_cpus * limits.student_replicas + limits.light_cpus * (
        limits.reasoner_replicas + limits.knowledge_replicas
    )
    local = {
        "num_cpus": max(os.cpu_count() or 1, int(needed) + 1),
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
    }
    try:
        ray.init(
            address=address or "local",
            namespace="nesycd",
            log_to_driver=settings.log_level == "debug",
            logging_level=logging.ERROR,
            **({} if address else local),
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigurationError(
            f"serve.ray_address: cannot start or reach Ray at {address or 'this machine'}: {error}"
        ) from None
    serve.start(
        http_options=HTTPOptions(host="127.0.0.1", port=settings.serve.http_port),
        grpc_options=gRPCOptions(
            port=settings.serve.grpc_port,
            grpc_servicer_functions=SERVICERS,
            request_timeout_s=settings.serve.request_timeout_s,
        ),
        logging_config={"log_level": "WARNING", "enable_access_log": False},
    )
    try:
        serve.run(build(settings), name="nesycd", route_prefix="/")
    except (RayServeException, RuntimeError, TimeoutError) as error:
        raise ConfigurationError(_reason(error)) from None


def _reason(error: Exception) -> str:
    """What a failed deployment said last, without its traceback."""
    from ray import serve  # noqa: PLC0415

    application = serve.status().applications.get("nesycd")
    for name, deployment in application.deployments.items() if application else ():
        # The last line of a traceback: "package.module.SomeError: what it says".
        last = deployment.message.strip().splitlines()[-1:]
        if deployment.status == "DEPLOY_FAILED" and last:
            return f"{name}: {last[0].rpartition('Error: ')[2]}"
    return f"the application did not start: {error}"


def stop() -> None:
    """Deletes the application, letting running calls end, and leaves or ends Ray."""
    import ray  # noqa: PLC0415
    from ray import serve  # noqa: PLC0415

    if ray.is_initialized():
        serve.delete("nesycd")
        ray.shutdown()
