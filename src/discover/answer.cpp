#include "holdfast/discover/answer.hpp"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "config/socket_address.hpp"

namespace holdfast::discover {

namespace {

constexpr std::size_t srv_fixed = 6;  // priority, weight, port
constexpr std::uint32_t most_weight = 256;

Error garbage() {
  return {Failure::garbage, Side::backend, Retry::other_backend, "not a DNS answer"};
}

bool take_service(const ns_msg& message, const ns_rr& record, Answer& answer) {
  const unsigned char* data = ns_rr_rdata(record);
  if (ns_rr_rdlen(record) <= srv_fixed) return false;
  std::array<char, NS_MAXDNAME> target{};
  if (dn_expand(ns_msg_base(message), ns_msg_end(message), data + srv_fixed, target.data(),
                static_cast<int>(target.size())) < 0)
    return false;
  Service service;
  service.priority = static_cast<std::uint16_t>(ns_get16(data));
  service.weight = static_cast<std::uint16_t>(ns_get16(data + 2));
  service.port = static_cast<std::uint16_t>(ns_get16(data + 4));
  service.target = target.data();
  // "." says that there is no such service (RFC 2782).
  if (service.port != 0 && !service.target.empty() && service.target != ".")
    answer.services.push_back(std::move(service));
  return true;
}

// As a configuration would have it.
std::optional<config::BackendConfig> backend_at(const config::SocketAddress& address, std::uint16_t port,
                                                std::uint32_t weight) {
  std::array<char, INET6_ADDRSTRLEN> host{};
  const bool is_v6 = address.family() == AF_INET6;
  const void* bytes =
      is_v6 ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr)
            : static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr);
  inet_ntop(address.family(), bytes, host.data(), host.size());
  const std::string text =
      (is_v6 ? "[" + std::string(host.data()) + "]" : std::string(host.data())) + ":" + std::to_string(port);
  std::string why;
  auto parsed = config::parse_address(text, config::AddressUse::backend, why);
  if (!parsed) return std::nullopt;
  config::BackendConfig backend;
  backend.address = std::move(*parsed);
  backend.weight = weight;
  return backend;
}

// Weights of one priority, which go up to 65535, as ours.
std::uint32_t scaled(std::uint32_t weight, std::uint32_t heaviest) {
  return std::max<std::uint32_t>(1, heaviest <= most_weight ? weight : weight * most_weight / heaviest);
}

// A name server rotates its records: only a sorted list shows whether anything has changed.
std::vector<config::BackendConfig> sorted(std::map<std::string, config::BackendConfig> by_text) {
  std::vector<config::BackendConfig> backends;
  for (auto& [text, backend] : by_text) backends.push_back(std::move(backend));
  return backends;
}

}  // namespace

Result<Answer> parse_answer(std::span<const unsigned char> bytes) {
  ns_msg message;
  if (ns_initparse(bytes.data(), static_cast<int>(bytes.size()), &message) != 0) return garbage();
  Answer answer;
  std::uint32_t ttl = UINT32_MAX;
  const auto count = std::min<std::size_t>(ns_msg_count(message, ns_s_an), most_records);
  for (std::size_t n = 0; n < count; ++n) {
    ns_rr record;
    if (ns_parserr(&message, ns_s_an, static_cast<int>(n), &record) != 0) return garbage();
    const int type = ns_rr_type(record);
    if (type == ns_t_a && ns_rr_rdlen(record) == sizeof(in_addr)) {
      answer.addresses.push_back(config::ip_socket(AF_INET, ns_rr_rdata(record), 0));
    } else if (type == ns_t_aaaa && ns_rr_rdlen(record) == sizeof(in6_addr)) {
      answer.addresses.push_back(config::ip_socket(AF_INET6, ns_rr_rdata(record), 0));
    } else if (type == ns_t_srv) {
      if (!take_service(message, record, answer)) return garbage();
    } else if (type != ns_t_cname) {
      continue;
    }
    ttl = std::min<std::uint32_t>(ttl, ns_rr_ttl(record));
  }
  // RFC 2181 section 8: the highest bit is no number of seconds.
  answer.ttl = std::chrono::seconds(ttl == UINT32_MAX || ttl > INT32_MAX ? 0 : ttl);
  return answer;
}

std::vector<config::BackendConfig> backends_of(
    const std::vector<Service>& services, const std::vector<std::vector<config::SocketAddress>>& addresses) {
  std::map<std::uint16_t, std::vector<std::size_t>> by_priority;
  std::map<std::uint16_t, std::uint32_t> heaviest;
  for (std::size_t n = 0; n < services.size(); ++n) {
    if (addresses[n].empty()) continue;
    by_priority[services[n].priority].push_back(n);
    std::uint32_t& most = heaviest.try_emplace(services[n].priority, 1).first->second;
    most = std::max<std::uint32_t>(most, services[n].weight);
  }
  // An address that has several priorities is taken with its best one.
  std::map<std::string, config::BackendConfig> found;
  for (const auto& [priority, numbers] : by_priority) {
    const bool is_first = priority == by_priority.begin()->first;
    for (const std::size_t n : numbers) {
      const std::uint32_t weight = scaled(services[n].weight, heaviest[priority]);
      for (const config::SocketAddress& address : addresses[n]) {
        auto backend = backend_at(address, services[n].port, weight);
        if (!backend) continue;
        backend->rank = is_first ? config::BackendConfig::Rank::primary : config::BackendConfig::Rank::backup;
        found.try_emplace(backend->address.text, *backend);
      }
    }
  }
  return sorted(std::move(found));
}

std::vector<config::BackendConfig> backends_of(const std::vector<config::SocketAddress>& addresses,
                                               std::uint16_t port) {
  std::map<std::string, config::BackendConfig> found;
  for (const config::SocketAddress& address : addresses) {
    auto backend = backend_at(address, port, 1);
    if (backend) found.try_emplace(backend->address.text, *backend);
  }
  return sorted(std::move(found));
}

}  // namespace holdfast::discover
