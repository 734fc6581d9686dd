"""The servers of the feeds bench: each gets messages from one source and gives them to all its clients, one core,
configured as its own expert would. Holdfast, npm ws and python3-websockets connect to the source; nchan is
published into, which is its only way."""
import json
import pathlib
import re
import shutil
import socket
import subprocess
import time

import peers
import stage

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = stage.ROOT / "test/e2e/node_modules/ws/package.json"


def holdfast_config(folder, source, plain, tls, deflate, flush_interval=0):
    """The clients negotiate `deflate`, or don't; there is nothing to be said about it."""
    return json.dumps({
        "workers": 1,
        "listeners": [
            {"name": "plain", "bind": f"127.0.0.1:{plain}"},
            {"name": "tls", "bind": f"127.0.0.1:{tls}",
             "tls": {"certificates": [{"chain": f"{folder}/chain.pem", "key": f"{folder}/key.pem"}]}}],
        "feeds": [{"name": "ticker", "source": {"urls": [f"ws://127.0.0.1:{source}/"]}, "dialect": "opaque",
                   "join": "none", "linger": "10s", "flush_interval": flush_interval, "ring": {"bytes": "8MiB", "age": "60s"},
                   "on_lag": "skip_to_snapshot"}],
        "routes": [{"name": "feed", "path": "/feed/:name", "feed": "ticker"}],
        "admin": {"bind": "127.0.0.1:0"},
        "log": {"level": "warning", "access": ""}})


def gathering_config(folder, source, plain, tls, deflate):
    return holdfast_config(folder, source, plain, tls, deflate, "20ms")


def nchan_config(folder, _source, plain, tls, deflate):
    publish = "nchan_deflate_message_for_websocket on;" if deflate else ""
    return f"""
load_module {nchan_module()};
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 19500; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi; uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  nchan_shared_memory_size 256M;
  keepalive_requests 1000000000;
  server {{
    listen 127.0.0.1:{plain} backlog=4096;
    listen 127.0.0.1:{tls} ssl backlog=4096;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {folder}/chain.pem;
    ssl_certificate_key {folder}/key.pem;
    location = /pub {{ nchan_publisher http websocket; nchan_channel_id bench; nchan_message_buffer_length 1024;
                       nchan_message_timeout 60s; {publish} }}
    location /feed/ {{ nchan_subscriber websocket; nchan_channel_id bench; nchan_subscriber_first_message newest; }}
  }}
}}
"""


def nchan_module():
    for place in ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"):
        file = pathlib.Path(place) / "ngx_nchan_module.so"
        if file.exists():
            return file
    raise RuntimeError("nchan is not installed (Debian: libnginx-mod-nchan)")


def script_config(folder, source, plain, tls, deflate):
    return json.dumps({"source": source, "plain": plain, "tls": tls, "deflate": deflate,
                       "chain": f"{folder}/chain.pem", "key": f"{folder}/key.pem"})


CONFIGS = {"holdfast": holdfast_config, "holdfast-20ms": gathering_config, "nchan": nchan_config, "ws": script_config,
           "websockets": script_config}


def source_kind(kind, publisher):
    """How bench_load's source reaches the server."""
    return publisher if kind == "nchan" else "serve"


def command_of(kind, file, binary):
    if kind.startswith("holdfast"):
        return [binary, "run", "-c", file]
    return {"nchan": lambda: ["nginx", "-e", "stderr", "-g", "daemon off;", "-c", file],
            "ws": lambda: ["node", HERE / "broadcast.js", file.read_text()],
            "websockets": lambda: ["/usr/bin/python3", HERE / "broadcast.py", file.read_text()]}[kind]()


def version(kind, binary):
    if kind == "ws":
        return f"npm ws {json.loads(PACKAGES.read_text())['version']} on node " + first_version(["node", "--version"])
    if kind == "nchan":
        told = subprocess.run(["dpkg-query", "-W", "-f=${Version}", "libnginx-mod-nchan"], capture_output=True,
                              text=True, check=False).stdout or "of unknown version"
        return f"nchan {told} in nginx " + first_version(["nginx", "-v"])
    if kind == "websockets":
        return "python3-websockets " + first_version(
            ["/usr/bin/python3", "-c", "import websockets.version; print(websockets.version.version)"])
    return f"{kind} " + first_version([binary, "--version"])


def first_version(command):
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"\d+\.\d+(\.\d+)?", told.stdout + told.stderr)
    return found[0] if found else "unknown"


def missing(kind, binary):
    """Why this server can't be measured here, or nothing."""
    if kind == "ws" and not PACKAGES.exists():
        return "npm packages are not installed (test/run installs them)"
    if kind in ("ws", "nchan") and not shutil.which("node" if kind == "ws" else "nginx"):
        return "it is not installed"
    if kind.startswith("holdfast") and not pathlib.Path(binary).exists():
        return f"no binary at {binary}"
    return ""


def start(kind, folder, source, deflate, binary, cpu=stage.PROXY_CPU):
    """Starts a server and returns once it accepts clients."""
    plain, tls = peers.free_port(), peers.free_port()
    file = folder / f"{kind}.conf"
    file.write_text(CONFIGS[kind](folder, source, plain, tls, deflate))
    server = peers.Proxy(stage.start(command_of(kind, file, binary), cpu, stage.BEFORE_STRANGERS, stdout=subprocess.DEVNULL),
                         plain, tls)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            for port in (plain, tls):
                socket.create_connection(("127.0.0.1", port), 1).close()
            return server
        except ConnectionRefusedError:
            time.sleep(0.02)
    server.stop()
    raise RuntimeError(f"{kind} did not start")
