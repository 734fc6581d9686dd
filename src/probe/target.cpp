#include "probe/target.hpp"

#include "config/socket_address.hpp"

namespace holdfast::probe {

namespace {

config::Address probed_address(config::Address address, std::uint16_t port) {
  if (port == 0 || address.kind != config::AddressKind::tcp) return address;
  for (config::SocketAddress& each : address.sockets) each = config::with_port(each, port);
  const bool six = address.host.find(':') != std::string::npos;
  address.text = (six ? "[" + address.host + "]" : address.host) + ":" + std::to_string(port);
  address.port = port;
  return address;
}

std::string request_stem(const config::Probe& probe, const config::Address& address) {
  const bool websocket = probe.type == config::ProbeType::websocket;
  std::string host = probe.host;
  if (host.empty()) host = address.kind == config::AddressKind::tcp ? address.text : "localhost";
  std::string stem =
      (websocket ? "GET" : probe.method) + " " + probe.path + " HTTP/1.1\r\nHost: " + host + "\r\n";
  bool own_agent = false;
  for (const auto& [name, value] : probe.headers) {
    stem += name + ": " + value + "\r\n";
    own_agent = own_agent || name == "User-Agent" || name == "user-agent";
  }
  if (!own_agent) stem += "User-Agent: holdfast-probe\r\n";
  if (!websocket) return stem + "Accept: */*\r\nConnection: close\r\n";
  stem += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
  if (!probe.subprotocol.empty()) stem += "Sec-WebSocket-Protocol: " + probe.subprotocol + "\r\n";
  return stem;
}

// The loader has checked both texts.
config::Expectation expectation_of(const config::Probe& probe) {
  const bool websocket = probe.type == config::ProbeType::websocket;
  std::string why;
  return config::Expectation::compile(websocket ? probe.expect : probe.expect_body, why)
      .value_or(config::Expectation());
}

}  // namespace

Target::Target(std::shared_ptr<const dial::Destination> of, std::size_t index)
    : destination(std::move(of)),
      settings(config::probe_of(destination->settings.probe, destination->settings.backends[index].probe)) {
  if (settings.type == config::ProbeType::none) return;
  address = probed_address(destination->settings.backends[index].address, settings.port);
  const bool http = settings.type == config::ProbeType::http;
  if (!http && settings.type != config::ProbeType::websocket) return;
  request = request_stem(settings, address);
  expected = expectation_of(settings);
  std::string why;
  if (http) statuses = config::parse_status_ranges(settings.expect_status, why);
}

}  // namespace holdfast::probe
