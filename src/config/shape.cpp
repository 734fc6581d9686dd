#include "config/shape.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "config/shape_auth.hpp"
#include "config/shape_balancing.hpp"
#include "config/shape_feed.hpp"
#include "config/shape_protection.hpp"
#include "config/source.hpp"
#include "config/text_checks.hpp"
#include "config/units.hpp"
#include "config/words.hpp"

namespace holdfast::config {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Key required(const char* name) {
  return {name, Presence::required};
}

constexpr DurationRange from_to(milliseconds low, milliseconds high) {
  return {low, high, Zero::within_range};
}
constexpr DurationRange off_or(milliseconds low, milliseconds high) {
  return {low, high, Zero::means_off};
}

constexpr milliseconds a_month = hours(24 * 31);

template <class Integer>
void number(Visitor& v, Key key, Integer& field, NumberRange range) {
  std::uint64_t value = field;
  v.number(key, value, range);
  field = static_cast<Integer>(value);  // the range is within Integer, the visitor keeps to it
}

template <class Enum>
void choice(Visitor& v, Key key, Enum& field) {
  auto index = static_cast<std::size_t>(field);
  v.choice(key, index, words<Enum>());
  field = static_cast<Enum>(index);
}

template <class Enum>
void flag(Visitor& v, Key key, Enum& field, Enum if_true, Enum if_false) {
  bool value = field == if_true;
  v.flag(key, value);
  field = value ? if_true : if_false;
}

template <class Item>
void list(Visitor& v, Key key, Count count, std::vector<Item>& items, void (*shape)(Visitor&, Item&)) {
  v.list(key, count, [&](Visitor& inner) { shape(inner, items.emplace_back()); });
}

template <class Item>
void object(Visitor& v, Key key, Item& item, void (*shape)(Visitor&, Item&)) {
  v.object(key, [&](Visitor& inner) { shape(inner, item); });
}

template <class Item>
void object(Visitor& v, Key key, std::optional<Item>& item, void (*shape)(Visitor&, Item&)) {
  v.object(key, [&](Visitor& inner) { shape(inner, item.emplace()); });
}

void address(Visitor& v, Key key, Address& field, AddressUse use) {
  v.text(key, field.text, [&](const std::string& text) {
    std::string why;
    if (auto parsed = parse_address(text, use, why)) field = std::move(*parsed);
    return why;
  });
}

void certificate(Visitor& v, Certificate& c, Presence presence) {
  v.text({"chain", presence}, c.chain.path, check_file);
  v.text({"key", presence}, c.key.path, check_file);
}
void listener_certificate(Visitor& v, Certificate& c) {
  certificate(v, c, Presence::required);
}
void own_certificate(Visitor& v, Certificate& c) {
  certificate(v, c, Presence::optional);
}

void listener_tls(Visitor& v, ListenerTls& t) {
  list(v, required("certificates"), {1, 1000}, t.certificates, listener_certificate);
  choice(v, {"min_version"}, t.min_version);
  v.text({"client_ca"}, t.client_ca.path, nullptr);
}

void trusted_peers(Visitor& v, std::vector<Network>& field) {
  std::vector<std::string> texts;
  v.texts({"trusted_peers"}, texts, {0, 1000}, [&](const std::string& text) {
    std::string why;
    if (auto parsed = parse_network(text, why)) field.push_back(*parsed);
    return why;
  });
}

void listener(Visitor& v, Listener& l) {
  v.text({"name"}, l.name, check_listener_name);
  address(v, required("bind"), l.bind, AddressUse::bind);
  object(v, {"tls"}, l.tls, listener_tls);
  flag(v, {"proxy_protocol"}, l.proxy_protocol, Listener::ProxyHeader::required, Listener::ProxyHeader::none);
  trusted_peers(v, l.trusted_peers);
  number(v, {"max_sessions"}, l.max_sessions, {0, 1'000'000'000});
  v.duration({"handshake_timeout"}, l.handshake_timeout, from_to(milliseconds(100), minutes(10)));
  shape_protection(v, l.protection);
}

void ping(Visitor& v, Ping& p) {
  v.duration({"interval"}, p.interval, off_or(seconds(1), hours(24)));
  v.duration({"timeout"}, p.timeout, from_to(milliseconds(100), hours(1)));
}

void occasions(Visitor& v, std::vector<Occasion>& field) {
  std::vector<std::size_t> indices;
  for (const Occasion each : field) indices.push_back(static_cast<std::size_t>(each));
  v.choices({"on"}, indices, words<Occasion>());
  field.clear();
  for (const std::size_t index : indices) field.push_back(static_cast<Occasion>(index));
}

void close_codes(Visitor& v, std::vector<std::uint16_t>& field) {
  std::vector<std::uint64_t> codes;
  for (const std::uint16_t each : field) codes.push_back(each == Reroute::no_code ? 0 : each);
  v.numbers({"close_codes"}, codes, {0, Reroute::most_close_codes}, {1000, 4999, "none"});
  field.clear();
  for (const std::uint64_t each : codes)
    field.push_back(each == 0 ? Reroute::no_code : static_cast<std::uint16_t>(each));
}

void reroute(Visitor& v, Reroute& r) {
  constexpr SizeRange up_to_64_mib{0, 64ULL << 20};
  occasions(v, r.on);
  v.duration({"hold"}, r.hold, from_to(milliseconds(0), minutes(10)));
  v.size({"hold_bytes"}, r.hold_bytes, up_to_64_mib);
  choice(v, {"hold_unit"}, r.hold_unit);
  number(v, {"attempts"}, r.attempts, {1, 100});
  close_codes(v, r.close_codes);
  constexpr std::array<std::string_view, 1> incomplete{"incomplete"};
  std::size_t word = 0;
  v.object_or_word({"resend"}, word, incomplete, [&](Visitor& inner) {
    inner.size(required("unanswered"), r.resend_unanswered, {1, up_to_64_mib.high});
  });
  number(v, {"preamble"}, r.preamble, {0, 100});
  number(v, {"preamble_answers"}, r.preamble_answers, {0, 100});
  choice(v, {"compression"}, r.compression);
  choice(v, {"move"}, r.move);
  v.duration({"quiet"}, r.quiet, from_to(milliseconds(0), seconds(5)));
  v.text({"secret_file"}, r.secret_file, nullptr);
}

void route(Visitor& v, Route& r) {
  v.text({"name"}, r.name, check_route_name);
  v.text({"host"}, r.host, check_host_pattern);
  v.text({"path"}, r.path, check_path_pattern);
  v.texts({"listeners"}, r.listeners, {0, 1000}, nullptr);
  v.text({"upstream"}, r.upstream, nullptr);
  v.text({"feed"}, r.feed, nullptr);
  v.size({"max_message"}, r.max_message, {});
  v.size({"max_message_to_client"}, r.max_message_to_client, {});
  v.duration({"idle_timeout"}, r.idle_timeout, off_or(seconds(1), a_month));
  v.duration({"max_age"}, r.max_age, off_or(seconds(1), a_month));
  v.duration({"close_timeout"}, r.close_timeout, from_to(milliseconds(10), minutes(10)));
  object(v, {"ping"}, r.ping, ping);
  object(v, {"reroute"}, r.reroute, reroute);
  object(v, {"auth"}, r.auth, describe_auth);
  shape_protection(v, r.protection);
  v.later({"strip_prefix", "set_headers", "remove_headers", "request_id"});
}

void probe(Visitor& v, Probe& p) {
  constexpr DurationRange often_enough = from_to(milliseconds(50), hours(1));
  choice(v, {"type"}, p.type);
  v.text({"path"}, p.path, check_request_path);
  v.text({"method"}, p.method, check_method);
  v.text({"host"}, p.host, check_field_value);
  v.fields({"headers"}, p.headers, Probe::most_fields, check_probe_field, check_field_value);
  v.text({"expect_status"}, p.expect_status, check_status_ranges);
  v.text({"expect_body"}, p.expect_body, check_expectation);
  v.text({"subprotocol"}, p.subprotocol, check_subprotocol);
  v.text({"send"}, p.send, check_probe_text);
  v.text({"expect"}, p.expect, check_expectation);
  number(v, {"port"}, p.port, {0, 65535});
  v.duration({"interval"}, p.interval, often_enough);
  v.duration({"interval_down"}, p.interval_down, off_or(often_enough.low, often_enough.high));
  v.duration({"timeout"}, p.timeout, from_to(milliseconds(10), minutes(10)));
  number(v, {"rise"}, p.rise, {1, 100});
  number(v, {"fall"}, p.fall, {1, 100});
}

// What its own probe does not say is as the upstream's.
void backend(Visitor& v, BackendConfig& b, const Probe& common) {
  address(v, required("address"), b.address, AddressUse::backend);
  number(v, {"weight"}, b.weight, {0, 256});
  number(v, {"max_sessions"}, b.max_sessions, {0, 1'000'000'000});
  visit_place(v, b);
  v.object_like({"probe"}, "#/properties/upstreams/items/properties/probe",
                [&](Visitor& inner) { probe(inner, b.probe.emplace(common)); });
}

void upstream_tls(Visitor& v, UpstreamTls& t) {
  flag(v, {"verify"}, t.verify, UpstreamTls::Verify::yes, UpstreamTls::Verify::no);
  v.text({"ca"}, t.ca.path, nullptr);
  v.text({"server_name"}, t.server_name, check_server_name);
  object(v, {"certificate"}, t.certificate, own_certificate);
}

void success_rate(Visitor& v, SuccessRate& s) {
  number(v, {"threshold"}, s.threshold, {0, 100});
  v.duration({"window"}, s.window, from_to(seconds(1), hours(1)));
  number(v, {"minimum"}, s.minimum, {1, 1'000'000});
}

void outlier(Visitor& v, Outlier& o) {
  constexpr DurationRange ejections = from_to(milliseconds(100), hours(24));
  number(v, {"consecutive_failures"}, o.consecutive_failures, {0, 1000});
  o.consecutive_5xx = o.consecutive_failures;
  number(v, {"consecutive_5xx"}, o.consecutive_5xx, {0, 1000});
  flag(v, {"lost_sessions"}, o.lost_sessions, Outlier::LostSessions::count, Outlier::LostSessions::ignored);
  v.duration({"early_death"}, o.early_death, off_or(milliseconds(100), hours(1)));
  object(v, {"success_rate"}, o.success_rate, success_rate);
  v.duration({"eject_for"}, o.eject_for, ejections);
  o.eject_max = std::max(o.eject_max, o.eject_for);
  v.duration({"eject_max"}, o.eject_max, ejections);
  number(v, {"max_ejected_percent"}, o.max_ejected_percent, {0, 100});
  number(v, {"panic_percent"}, o.panic_percent, {0, 100});
}

void rebalance(Visitor& v, Rebalance& r) {
  number(v, {"threshold"}, r.threshold, {0, 1000});
  number(v, {"rate"}, r.rate, {1, 100'000});
}

void interval(Visitor& v, milliseconds& field) {
  std::string text = field.count() == 0 ? "ttl" : print_duration(field);
  v.text({"interval"}, text, [&](const std::string& written) -> std::string {
    const auto parsed = written == "ttl" ? milliseconds(0) : parse_duration(written);
    if (!parsed || (written != "ttl" && (*parsed < seconds(1) || *parsed > hours(24))))
      return "must be \"ttl\" or a duration from 1s to 24h";
    field = *parsed;
    return {};
  });
}

void discover(Visitor& v, Discover& d) {
  v.text({"dns"}, d.dns, check_dns_name);
  choice(v, {"type"}, d.type);
  number(v, {"port"}, d.port, {0, 65535});
  interval(v, d.interval);
  std::vector<std::string> servers;
  v.texts({"servers"}, servers, {0, 8}, [&](const std::string& text) {
    std::string why;
    auto parsed = parse_address(text, AddressUse::backend, why);
    if (!parsed) return why;
    if (parsed->kind != AddressKind::tcp || parsed->sockets.empty())
      return std::string("must be an IP address and a port");
    d.servers.push_back(std::move(*parsed));
    return why;
  });
  v.text({"file"}, d.file, nullptr);
}

void upstream(Visitor& v, Upstream& u) {
  v.text(required("name"), u.name, check_upstream_name);
  visit_balancing(v, u);
  object(v, {"probe"}, u.probe, probe);
  visit_backends(v, u);
  object(v, {"discover"}, u.discover, discover);
  object(v, {"tls"}, u.tls, upstream_tls);
  v.duration({"connect_timeout"}, u.connect_timeout, from_to(milliseconds(10), minutes(10)));
  v.duration({"handshake_timeout"}, u.handshake_timeout, from_to(milliseconds(10), minutes(10)));
  v.duration({"setup_timeout"}, u.setup_timeout, from_to(milliseconds(10), hours(1)));
  number(v, {"move_rate"}, u.move_rate, {0, 100'000});
  number(v, {"reroute_rate"}, u.reroute_rate, {0, 1'000'000});
  object(v, {"rebalance"}, u.rebalance, rebalance);
  choice(v, {"proxy_protocol"}, u.proxy_protocol);
  object(v, {"outlier"}, u.outlier, outlier);
  object(v, {"circuit_breaker"}, u.circuit_breaker, shape_circuit_breaker);
  describe_source(v, u.source);
}

void admin(Visitor& v, Admin& a) {
  std::string bind = a.bind ? a.bind->text : "";
  v.text({"bind"}, bind, [&](const std::string& text) {
    std::string why;
    if (text.empty()) {
      a.bind.reset();
    } else if (auto parsed = parse_address(text, AddressUse::bind, why)) {
      a.bind = std::move(*parsed);
    }
    return why;
  });
  v.text({"token_file"}, a.token_file, nullptr);
  flag(v, {"metrics_open"}, a.metrics_open, Admin::MetricsAccess::open, Admin::MetricsAccess::token);
}

void log(Visitor& v, Log& l) {
  choice(v, {"level"}, l.level);
  choice(v, {"format"}, l.format);
  v.text({"access"}, l.access, nullptr);
}

void limits(Visitor& v, Limits& l) {
  v.size({"hold_memory"}, l.hold_memory, {1ULL << 20, 1ULL << 40});
  number(v, {"tls_handshakes"}, l.tls_handshakes, {1, 100'000});
}

}  // namespace

void visit_backends(Visitor& v, Upstream& u) {
  v.list({"backends"}, {0, 10'000},
         [&](Visitor& inner) { backend(inner, u.backends.emplace_back(), u.probe); });
}

Config default_config() {
  Config config;
  std::string why;
  config.admin.bind = parse_address("127.0.0.1:9900", AddressUse::bind, why);
  return config;
}

void visit(Visitor& v, Config& c) {
  v.ignored("$schema");
  number(v, {"workers"}, c.workers, {1, 1024, "auto"});
  visit_zone(v, c.zone);
  list(v, required("listeners"), {1, 1000}, c.listeners, listener);
  list(v, {"routes"}, {0, 10'000}, c.routes, route);
  list(v, {"upstreams"}, {0, 10'000}, c.upstreams, upstream);
  list(v, {"feeds"}, {0, 1000}, c.feeds, describe_feed);
  object(v, {"admin"}, c.admin, admin);
  object(v, {"log"}, c.log, log);
  object(v, {"limits"}, c.limits, limits);
  v.duration({"shutdown_delay"}, c.shutdown_delay, from_to(milliseconds(0), hours(1)));
  v.duration({"shutdown_timeout"}, c.shutdown_timeout, from_to(milliseconds(0), hours(24)));
  v.later({"upgrade_timeout"});
}

}  // namespace holdfast::config
