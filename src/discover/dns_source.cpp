// Backends by name: A, AAAA, or SRV and then the addresses of its targets.

#include <algorithm>
#include <chrono>
#include <utility>

#include "discover/resolver.hpp"
#include "discover/source.hpp"

namespace holdfast::discover {

namespace asio = boost::asio;
using config::DnsRecord;

namespace {

constexpr std::chrono::seconds shortest_ttl{1};
constexpr std::chrono::seconds longest_ttl{3600};
// After a failure; twice as long each time.
constexpr std::chrono::milliseconds first_wait{1000};
constexpr std::chrono::milliseconds longest_wait{30'000};

class DnsSource final : public Source {
 public:
  DnsSource(asio::io_context& io, const config::Upstream& upstream, Discovery::Sink& sink)
      : Source(
            upstream,
            "dns " + std::string(config::to_string(upstream.discover->type)) + " " + upstream.discover->dns,
            sink),
        resolver_(io, upstream.discover->servers),
        timer_(io) {
    ask();
  }

 private:
  // One SRV answer, while its targets are looked up.
  struct Targets {
    std::vector<Service> services;
    std::vector<std::vector<config::SocketAddress>> addresses;
    std::size_t open = 0;
    std::chrono::seconds ttl{0};
    std::string why;  // the last failure
  };

  [[nodiscard]] const config::Discover& settings() const { return *upstream().discover; }

  void ask() {
    resolver_.ask(settings().dns, settings().type,
                  [this](Result<Answer> answer) { take(std::move(answer)); });
  }

  void take(Result<Answer> answer) {
    if (!answer) return try_again(answer.error().what);
    if (settings().type == DnsRecord::srv) return look_up(std::move(answer.value()));
    succeed(backends_of(answer.value().addresses, settings().port), answer.value().ttl);
  }

  void look_up(Answer answer) {
    if (answer.services.empty()) return try_again("no SRV records");
    targets_ = {};
    targets_.addresses.resize(answer.services.size());
    targets_.services = std::move(answer.services);
    targets_.ttl = answer.ttl;
    targets_.open = 2 * targets_.services.size();
    for (std::size_t n = 0; n < targets_.services.size(); ++n) {
      for (const DnsRecord type : {DnsRecord::a, DnsRecord::aaaa}) {
        resolver_.ask(targets_.services[n].target, type,
                      [this, n](const Result<Answer>& found) { take_target(n, found); });
      }
    }
  }

  // Most targets have addresses of one family only, so that an error of the other one says nothing.
  void take_target(std::size_t number, const Result<Answer>& found) {
    if (found) {
      auto& known = targets_.addresses[number];
      known.insert(known.end(), found.value().addresses.begin(), found.value().addresses.end());
      targets_.ttl = std::min(targets_.ttl, found.value().ttl);
    } else {
      targets_.why = targets_.services[number].target + ": " + found.error().what;
    }
    if (--targets_.open != 0) return;
    Backends backends = backends_of(targets_.services, targets_.addresses);
    if (backends.empty()) return try_again(targets_.why);
    succeed(std::move(backends), targets_.ttl);
  }

  void succeed(Backends backends, std::chrono::seconds ttl) {
    wait_ = first_wait;
    const auto until_next = settings().interval.count() != 0
                                ? settings().interval
                                : std::chrono::milliseconds(std::clamp(ttl, shortest_ttl, longest_ttl));
    ask_in(until_next);
    found(std::move(backends));
  }

  void try_again(std::string why) {
    ask_in(wait_);
    wait_ = std::min(2 * wait_, longest_wait);
    failed(std::move(why));
  }

  void ask_in(std::chrono::milliseconds wait) {
    timer_.expires_after(wait);
    timer_.async_wait([this, life = life()](const boost::system::error_code& error) {
      if (!error && !life.expired()) ask();
    });
  }

  Resolver resolver_;
  asio::steady_timer timer_;
  std::chrono::milliseconds wait_ = first_wait;
  Targets targets_;
};

}  // namespace

std::unique_ptr<Source> make_dns_source(asio::io_context& io, const config::Upstream& upstream,
                                        Discovery::Sink& sink) {
  return std::make_unique<DnsSource>(io, upstream, sink);
}

}  // namespace holdfast::discover
