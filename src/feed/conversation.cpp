#include "feed/conversation.hpp"

#include <algorithm>
#include <cassert>
#include <set>
#include <utility>

namespace holdfast::feed {

using dialect::CommandKind;
using dialect::Fault;

namespace {
constexpr std::size_t most_words_bytes = 4UL << 20;
constexpr std::chrono::milliseconds pause_when_full{20};
constexpr int forgotten_after = 10;  // times the time that is waited for an answer

/// Which of a command's channels an answer is about: all, where it does not say, or names none of them.
std::vector<std::string> meant(const std::vector<std::string>& keys, std::string_view pattern) {
  std::vector<std::string> out;
  for (const std::string& key : keys) {
    if (!pattern.empty() && dialect::names_key(pattern, key)) out.push_back(key);
  }
  return out.empty() ? keys : out;
}
}  // namespace

Conversation::Conversation(Settings settings, std::uint64_t& numbers, Partner& partner)
    : settings_(std::move(settings)),
      numbers_(numbers),
      partner_(partner),
      allowance_(settings_.messages_per_second, std::chrono::seconds(1)) {}

void Conversation::queue(const std::string& key, Place& place, State state) {
  place.state = state;
  (state == State::to_ask ? to_ask_ : to_leave_).push_back(key);
}

void Conversation::subscribe(const std::string& key) {
  const auto [found, is_new] = places_.try_emplace(key);
  Place& place = found->second;
  place.wanted = true;
  if (is_new || place.state == State::too_late) return queue(key, place, State::to_ask);
  if (place.state == State::to_leave && !place.again) place.state = State::open;
  if (place.state == State::open) partner_.confirmed(key);
}

void Conversation::unsubscribe(const std::string& key) {
  const auto found = places_.find(key);
  if (found == places_.end()) return;
  Place& place = found->second;
  place.wanted = place.again = false;
  if (place.state == State::to_ask) return forget(found);
  if (place.state == State::open) queue(key, place, State::to_leave);
}

void Conversation::renew(const std::string& key) {
  const auto found = places_.find(key);
  if (found == places_.end() || found->second.state != State::open) return;
  found->second.again = true;
  queue(key, found->second, State::to_leave);
}

bool Conversation::say(std::string text) {
  if (word_bytes_ + text.size() > most_words_bytes) return false;
  word_bytes_ += text.size();
  words_.push_back(std::move(text));
  return true;
}

void Conversation::forget(Places::iterator place) {
  if (!place->second.sub_id.empty()) by_sub_id_.erase(place->second.sub_id);
  places_.erase(place);
}

TimePoint Conversation::run(TimePoint now) {
  give_up(now);
  // Leaving first: it makes room.
  const bool all_said =
      send_commands(CommandKind::unsubscribe, now) && send_commands(CommandKind::subscribe, now);
  while (all_said && !words_.empty() && allowance_.free_at(now) <= now) {
    if (!partner_.write(words_.front())) break;
    allowance_.take(now);
    word_bytes_ -= words_.front().size();
    words_.pop_front();
  }
  TimePoint next = TimePoint::max();
  for (const auto& [number, asked] : asked_)
    next = std::min(next, asked.sent + settings_.timeout * (asked.is_late ? forgotten_after : 1));
  if (!all_said || !words_.empty())
    next = std::min(next, std::max(allowance_.free_at(now), now + pause_when_full));
  return next;
}

// False: the source takes no more of them now.
bool Conversation::send_commands(CommandKind kind, TimePoint now) {
  const bool asks = kind == CommandKind::subscribe;
  const State due = asks ? State::to_ask : State::to_leave;
  // Who asked twice meanwhile, or not any more, is here once, or not at all.
  std::vector<std::string> keys;
  std::set<std::string_view> seen;
  for (std::string& key : std::exchange(asks ? to_ask_ : to_leave_, {})) {
    const auto found = places_.find(key);
    if (found != places_.end() && found->second.state == due && seen.insert(found->first).second)
      keys.push_back(std::move(key));
  }
  if (keys.empty()) return true;
  std::vector<dialect::CommandKey> named;
  for (const std::string& key : keys) named.push_back({key, places_.at(key).sub_id});
  const auto commands = settings_.dialect->render_commands(kind, named, numbers_ + 1);
  std::vector<bool> is_in_one(keys.size());
  std::vector<std::string> later;
  for (const dialect::Command& command : commands) {
    const bool goes = later.empty() && allowance_.free_at(now) <= now && partner_.write(command.text);
    for (const std::size_t n : command.keys) {
      is_in_one[n] = true;
      if (!goes) later.push_back(keys[n]);
    }
    if (!goes) continue;
    allowance_.take(now);
    (asks ? settings_.cells->subscribes : settings_.cells->unsubscribes).add();
    numbers_ = command.number;
    Asked& asked = asked_[command.number];
    asked = {kind, {}, now};
    for (const std::size_t n : command.keys) asked.keys.push_back(keys[n]);
    for (const std::size_t n : command.keys) said(kind, keys[n]);
    if (!settings_.dialect->answers_commands()) asked_.erase(command.number);
  }
  const bool all_said = later.empty();
  std::vector<std::string>& waiting = asks ? to_ask_ : to_leave_;
  waiting.insert(waiting.end(), later.begin(), later.end());
  // What no command is for is there without asking.
  for (std::size_t n = 0; n < keys.size(); ++n) {
    if (!is_in_one[n]) said(kind, keys[n]);
    const bool is_there = asks && (!is_in_one[n] || !settings_.dialect->answers_commands());
    const auto place = places_.find(keys[n]);
    if (is_there && place != places_.end() && place->second.state == State::asked) confirm(keys[n], {});
  }
  return all_said;
}

void Conversation::said(CommandKind kind, const std::string& key) {
  const auto found = places_.find(key);
  if (kind == CommandKind::subscribe) {
    found->second.state = State::asked;
  } else if (std::exchange(found->second.again, false)) {
    by_sub_id_.erase(found->second.sub_id);
    found->second.sub_id.clear();
    queue(key, found->second, State::to_ask);
  } else {
    forget(found);
  }
}

void Conversation::confirm(const std::string& key, std::string_view sub_id) {
  const auto found = places_.find(key);
  if (found == places_.end()) return;
  Place& place = found->second;
  if (place.state != State::asked && place.state != State::too_late) return;
  if (!sub_id.empty()) {
    place.sub_id = sub_id;
    by_sub_id_[place.sub_id] = key;
  }
  const bool wanted = place.wanted && place.state == State::asked;
  if (!wanted) return queue(key, place, State::to_leave);
  place.state = State::open;
  partner_.confirmed(key);
}

void Conversation::refuse(const std::string& key, const Refusal& why) {
  const auto found = places_.find(key);
  if (found == places_.end()) return;
  const State state = found->second.state;
  if (state != State::asked && state != State::too_late) return;
  const bool waits = state == State::asked && found->second.wanted;
  forget(found);
  if (waits) partner_.refused(key, why);
}

void Conversation::settle(Open::iterator open, const dialect::SourceAct& act) {
  const bool asks = open->second.kind == CommandKind::subscribe;
  const std::vector<std::string> keys = meant(open->second.keys, act.key.text);
  std::erase_if(open->second.keys,
                [&](const std::string& key) { return std::ranges::find(keys, key) != keys.end(); });
  if (open->second.keys.empty()) asked_.erase(open);
  if (!asks) return;
  if (act.what == dialect::SourceDo::error) {
    const Refusal why{Fault::source_error, std::string(act.message), std::string(act.code)};
    for (const std::string& key : keys) refuse(key, why);
  } else {
    const std::string sub_id(act.sub_id);
    for (const std::string& key : keys) confirm(key, sub_id);
  }
}

bool Conversation::take(const dialect::SourceAct& act) {
  if (act.number) {
    const auto open = asked_.find(*act.number);
    if (open == asked_.end()) return false;
    settle(open, act);
    return true;
  }
  if (asked_.empty()) return false;
  if (!act.key.text.empty()) {
    for (auto open = asked_.begin(); open != asked_.end(); ++open) {
      const bool is_it = std::ranges::any_of(
          open->second.keys, [&](const std::string& key) { return dialect::names_key(act.key.text, key); });
      if (!is_it) continue;
      settle(open, act);
      return true;
    }
  }
  // Answers come in the order of the questions; an ack means all that was asked before it.
  if (act.what == dialect::SourceDo::error) {
    const auto oldest = std::ranges::find_if(
        asked_, [](const auto& each) { return each.second.kind == CommandKind::subscribe; });
    settle(oldest == asked_.end() ? asked_.begin() : oldest, act);
    return true;
  }
  const std::uint64_t last = asked_.rbegin()->first;
  while (!asked_.empty() && asked_.begin()->first <= last) settle(asked_.begin(), act);
  return true;
}

// Nobody waits for ever. Should the answer come all the same, the channel is left.
void Conversation::give_up(TimePoint now) {
  const Refusal why{Fault::timed_out, "the source did not answer", {}};
  std::vector<std::string> late;
  for (auto open = asked_.begin(); open != asked_.end();) {
    Asked& asked = open->second;
    const Clock::duration age = now - asked.sent;
    const bool is_over = age >= settings_.timeout * forgotten_after;
    if (age >= settings_.timeout && !std::exchange(asked.is_late, true) &&
        asked.kind == CommandKind::subscribe)
      late.insert(late.end(), asked.keys.begin(), asked.keys.end());
    if (is_over) std::ranges::for_each(asked.keys, [this](const std::string& key) { forget_late(key); });
    open = is_over ? asked_.erase(open) : std::next(open);
  }
  for (const std::string& key : late) {
    const auto found = places_.find(key);
    if (found == places_.end() || found->second.state != State::asked) continue;
    found->second.state = State::too_late;
    if (found->second.wanted) partner_.refused(key, why);
  }
}

void Conversation::forget_late(const std::string& key) {
  const auto found = places_.find(key);
  if (found != places_.end() && found->second.state == State::too_late) forget(found);
}

const std::string* Conversation::key_of(std::string_view sub_id) const {
  const auto found = by_sub_id_.find(std::string(sub_id));
  return found == by_sub_id_.end() ? nullptr : &found->second;
}

bool Conversation::is_open(const std::string& key) const {
  const auto found = places_.find(key);
  return found != places_.end() && found->second.state == State::open;
}

bool Conversation::is_settled() const noexcept {
  return std::ranges::all_of(places_, [](const auto& each) {
    return each.second.state == State::open || each.second.state == State::to_leave || !each.second.wanted;
  });
}

void Conversation::check_invariants() const {
  const auto has = [](const std::vector<std::string>& list, const std::string& key) {
    return std::ranges::find(list, key) != list.end();
  };
  for (const auto& [key, place] : places_) {
    assert(place.state != State::to_ask || (place.wanted && has(to_ask_, key)));
    assert(place.state != State::to_leave || has(to_leave_, key));
    assert(place.state != State::open || place.wanted);
    const bool is_asked = std::ranges::any_of(asked_, [&](const auto& each) {
      return each.second.kind == CommandKind::subscribe && has(each.second.keys, key);
    });
    assert(place.state != State::asked || is_asked);
  }
  for (const auto& [sub_id, key] : by_sub_id_) assert(places_.at(key).sub_id == sub_id);
}

}  // namespace holdfast::feed
