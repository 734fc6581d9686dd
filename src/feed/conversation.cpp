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
constexpr std::size_t most_keys_at_once = 1'000;

bool is_among(const std::vector<std::string>& keys, std::string_view pattern) {
  return std::ranges::any_of(keys, [&](const std::string& key) { return dialect::names_key(pattern, key); });
}
}  // namespace

Conversation::Conversation(Settings settings, std::uint64_t& numbers, Partner& partner)
    : settings_(std::move(settings)),
      numbers_(numbers),
      partner_(partner),
      allowance_(settings_.messages_per_second, settings_.second) {}

void Conversation::queue(const std::string& key, Place& place, State state) {
  place.state = state;
  place.was_asked = false;
  std::deque<std::string>& waiting = state == State::to_ask ? to_ask_ : to_leave_;
  waiting.push_back(key);
  if (waiting.size() > 2 * places_.size() + most_keys_at_once) thin(waiting, state);
}

// Those who come and go faster than the source may be asked leave their names in the queue.
void Conversation::thin(std::deque<std::string>& waiting, State due) {
  std::set<std::string_view> seen;
  std::deque<std::string> kept;
  for (std::string& key : waiting) {
    const auto found = places_.find(key);
    if (found != places_.end() && found->second.state == due && seen.insert(found->first).second)
      kept.push_back(std::move(key));
  }
  waiting = std::move(kept);
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

bool Conversation::say(std::string text, TimePoint until) {
  if (word_bytes_ + text.size() > most_words_bytes) return false;
  word_bytes_ += text.size();
  words_.push_back({std::move(text), until});
  return true;
}

void Conversation::forget(Places::iterator place) {
  if (!place->second.sub_id.empty()) by_sub_id_.erase(place->second.sub_id);
  places_.erase(place);
}

TimePoint Conversation::run(TimePoint now) {
  give_up(now);
  // Leaving first: it makes room. What was refused last: it may be many words for nothing.
  const bool all_said = send_commands(CommandKind::unsubscribe, now) && send_surplus(now) &&
                        send_commands(CommandKind::subscribe, now) && send_suspects(now);
  while (all_said && !words_.empty()) {
    const auto& [text, until] = words_.front();
    if (until > now) {
      if (allowance_.free_at(now) > now || !partner_.write(text)) break;
      allowance_.take(now);
    }
    word_bytes_ -= text.size();
    words_.pop_front();
  }
  TimePoint next = give_up_at_;
  if (!all_said || !words_.empty())
    next = std::min(next, std::max(allowance_.free_at(now), now + pause_when_full));
  return next;
}

// Who can't know what an answer is to asks one thing at a time.
bool Conversation::may_say(TimePoint now) {
  if (allowance_.free_at(now) > now) return false;
  return settings_.dialect->tells_acks_apart() || asked_.empty() || asked_.rbegin()->second.is_late;
}

// False: the source takes no more of them now.
bool Conversation::send_commands(CommandKind kind, TimePoint now) {
  const bool asks = kind == CommandKind::subscribe;
  const State due = asks ? State::to_ask : State::to_leave;
  std::deque<std::string>& waiting = asks ? to_ask_ : to_leave_;
  while (!waiting.empty()) {
    if (!may_say(now)) return false;
    // Who asked twice meanwhile, or not any more, is here once, or not at all.
    std::vector<std::string> keys;
    std::set<std::string> seen;
    while (!waiting.empty() && keys.size() < most_keys_at_once) {
      const auto found = places_.find(waiting.front());
      if (found != places_.end() && found->second.state == due && seen.insert(found->first).second)
        keys.push_back(std::move(waiting.front()));
      waiting.pop_front();
    }
    const std::vector<std::string> later = send(kind, keys, now, now);
    waiting.insert(waiting.begin(), later.begin(), later.end());
    if (!later.empty()) return false;
  }
  return true;
}

bool Conversation::send_suspects(TimePoint now) {
  while (!suspects_.empty()) {
    if (!may_say(now)) return false;
    Suspects some = std::move(suspects_.front());
    suspects_.pop_front();
    std::erase_if(some.keys, [this](const std::string& key) {
      const auto found = places_.find(key);
      return found == places_.end() || found->second.state != State::to_ask;
    });
    some.keys = send(CommandKind::subscribe, some.keys, now, some.since);
    if (some.keys.empty()) continue;
    suspects_.push_front(std::move(some));
    return false;
  }
  return true;
}

bool Conversation::send_surplus(TimePoint now) {
  while (!surplus_.empty()) {
    if (!may_say(now)) return false;
    const auto& [key, sub_id] = surplus_.back();
    const dialect::CommandKey named{key, sub_id};
    const auto commands =
        settings_.dialect->render_commands(CommandKind::unsubscribe, std::span(&named, 1), numbers_ + 1);
    for (const dialect::Command& command : commands) {
      if (!partner_.write(command.text)) return false;
      allowance_.take(now);
      settings_.cells->unsubscribes.add();
      numbers_ = command.number;
      if (settings_.dialect->answers_commands())
        asked_[command.number] = {CommandKind::unsubscribe, {}, now, now, false, {}};
      give_up_at_ = std::min(give_up_at_, now + settings_.timeout);
    }
    surplus_.pop_back();
  }
  return true;
}

std::vector<std::string> Conversation::send(CommandKind kind, const std::vector<std::string>& keys,
                                            TimePoint now, TimePoint since) {
  if (keys.empty()) return {};
  const bool asks = kind == CommandKind::subscribe;
  const bool has_answers = settings_.dialect->answers_commands();
  std::vector<dialect::CommandKey> named;
  for (const std::string& key : keys) named.push_back({key, places_.at(key).sub_id});
  const auto commands = settings_.dialect->render_commands(kind, named, numbers_ + 1);
  std::vector<bool> is_in_one(keys.size());
  std::vector<std::string> later;
  for (const dialect::Command& command : commands) {
    const bool goes = later.empty() && may_say(now) && partner_.write(command.text);
    for (const std::size_t n : command.keys) {
      is_in_one[n] = true;
      if (!goes) later.push_back(keys[n]);
    }
    if (!goes) continue;
    allowance_.take(now);
    (asks ? settings_.cells->subscribes : settings_.cells->unsubscribes).add();
    numbers_ = command.number;
    if (has_answers) {
      Asked& asked = asked_[command.number];
      asked = {kind, {}, now, since, false, {}};
      for (const std::size_t n : command.keys) asked.keys.push_back(keys[n]);
      give_up_at_ = std::min(give_up_at_, now + settings_.timeout);
    }
    for (const std::size_t n : command.keys) said(kind, keys[n]);
  }
  // What no command is for is there without asking.
  for (std::size_t n = 0; n < keys.size(); ++n) {
    if (!is_in_one[n]) said(kind, keys[n]);
    const bool is_there = asks && (!is_in_one[n] || !has_answers);
    const auto place = places_.find(keys[n]);
    if (is_there && place != places_.end() && place->second.state == State::asked) confirm(keys[n], {});
  }
  return later;
}

void Conversation::said(CommandKind kind, const std::string& key) {
  const auto found = places_.find(key);
  if (kind == CommandKind::subscribe) {
    found->second.state = State::asked;
    found->second.was_asked = true;
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
  const bool waits = found != places_.end() &&
                     (found->second.state == State::asked || found->second.state == State::too_late);
  if (!waits) {
    const bool has_it = found != places_.end() && found->second.sub_id == sub_id;
    if (!sub_id.empty() && !has_it) surplus_.emplace_back(key, sub_id);
    return;
  }
  Place& place = found->second;
  if (!sub_id.empty()) {
    place.sub_id = sub_id;
    by_sub_id_[place.sub_id] = key;
  }
  if (!place.wanted) return queue(key, place, State::to_leave);
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

// An answer is about all channels of a command where it does not say, or names none of them. What is said of
// one twice is nothing new.
void Conversation::settle(Open::iterator open, const dialect::SourceAct& act) {
  Asked& asked = open->second;
  const std::string_view pattern = act.key.text;
  const bool asks = asked.kind == CommandKind::subscribe;
  const bool names_some = !pattern.empty() && is_among(asked.keys, pattern);
  if (!names_some && !pattern.empty() && is_among(asked.answered, pattern)) return;
  std::vector<std::string> keys;
  std::erase_if(asked.keys, [&](const std::string& key) {
    const bool is_meant = !names_some || dialect::names_key(pattern, key);
    if (is_meant) keys.push_back(key);
    return is_meant;
  });
  const TimePoint since = asked.since;
  if (asked.keys.empty()) {
    asked_.erase(open);
  } else {
    asked.answered.insert(asked.answered.end(), keys.begin(), keys.end());
  }
  if (!asks) return;
  if (act.what == dialect::SourceDo::error) {
    const Refusal why{Fault::source_error, std::string(act.message), std::string(act.code)};
    if (!names_some && keys.size() > 1) return suspect(std::move(keys), since, why);
    for (const std::string& key : keys) refuse(key, why);
  } else {
    const std::string sub_id(act.sub_id);
    for (const std::string& key : keys) confirm(key, sub_id);
  }
}

// One of them was wrong, or all of them.
void Conversation::suspect(std::vector<std::string> keys, TimePoint since, const Refusal& why) {
  std::vector<std::string> again;
  for (std::string& key : keys) {
    const auto found = places_.find(key);
    const bool waits = found != places_.end() && found->second.state == State::asked && found->second.wanted;
    if (!waits) {
      refuse(key, why);
      continue;
    }
    found->second.state = State::to_ask;
    again.push_back(std::move(key));
  }
  const auto half = again.begin() + static_cast<std::ptrdiff_t>((again.size() + 1) / 2);
  if (again.begin() != half) suspects_.push_back({{again.begin(), half}, since, why});
  if (half != again.end()) suspects_.push_back({{half, again.end()}, since, why});
  give_up_at_ = std::min(give_up_at_, since + settings_.timeout);
}

bool Conversation::take(const dialect::SourceAct& act) {
  if (act.number) {
    const auto open = asked_.find(*act.number);
    if (open == asked_.end()) return false;
    settle(open, act);
    return true;
  }
  // Words that are to say what they answer, and do not, are an answer to nothing of ours.
  if (asked_.empty() || act.lacks_number) return false;
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
    const auto oldest = std::ranges::find_if(asked_, [](const auto& each) { return !each.second.is_late; });
    settle(oldest == asked_.end() ? asked_.begin() : oldest, act);
    return true;
  }
  const std::uint64_t last = asked_.rbegin()->first;
  while (!asked_.empty() && asked_.begin()->first <= last) settle(asked_.begin(), act);
  return true;
}

// Nobody waits for ever. Should the answer come all the same, the channel is left.
void Conversation::give_up(TimePoint now) {
  if (now < give_up_at_) return;
  give_up_at_ = TimePoint::max();
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
    if (!is_over)
      give_up_at_ =
          std::min(give_up_at_, asked.sent + settings_.timeout * (asked.is_late ? forgotten_after : 1));
    open = is_over ? asked_.erase(open) : std::next(open);
  }
  for (const std::string& key : late) {
    const auto found = places_.find(key);
    if (found == places_.end() || found->second.state != State::asked) continue;
    found->second.state = State::too_late;
    if (found->second.wanted) partner_.refused(key, why);
  }
  give_up_suspects(now);
}

// The source's pace may be too slow to find out.
void Conversation::give_up_suspects(TimePoint now) {
  const auto is_over = [&](const Suspects& each) { return now - each.since >= settings_.timeout; };
  std::vector<Suspects> over;
  std::ranges::copy_if(suspects_, std::back_inserter(over), is_over);
  std::erase_if(suspects_, is_over);
  for (const Suspects& each : suspects_) give_up_at_ = std::min(give_up_at_, each.since + settings_.timeout);
  for (const Suspects& each : over) {
    for (const std::string& key : each.keys) {
      const auto found = places_.find(key);
      if (found == places_.end() || found->second.state != State::to_ask) continue;
      forget(found);
      partner_.refused(key, each.why);
    }
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

bool Conversation::has_asked(const std::string& key) const {
  const auto found = places_.find(key);
  return found != places_.end() && found->second.was_asked && found->second.state != State::too_late;
}

bool Conversation::knows(const std::string& key) const {
  const auto found = places_.find(key);
  return found != places_.end() && found->second.state != State::too_late;
}

bool Conversation::is_settled() const noexcept {
  return std::ranges::all_of(places_, [](const auto& each) {
    return each.second.state == State::open || each.second.state == State::to_leave || !each.second.wanted;
  });
}

void Conversation::check_invariants() const {
  const auto has = [](const auto& list, const std::string& key) {
    return std::ranges::find(list, key) != list.end();
  };
  for (const auto& [key, place] : places_) {
    const bool is_suspect =
        std::ranges::any_of(suspects_, [&](const Suspects& each) { return has(each.keys, key); });
    assert(place.state != State::to_ask || (place.wanted && (is_suspect || has(to_ask_, key))));
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
