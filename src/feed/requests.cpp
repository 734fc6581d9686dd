#include "feed/requests.hpp"

#include <algorithm>
#include <utility>

namespace holdfast::feed {

using dialect::Fault;

void Requests::ask(Question&& question, TimePoint now) {
  now_ = now;
  const std::size_t bytes = question.message.size() + question.shared_by.size();
  const auto found = question.shared_by.empty() ? shared_.end() : shared_.find(question.shared_by);
  const bool is_full =
      askers_ >= most_askers || (found == shared_.end() && kept_bytes_ + bytes > most_kept_bytes);
  if (is_full)
    return host_.refuse(question.asker,
                        {Fault::too_many_requests, "the source has too many questions to answer", {}});
  ++askers_;
  if (found != shared_.end()) return open_.at(found->second).askers.push_back(std::move(question.asker));
  const std::uint64_t number = ++numbers_;
  if (!question.shared_by.empty()) shared_[question.shared_by] = number;
  kept_bytes_ += bytes;
  Open& open = open_[number];
  open.since = open.waits_since = now;
  open.askers.push_back(std::move(question.asker));
  open.question = std::move(question);
  say(number, open);
}

void Requests::say(std::uint64_t number, Open& open) {
  std::string text;
  dialect::append_replaced(open.question.message, open.question.id, std::to_string(number), text);
  open.connection = host_.say(text);
}

void Requests::opened() {
  for (auto& [number, open] : open_) {
    if (open.connection == 0) say(number, open);
  }
}

void Requests::closed(Connection connection) {
  const Refusal why{Fault::source_gone, "the source was lost before it answered", {}};
  std::vector<std::uint64_t> again;
  for (auto each = open_.begin(); each != open_.end();) {
    const auto which = each++;
    if (which->second.connection != connection) continue;
    which->second.connection = 0;
    which->second.waits_since = now_;
    if (which->second.question.retryable && !std::exchange(which->second.was_lost, true)) {
      again.push_back(which->first);
    } else {
      refuse(which, why);
    }
  }
  for (const std::uint64_t number : again) say(number, open_.at(number));
}

bool Requests::take(const dialect::SourceAct& act, std::string_view message) {
  if (!act.number) return false;
  const auto found = open_.find(*act.number);
  if (found == open_.end()) return false;
  const std::vector<Asker> askers = std::move(found->second.askers);
  askers_ -= askers.size();
  forget(found);
  for (const Asker& each : askers) {
    std::string text;
    dialect::append_replaced(message, act.number_span, each.id, text);
    host_.answer(each, std::move(text));
  }
  return true;
}

void Requests::tick(TimePoint now, Clock::duration timeout, Clock::duration patience) {
  now_ = now;
  for (auto each = open_.begin(); each != open_.end();) {
    const auto which = each++;
    const Clock::duration age = now - which->second.since;
    if (age >= timeout) {
      refuse(which, {Fault::timed_out, "the source did not answer", {}});
    } else if (which->second.connection == 0 && now - which->second.waits_since >= patience) {
      refuse(which, {Fault::source_gone, "there is no source now", {}});
    }
  }
}

void Requests::refuse_all(const Refusal& why) {
  while (!open_.empty()) refuse(open_.begin(), why);
}

bool Requests::waits_on(Connection connection) const noexcept {
  return std::ranges::any_of(open_, [&](const auto& each) { return each.second.connection == connection; });
}

Requests::Table::iterator Requests::forget(Table::iterator which) {
  const Question& question = which->second.question;
  kept_bytes_ -= question.message.size() + question.shared_by.size();
  if (!question.shared_by.empty()) shared_.erase(question.shared_by);
  return open_.erase(which);
}

void Requests::refuse(Table::iterator which, const Refusal& why) {
  const std::vector<Asker> askers = std::move(which->second.askers);
  askers_ -= askers.size();
  forget(which);
  for (const Asker& each : askers) host_.refuse(each, why);
}

}  // namespace holdfast::feed
