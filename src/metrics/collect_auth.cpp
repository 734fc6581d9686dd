// What routes with auth tell, and their cells.

#include <cassert>

#include "holdfast/metrics/auth_cells.hpp"
#include "metrics/collector.hpp"
#include "metrics/families.hpp"

namespace holdfast::metrics {

namespace {

// Upper bounds in seconds: a service next door to the longest time-out that makes sense.
constexpr std::array<double, 11> forward_bounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                0.1,   0.25,   0.5,   1,    2.5};

}  // namespace

AuthCells::AuthCells() noexcept : forward_duration(forward_bounds) {}

AuthCells& Registry::auth(std::size_t setup_thread, std::string_view route) {
  assert(setup_thread < setup_threads_);
  auto found = auths_.find(route);
  if (found == auths_.end()) {
    found = auths_.emplace(std::string(route), std::make_unique<AuthCells[]>(setup_threads_)).first;
  }
  return found->second[setup_thread];
}

void Registry::Collector::auth(Families& out) const {
  FamilyBuilder tokens =
      counter_family("holdfast_auth_tokens_total", "Tokens of handshakes, by what they were found to be.");
  FamilyBuilder forwards =
      counter_family("holdfast_auth_forward_total",
                     "Decisions of forward_auth services, by result; those from the cache too.");
  FamilyBuilder hits =
      counter_family("holdfast_auth_cache_hits_total", "Decisions that were known and not asked for again.");
  FamilyBuilder duration = histogram_family("holdfast_auth_forward_duration_seconds",
                                            "How long forward_auth services took, connect included.");
  for (const auto& [route, blocks] : registry_.auths_) {
    const auto sum = [&blocks = blocks, this](const auto& counter_of) {
      std::uint64_t total = 0;
      for (std::size_t i = 0; i < registry_.setup_threads_; ++i) total += counter_of(blocks[i]).value();
      return static_cast<double>(total);
    };
    for (std::size_t n = 0; n < token_result_count; ++n)
      tokens.counter({{"route", route}, {"result", metrics::text(static_cast<TokenResult>(n))}},
                     sum([n](const AuthCells& cells) -> const Counter& { return cells.tokens[n]; }));
    for (std::size_t n = 0; n < forward_result_count; ++n)
      forwards.counter({{"route", route}, {"result", metrics::text(static_cast<ForwardResult>(n))}},
                       sum([n](const AuthCells& cells) -> const Counter& { return cells.forwards[n]; }));
    hits.counter({{"route", route}},
                 sum([](const AuthCells& cells) -> const Counter& { return cells.cache_hits; }));
    std::vector<const Histogram*> each;
    for (std::size_t i = 0; i < registry_.setup_threads_; ++i) each.push_back(&blocks[i].forward_duration);
    duration.histogram({{"route", route}}, each);
  }
  for (FamilyBuilder* family : {&tokens, &forwards, &hits, &duration}) std::move(*family).append_to(out);
}

}  // namespace holdfast::metrics
