// Backends by name: A, AAAA, or SRV and then the addresses of its targets.

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "discover/resolver.hpp"
#include "discover/source.hpp"

namespace holdfast::discover {

namespace asio = boost::asio;
using config::DnsRecord;

namespace {

constexpr std::chrono::seconds shortest_ttl{1};
constexpr std::chrono::seconds longest_ttl{3600};
constexpr std::size_t most_open = 64;  // questions for addresses of SRV targets
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
  struct Addresses {
    std::vector<config::SocketAddress> v4;
    std::vector<config::SocketAddress> v6;
    [[nodiscard]] std::vector<config::SocketAddress>& of(DnsRecord type) {
      return type == DnsRecord::a ? v4 : v6;
    }
    [[nodiscard]] bool empty() const noexcept { return v4.empty() && v6.empty(); }
  };
  using ByName = std::map<std::string, Addresses>;
  struct TargetQuestion {
    std::string target;
    DnsRecord type;
  };
  // One SRV answer, while its targets are looked up.
  struct Round {
    std::vector<Service> services;
    ByName targets;
    std::vector<TargetQuestion> questions;
    std::size_t asked = 0;
    std::size_t answered = 0;
    std::vector<std::pair<TargetQuestion, std::string>> unanswered;  // and why
    std::chrono::seconds ttl{0};
    std::string why_none;  // what the last target that has no address is said to lack
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
    round_ = {};
    round_.services = std::move(answer.services);
    round_.ttl = answer.ttl;
    for (const Service& service : round_.services) {
      if (!round_.targets.try_emplace(service.target).second) continue;
      for (const DnsRecord type : {DnsRecord::a, DnsRecord::aaaa})
        round_.questions.push_back({service.target, type});
    }
    ask_more();
  }

  // Answers to thousands of questions at once would not fit into the socket's buffer.
  void ask_more() {
    while (round_.asked < round_.questions.size() && round_.asked - round_.answered < most_open) {
      const std::size_t number = round_.asked++;
      const TargetQuestion& question = round_.questions[number];
      // With the dot of a whole name: targets are none of the system's search domains (RFC 2782).
      resolver_.ask(question.target + ".", question.type,
                    [this, number](const Result<Answer>& found) { take_target(number, found); });
    }
  }

  void take_target(std::size_t number, const Result<Answer>& found) {
    const TargetQuestion& question = round_.questions[number];
    if (found) {
      round_.targets[question.target].of(question.type) = found.value().addresses;
      round_.ttl = std::min(round_.ttl, found.value().ttl);
    } else if (found.error().retry == Retry::no) {
      round_.why_none = question.target + ": " + found.error().what;
    } else {
      round_.unanswered.emplace_back(question, question.target + ": " + found.error().what);
    }
    ++round_.answered;
    ask_more();
    if (round_.answered == round_.questions.size()) finish();
  }

  // What no server tells of a target is as it was. Most targets have addresses of one family only, and there
  // are servers that know nothing of the other: such a silence says nothing.
  void finish() {
    std::string missing;
    for (const auto& [question, why] : round_.unanswered) {
      Addresses& present = round_.targets[question.target];
      const auto before = before_.find(question.target);
      const bool was_known = before != before_.end() && !before->second.of(question.type).empty();
      if (was_known) present.of(question.type) = before->second.of(question.type);
      if (was_known || present.empty()) missing = why;
    }
    std::vector<std::vector<config::SocketAddress>> addresses;
    for (const Service& service : round_.services) {
      const Addresses& present = round_.targets[service.target];
      addresses.push_back(present.v4);
      addresses.back().insert(addresses.back().end(), present.v6.begin(), present.v6.end());
    }
    Backends backends = backends_of(round_.services, addresses);
    if (backends.empty()) return try_again(missing.empty() ? round_.why_none : missing);
    before_ = std::move(round_.targets);
    if (missing.empty()) return succeed(std::move(backends), round_.ttl);
    ask_again_later();
    found_in_part(std::move(backends), std::move(missing));
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
    ask_again_later();
    failed(std::move(why));
  }

  void ask_again_later() {
    ask_in(wait_);
    wait_ = std::min(2 * wait_, longest_wait);
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
  Round round_;
  ByName before_;  // the targets of the last answer
};

}  // namespace

std::unique_ptr<Source> make_dns_source(asio::io_context& io, const config::Upstream& upstream,
                                        Discovery::Sink& sink) {
  return std::make_unique<DnsSource>(io, upstream, sink);
}

}  // namespace holdfast::discover
