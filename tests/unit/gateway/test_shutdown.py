"""How a gateway ends, and how it sheds old connections: what a roll-out needs."""

import asyncio
import os
import sys
from contextlib import suppress

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from services.genproto.nesycd.v1 import reasoning_pb2_grpc as pb_grpc
from tests.service import free_port
from tests.unit.gateway.test_edge import _awaited, asked, failure, ready, until


async def status(channel: grpc.aio.Channel) -> int:
    check = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    return check.status


async def test_health_says_so_first_while_calls_are_still_taken(make_edge):
    edge = await make_edge(shutdown_delay_s=3.0, health_port=0)
    await ready(edge)
    ending = asyncio.create_task(edge.gateway.stop())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{edge.gateway.health_port}") as probe:
        for channel in (edge.channel, probe):
            async with asyncio.timeout(2):
                while await status(channel) != health_pb2.HealthCheckResponse.NOT_SERVING:
                    await asyncio.sleep(0.01)
    assert (await edge.reasoning.Reason(asked())).answer == "42"
    assert not ending.done()
    await ending
    assert (await failure(edge.reasoning.Reason(asked()))).code() is grpc.StatusCode.UNAVAILABLE


async def test_a_stream_under_way_ends_whole_while_new_calls_are_refused(make_edge):
    edge = await make_edge(drain_s=20.0)
    asking = asked("slow", retrieval_mode=pb.RETRIEVAL_MODE_NEVER, max_new_tokens=40)
    stream = edge.reasoning.ReasonStream(asking)
    events = [await anext(aiter(stream))]
    ending = asyncio.create_task(edge.gateway.stop())
    await asyncio.sleep(0.1)
    other = grpc.aio.insecure_channel(
        f"127.0.0.1:{edge.gateway.port}", options=(("grpc.use_local_subchannel_pool", 1),)
    )
    async with other:
        refused = await failure(pb_grpc.ReasoningServiceStub(other).Reason(asked(), timeout=0.3))
        assert refused.code() in {
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        }
    events += [event async for event in stream]
    assert events[-1].response.truncated
    await ending


async def test_calls_longer_than_the_drain_are_ended(make_edge):
    edge = await make_edge(drain_s=0.2)
    asking = asked("slow", retrieval_mode=pb.RETRIEVAL_MODE_NEVER)
    running = asyncio.ensure_future(_awaited(edge.reasoning.Reason(asking)))
    await until(lambda: edge.student.in_flight == 1)
    await edge.gateway.stop()
    assert isinstance((await asyncio.gather(running, return_exceptions=True))[0], grpc.RpcError)
    await until(lambda: edge.student.in_flight == 0)


async def test_sigterm_ends_the_process_after_the_call_under_way(make_edge):
    inner = await make_edge()
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli.main", "gateway"),
        env=os.environ
        | {
            "NESYCD_GATEWAY__UPSTREAM": inner.gateway._settings.upstream,
            "NESYCD_GATEWAY__PORT": str(port),
            "NESYCD_GATEWAY__METRICS_PORT": str(free_port()),
            "NESYCD_GATEWAY__SHUTDOWN_DELAY_S": "4",
        },
    )
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            asking = asked("slow", retrieval_mode=pb.RETRIEVAL_MODE_NEVER, max_new_tokens=200)
            stub = pb_grpc.ReasoningServiceStub(channel)
            stream = stub.ReasonStream(asking, wait_for_ready=True)
            await anext(aiter(stream))
            process.terminate()
            async with asyncio.timeout(3):
                while await status(channel) != health_pb2.HealthCheckResponse.NOT_SERVING:
                    await asyncio.sleep(0.02)
            events = [event async for event in stream]
        assert events[-1].response.truncated
        assert await process.wait() == 0
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_an_old_connection_is_left_for_a_new_one_and_no_call_fails(make_edge):
    edge = await make_edge(max_connection_age_s=0.5)
    states = []

    async def watch() -> None:
        state = edge.channel.get_state(try_to_connect=True)
        while True:
            states.append(state)
            await edge.channel.wait_for_state_change(state)
            state = edge.channel.get_state()

    watching = asyncio.create_task(watch())
    for _ in range(40):
        assert (await edge.reasoning.Reason(asked(), timeout=10)).answer == "42"
        await asyncio.sleep(0.05)
    watching.cancel()
    assert states.count(grpc.ChannelConnectivity.READY) >= 2
