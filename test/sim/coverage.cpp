#include "sim/coverage.hpp"

namespace holdfast::sim {

const char* text(Kind kind) noexcept {
  constexpr const char* words[kind_count] = {"a backend died with a FIN",
                                             "a backend died with a reset",
                                             "a backend hung",
                                             "a backend's host was gone",
                                             "a backend said that it goes",
                                             "a backend broke the rules",
                                             "moved, make first",
                                             "moved, break first",
                                             "a move stayed",
                                             "held through failed attempts",
                                             "attached by the first attempt",
                                             "the client closed while it was held",
                                             "three legs and more",
                                             "messages were resent",
                                             "messages were undelivered",
                                             "messages were unconfirmed",
                                             "a message was doubled",
                                             "the preamble was said again",
                                             "a reply came too late",
                                             "an attempt was withdrawn",
                                             "bytes came with the 101",
                                             "a clean end, all accounted for",
                                             "moves only, all exactly once",
                                             "a backend died inside a frame",
                                             "a client was paused for its rate"};
  return words[static_cast<std::size_t>(kind)];
}

void Coverage::add(const Coverage& run) noexcept {
  for (std::size_t n = 0; n < kinds_.size(); ++n) kinds_[n] += run.kinds_[n];
  for (std::size_t n = 0; n < reasons_.size(); ++n) reasons_[n] += run.reasons_[n];
  for (std::size_t n = 0; n < reroutes_.size(); ++n) {
    for (std::size_t m = 0; m < reroutes_[n].size(); ++m) reroutes_[n][m] += run.reroutes_[n][m];
  }
}

std::vector<Coverage::Line> Coverage::lines() const {
  std::vector<Line> all;
  for (std::size_t n = 0; n < kinds_.size(); ++n)
    all.push_back({text(static_cast<Kind>(n)), kinds_[n], true});
  for (std::size_t n = 0; n < reasons_.size(); ++n) {
    const auto reason = static_cast<Reason>(n);
    const bool is_of_feeds =
        reason == Reason::too_slow || reason == Reason::feed_gone || reason == Reason::too_many_channels;
    const bool never = reason == Reason::none || reason == Reason::internal || is_of_feeds ||
                       reason == Reason::message_too_big || reason == Reason::client_violation;
    if (!never) all.push_back({std::string("ended: ") + holdfast::text(reason), reasons_[n], true});
  }
  for (std::size_t n = 0; n < reroutes_.size(); ++n) {
    for (std::size_t m = 0; m < reroutes_[n].size(); ++m) {
      const auto result = static_cast<RerouteResult>(m);
      all.push_back(
          {std::string("reroute: ") + holdfast::text(static_cast<Cause>(n)) + ", " + holdfast::text(result),
           reroutes_[n][m], result == RerouteResult::attached});
    }
  }
  return all;
}

}  // namespace holdfast::sim
