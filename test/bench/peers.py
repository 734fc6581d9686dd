"""Starts the proxies of the bench, each configured as its own expert would: one worker, tunnels that
never time out, no log, the same P-256 certificate. The bare relay of bench_load stands among them as the limit."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


def make_certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=bench.test", "-addext", "subjectAltName=DNS:bench.test", "-days", "2",
                    "-keyout", folder / "key.pem", "-out", folder / "chain.pem"], check=True, capture_output=True)
    (folder / "both.pem").write_text((folder / "chain.pem").read_text() + (folder / "key.pem").read_text())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def haproxy_config(folder, backend, plain, tls, options="", limits=""):
    return f"""
global
  nbthread 1
  maxconn 9500
  {limits}
  tune.bufsize 32768
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  maxconn 9500
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
  {options}
frontend in
  bind 127.0.0.1:{plain}
  bind 127.0.0.1:{tls} ssl crt {folder}/both.pem
  default_backend echo
backend echo
  balance leastconn
  server one 127.0.0.1:{backend}
"""


def haproxy_splice_config(folder, backend, plain, tls):
    """Bytes of plain tunnels go through a pipe of the kernel where it thinks that this pays."""
    return haproxy_config(folder, backend, plain, tls, "option splice-auto", "maxpipes 200")


def nginx_config(folder, backend, plain, tls):
    return f"""
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 19500; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi; uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  server {{
    listen 127.0.0.1:{plain} backlog=4096;
    listen 127.0.0.1:{tls} ssl backlog=4096;
    ssl_protocols TLSv1.2 TLSv1.3; # its default was without 1.3 until 1.23.4
    ssl_certificate {folder}/chain.pem;
    ssl_certificate_key {folder}/key.pem;
    location / {{
      proxy_pass http://127.0.0.1:{backend};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header Host $host;
      proxy_buffer_size 16k;
      proxy_buffers 8 16k;
      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
    }}
  }}
}}
"""


def holdfast_config(folder, backend, plain, tls):
    return json.dumps({
        "workers": 1,
        "listeners": [
            {"name": "plain", "bind": f"127.0.0.1:{plain}"},
            {"name": "tls", "bind": f"127.0.0.1:{tls}",
             "tls": {"certificates": [{"chain": f"{folder}/chain.pem", "key": f"{folder}/key.pem"}]}}],
        "upstreams": [{"name": "echo", "backends": [{"address": f"127.0.0.1:{backend}"}]}],
        "admin": {"bind": "127.0.0.1:0"},
        "log": {"level": "warning", "access": ""}})


def relay_config(folder, backend, plain, tls):
    """Its arguments, a line each."""
    return f"{plain}\n{tls}\n{backend}\n{folder}/chain.pem\n{folder}/key.pem\n"


CONFIGS = {"holdfast": holdfast_config, "relay": relay_config, "haproxy": haproxy_config,
           "haproxy-splice": haproxy_splice_config, "nginx": nginx_config}


def command_of(kind, file, binary):
    """`binary` is holdfast, or bench_load for the relay; the others are looked for in PATH."""
    if kind == "relay":
        return [binary, "relay", *file.read_text().splitlines()]
    return {"holdfast": [binary, "run", "-c", file],
            "haproxy": ["haproxy", "-db", "-f", file],
            "haproxy-splice": ["haproxy", "-db", "-f", file],
            "nginx": ["nginx", "-e", "stderr", "-g", "daemon off;", "-c", file]}[kind]


def version(kind, binary):
    command = {"holdfast": [binary, "--version"], "haproxy": ["haproxy", "-v"],
               "haproxy-splice": ["haproxy", "-v"], "nginx": ["nginx", "-v"],
               "relay": ["openssl", "version"]}[kind]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"\d+\.\d+(\.\d+)?", result.stdout + result.stderr)
    return f"{'relay with OpenSSL' if kind == 'relay' else kind} {found[0] if found else 'unknown'}"


class Proxy:
    """A started proxy, and what /proc says about all its processes."""

    def __init__(self, process, plain_port, tls_port):
        self.process = process
        self.plain_port = plain_port
        self.tls_port = tls_port

    def port(self, transport):
        return self.tls_port if transport == "tls" else self.plain_port

    def pids(self):
        found = [self.process.pid]
        for pid in found:
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        return found

    def cpu_seconds(self):
        ticks = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])  # utime, stime
        return ticks / TICKS

    def thread_seconds(self, name):
        """User and system time of each thread whose name begins so, in order of their numbers."""
        found = []
        for task in sorted(pathlib.Path(f"/proc/{self.process.pid}/task").iterdir(), key=lambda task: int(task.name)):
            if (task / "comm").read_text().startswith(name):
                fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
                found.append((int(fields[11]) + int(fields[12])) / TICKS)
        return found

    def pss_bytes(self):
        """Without pages of files: the relay, the backend and the load generator share a program and all share
        libraries, so its part of these shrinks when another process starts."""
        kib = 0
        for pid in self.pids():
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            kib += sum(map(int, re.findall(r"^Pss_(?:Anon|Shmem):\s+(\d+)", rollup, re.M)))
        return kib * 1024

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids())

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(0.5)
        except subprocess.TimeoutExpired:
            for pid in reversed(self.pids()):
                os.kill(pid, signal.SIGKILL)
            self.process.wait()


def start(kind, folder, backend, binary, spawn, config=None):
    """Starts a proxy with spawn(command) and returns once it accepts connections. `backend` is what the config
    function takes: a port."""
    plain, tls = free_port(), free_port()
    file = folder / f"{kind}.conf"
    file.write_text((config or CONFIGS[kind])(folder, backend, plain, tls))
    proxy = Proxy(spawn(command_of(kind, file, binary), stdout=subprocess.DEVNULL), plain, tls)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and proxy.process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", tls), 1).close()
            return proxy
        except ConnectionRefusedError:
            time.sleep(0.02)
    proxy.stop()
    raise RuntimeError(f"{kind} did not start: {' '.join(map(str, command_of(kind, file, binary)))}")
