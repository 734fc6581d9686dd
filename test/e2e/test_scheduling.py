"""Which of our threads go first when there is not enough CPU for all, and how late each plane is."""
import ctypes
import os
import pathlib
import struct

import pytest

import backend as fake
import harness
import wire

SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}
LINUX = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])


def threads(proxy, name):
    """The ids of threads whose name begins with `name`."""
    return [int(task.name) for task in pathlib.Path(f"/proc/{proxy.pid}/task").iterdir()
            if (task / "comm").read_text().startswith(name)]


def attributes(thread):
    """(nice, slice in ns) by sched_getattr(2)."""
    raw = ctypes.create_string_buffer(48)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.syscall(SCHED_GETATTR[os.uname().machine], thread, raw, len(raw), 0) == 0
    _size, _policy, _flags, nice, _priority, runtime, _deadline, _period = struct.unpack("IIQiIQQQ", raw.raw)
    return nice, runtime


def test_a_pump_need_not_wait_for_the_slice_of_a_handshake(start, backend):
    """Beside a flood of TLS handshakes a pump that woke up waited until the setup thread had used up its slice,
    though that is nice."""
    if LINUX < (6, 12):
        pytest.skip("threads have no slices of their own before Linux 6.12")
    if os.uname().machine not in SCHED_GETATTR:
        pytest.skip("the number of the system call is not known here")
    proxy = start(harness.config_for(backend(fake.echo).address))
    pumps = harness.eventually(lambda: threads(proxy, "pump-"), what="the pumps")
    handshakes = harness.eventually(lambda: threads(proxy, "setup-"), what="the setup threads")
    harness.eventually(lambda: all(attributes(each)[0] == 19 for each in handshakes), what="nice setup threads")
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    for pump in pumps:
        harness.eventually(lambda pump=pump: attributes(pump) == (ours, 500_000), what="a pump's short slices")
    assert min(attributes(each)[1] for each in handshakes) > 500_000


def test_each_turn_of_a_pump_is_in_its_loop_lag(start, backend):
    proxy = start(harness.config_for(backend(fake.echo).address))

    def turns(plane):
        return proxy.metric("holdfast_loop_lag_seconds_count", plane=plane)
    with wire.open_session(proxy.public) as client:
        before = turns("pump")
        for _ in range(20):
            client.send(wire.frame(wire.TEXT, b"hi"))
            assert client.data_frame()[2] == b"hi"
        # Each message and its answer come in turns of their own: the next one waits for both. The last turn may
        # not be over yet.
        assert turns("pump") >= before + 39
    assert proxy.metric("holdfast_loop_lag_seconds_sum", plane="pump") > 0
    for plane in ("setup", "control"):
        harness.eventually(lambda plane=plane: turns(plane) > 0, what=f"a look at the {plane} plane's lag")
