"""Resumption with session tickets, ALPN, and what an idle TLS session costs."""
import ssl

import pytest

import backend as fake
import harness
import wire

VISITS = 12  # with two setup threads: all on one of them once in 4,000 runs


@pytest.fixture
def listener(authority):
    chain, key = authority.issue("tickets.test")
    return {"tls": {"certificates": [{"chain": str(chain), "key": str(key)}]}}


def visit(address, tls, session=None):
    """A session that comes and goes: (was it resumed, the ticket for the next time)."""
    sock = wire.connect(address).sock
    with wire.Stream(tls.wrap_socket(sock, server_hostname="tickets.test", session=session)) as client:
        client.send(wire.request())
        assert client.head().status == 101  # in TLS 1.3 the ticket comes in front of the first data
        return client.sock.session_reused, client.sock.session


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
def one_version(request, authority):
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.minimum_version = context.maximum_version = request.param
    return context


def test_a_client_resumes_on_every_thread(start, backend, listener, one_version):
    proxy = start(harness.config_for(backend(fake.echo).address, listener=listener))
    resumed, ticket = visit(proxy.public, one_version)
    assert not resumed
    assert all(visit(proxy.public, one_version, ticket)[0] for _ in range(VISITS))


def test_a_client_resumes_after_reloads(start, backend, listener, one_version):
    config = harness.config_for(backend(fake.echo).address, listener=listener)
    proxy = start(config)
    _, ticket = visit(proxy.public, one_version)
    for number in range(2):
        proxy.reload({**config, "shutdown_timeout": f"{number + 3}s"})
        assert all(visit(proxy.public, one_version, ticket)[0] for _ in range(VISITS))


def test_a_new_process_has_new_keys(start, backend, listener, one_version):
    config = harness.config_for(backend(fake.echo).address, listener=listener)
    _, ticket = visit(start(config).public, one_version)
    assert not visit(start(config).public, one_version, ticket)[0]


@pytest.mark.parametrize("offered, chosen", [(["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), ([], None)])
def test_http_1_1_is_chosen_from_what_a_client_offers(start, backend, listener, trust, offered, chosen):
    proxy = start(harness.config_for(backend(fake.echo).address, listener=listener))
    if offered:
        trust.set_alpn_protocols(offered)
    with wire.open_session(proxy.public, tls=trust, server_name="tickets.test") as client:
        assert client.sock.selected_alpn_protocol() == chosen


def test_a_client_that_speaks_http_2_only_is_told_so(start, backend, listener, trust):
    proxy = start(harness.config_for(backend(fake.echo).address, listener=listener))
    trust.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        wire.connect(proxy.public, tls=trust, server_name="tickets.test")


def test_an_idle_tls_session_keeps_no_record_buffers(start, backend, listener, trust):
    """OpenSSL's two record buffers are 34 KB; each session here has used both."""
    if harness.SLOWNESS > 1:
        pytest.skip("a sanitizer's memory is not ours")
    proxy = start(harness.config_for(backend(fake.echo).address, listener=listener))
    count, clients = 300, []

    def come():
        client = wire.open_session(proxy.public, tls=trust, server_name="tickets.test")
        client.send(wire.frame(wire.BINARY, b"x" * 20000))
        assert len(client.data_frame()[2]) == 20000
        return client
    try:
        clients = [come() for _ in range(50)]  # what the process needs once
        before = proxy.memory_bytes()
        clients += [come() for _ in range(count)]
        assert (proxy.memory_bytes() - before) / count < 24 * 1024
    finally:
        for client in clients:
            client.close()
