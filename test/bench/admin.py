"""What the benches of the control plane ask a running Holdfast."""
import re
import time
import urllib.request


class Admin:
    def __init__(self, port):
        self.address = f"http://127.0.0.1:{port}"

    def get(self, path, method="GET"):
        call = urllib.request.Request(self.address + path, method=method)
        with urllib.request.urlopen(call, timeout=60) as reply:
            return reply.read().decode()

    def timed(self, path):
        """(milliseconds, bytes)"""
        begun = time.monotonic()
        size = len(self.get(path))
        return (time.monotonic() - begun) * 1000, size

    def series(self):
        """'name{labels}' -> value of everything that /metrics has."""
        return {name: float(value) for name, value in
                re.findall(r"^([a-z_]+(?:\{.*\})?) (\S+)$", self.get("/metrics"), re.M)}


def buckets(series, plane):
    """Upper bound -> cumulative count of the loop lag."""
    found = {}
    for name, value in series.items():
        match = re.fullmatch(r'holdfast_loop_lag_seconds_bucket\{plane="(\w+)",le="([^"]+)"\}', name)
        if match and match[1] == plane:
            found[float(match[2].replace("+Inf", "inf"))] = value
    return dict(sorted(found.items()))


def lag_between(before, after, plane="pump"):
    """(turns, turns above 5 ms, the bucket of the longest one) between two scrapes."""
    first, last = buckets(before, plane), buckets(after, plane)
    grown = {bound: last[bound] - first[bound] for bound in last}
    total = grown[float("inf")]
    longest = min(bound for bound, count in grown.items() if count == total)
    return int(total), int(total - grown[0.005]), longest
