"""Each proxy in front of several backends, as its own expert would configure it for backends that come and go,
and the way it takes a backend out of service."""
import json
import signal
import socket
import time
import urllib.request

import peers


class Holdfast:
    def __init__(self, watchful=False):
        """`watchful`: a hung backend is found out after 1 s of silence and 300 ms; the default is 20 s and 10 s."""
        self.admin = peers.free_port()
        self.route = {"name": "all", "upstream": "echo"}
        if watchful:
            self.route["ping"] = {"interval": "1s", "timeout": "300ms"}

    def config(self, folder, ports, plain, second):
        self.file, self.ports, self.bound = folder / "holdfast.conf", ports, (plain, second)
        return self._text(ports)

    def _text(self, ports):
        return json.dumps({
            "workers": 2,
            "listeners": [{"name": f"p{port}", "bind": f"127.0.0.1:{port}"} for port in self.bound],
            "routes": [self.route],
            "upstreams": [{"name": "echo", "backends": [{"address": f"127.0.0.1:{port}"} for port in ports]}],
            "admin": {"bind": f"127.0.0.1:{self.admin}"},
            "log": {"level": "warning", "access": ""}})

    def _call(self, path, method="GET"):
        call = urllib.request.Request(f"http://127.0.0.1:{self.admin}{path}", method=method)
        with urllib.request.urlopen(call, timeout=10) as reply:
            return json.loads(reply.read())

    def put_all_on_the_first(self):
        """The config to start with when the others are to come later."""
        return lambda folder, ports, plain, second: (self.config(folder, ports, plain, second),
                                                     self._text(ports[:1]))[1]

    def add_the_others(self, _proxy):
        self.file.write_text(self._text(self.ports))
        self._call("/reload", "POST")

    def drain(self, _proxy, port):
        self._call(f"/upstreams/echo/backends/127.0.0.1%3A{port}/draining", "POST")

    def sessions_on(self, port):
        backends = self._call("/status")["upstreams"][0]["backends"]
        return next(b["sessions"] for b in backends if b["address"].endswith(f":{port}"))


class Haproxy:
    def __init__(self, watchful=False):
        """It has no means to be more watchful than its checks are."""

    def config(self, folder, ports, plain, second):
        return self._text(folder, ports, plain, second, "")

    def _text(self, folder, ports, plain, second, others):
        self.socket, self.ports = folder / "haproxy.sock", ports
        servers = "\n".join(f"  server b{port} 127.0.0.1:{port} {others if n else ''}" for n, port in enumerate(ports))
        return f"""
global
  nbthread 2
  maxconn 9500
  stats socket {self.socket} level admin
defaults
  mode http
  maxconn 9500
  option redispatch
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend in
  bind 127.0.0.1:{plain}
  bind 127.0.0.1:{second}
  default_backend echo
backend echo
  balance leastconn
  default-server check inter 1s fall 1 rise 1 on-marked-down shutdown-sessions
{servers}
"""

    def put_all_on_the_first(self):
        return lambda *arguments: self._text(*arguments, "backup")

    def add_the_others(self, _proxy):
        pass

    def _say(self, line):
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(str(self.socket))
            channel.sendall(line.encode() + b"\n")
            return channel.recv(65536).decode()

    def drain(self, _proxy, port):
        self._say(f"set server echo/b{port} state drain")

    def sessions_on(self, port):
        rows = [line.split(",") for line in self._say("show stat").splitlines()]
        return next(int(row[4]) for row in rows if row[:2] == ["echo", f"b{port}"])


class Nginx:
    def __init__(self, watchful=False):
        """It doesn't check its backends."""

    def config(self, folder, ports, plain, second):
        self.arguments = folder, ports, plain, second
        return self._text({})

    def _text(self, marks):
        folder, ports, plain, second = self.arguments
        servers = "\n".join(f"    server 127.0.0.1:{port} {marks.get(port, '')};" for port in ports)
        temporary = " ".join(f"{kind}_temp_path {folder}/nginx-{kind};"
                             for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""
worker_processes 2;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 19500; }}
http {{
  access_log off;
  {temporary}
  upstream echo {{
    least_conn;
    zone echo 64k;
{servers}
  }}
  server {{
    listen 127.0.0.1:{plain} backlog=4096 reuseport;
    listen 127.0.0.1:{second} backlog=4096 reuseport;
    location / {{
      proxy_pass http://echo;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header Host $host;
      proxy_connect_timeout 2s;
      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
    }}
  }}
}}
"""

    def put_all_on_the_first(self):
        def begin(*arguments):
            self.config(*arguments)
            return self._text({port: "backup" for port in arguments[1][1:]})
        return begin

    def add_the_others(self, _proxy):
        pass

    def drain(self, proxy, port):
        folder = self.arguments[0]
        (folder / "nginx.conf").write_text(self._text({port: "down"}))
        proxy.process.send_signal(signal.SIGHUP)

    def sessions_on(self, _port):
        return 1  # it doesn't tell; its old workers keep theirs until they end


KINDS = {"holdfast": Holdfast, "haproxy": Haproxy, "nginx": Nginx}


def wait_empty(fleet, port, seconds):
    """True once nobody is on that backend any more."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if fleet.sessions_on(port) == 0:
            return True
        time.sleep(0.05)
    return False
