#include "feed/trunk.hpp"

#include <algorithm>
#include <utility>

#include "feed/station.hpp"

namespace holdfast::feed {

using dialect::SourceDo;

namespace {

// Channels that are asked for within it share a command.
constexpr std::chrono::milliseconds gathering{20};
constexpr std::size_t most_kept_bytes = 256UL * 1024;
// The source counts when messages arrive, which may be closer to each other than when they were sent.
constexpr std::chrono::milliseconds source_second{1'100};
// A connection that takes over has been open for so long; what the old one still brings is a double.
constexpr std::chrono::milliseconds overlap{300};
// What a connection brings that is ahead of the others waits no longer.
constexpr std::chrono::seconds longest_wait_for_others{1};
constexpr std::chrono::seconds wait_for_snapshots{5};
constexpr std::chrono::seconds wait_for_answers{10};
constexpr std::chrono::seconds longest_overlap{60};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

Requests::Connection next_connection() {
  static Requests::Connection latest = 0;
  return ++latest;
}

}  // namespace

struct Trunk::Talk final : Conversation::Partner {
  Talk(Trunk& of, std::size_t in, const config::Feed& settings,
       const std::shared_ptr<const dialect::Dialect>& dialect)
      : trunk(of),
        slot(in),
        words({dialect,
               limit_of(settings.source.limits.messages_per_second, dialect->limits().messages_per_second),
               settings.request_timeout, &of.owner_.hub().feed().source_cells(), source_second},
              of.owner_.numbers(), static_cast<Conversation::Partner&>(*this)) {}
  bool write(std::string_view text) override { return trunk.line_.send(slot, text); }
  void confirmed(const std::string& key) override { trunk.confirmed(key); }
  void refused(const std::string& key, const Refusal& why) override { trunk.refused(slot, key, why); }

  Trunk& trunk;
  const std::size_t slot;
  const Requests::Connection connection = next_connection();
  bool owes_pong = false;
  Conversation words;
};

Trunk::Trunk(SourceThread& thread, Owner& owner, std::string lane)
    : owner_(owner),
      lane_(std::move(lane)),
      timer_(thread.io()),
      idle_since_(Clock::now()),
      line_(thread, owner.hub().feed(), static_cast<Line::Receiver&>(*this), owner.hub().settings(), {}) {}

Trunk::~Trunk() = default;

void Trunk::add(Hub::Channel& channel, TimePoint now) {
  Place& place = channels_[channel.key];
  place.channel = &channel;
  for (auto& [slot, talk] : talks_) {
    talk->words.subscribe(channel.key);
    // Another one that comes, or is there to take over, may be ahead of it.
    if (talks_.size() == 1 || line_.is_going(slot)) place.order.begin(slot, true);
  }
  run_at(now + gathering);
  // It is ours alone, with and without a source.
  if (!owner_.hub().dialect()->asks_for(channel.key)) owner_.hub().confirm(channel);
}

void Trunk::remove(Hub::Channel& channel) {
  channels_.erase(channel.key);
  for (auto& [slot, talk] : talks_) talk->words.unsubscribe(channel.key);
  const TimePoint now = Clock::now();
  if (channels_.empty()) idle_since_ = now;
  run_at(now + gathering);
}

void Trunk::renew(const Hub::Channel& channel) {
  const auto found = channels_.find(channel.key);
  if (found == channels_.end()) return;
  const auto talk = talks_.find(found->second.lead);
  if (talk == talks_.end()) return;  // who is asked now brings a snapshot
  talk->second->words.renew(channel.key);
  run_at(Clock::now() + gathering);
}

Requests::Connection Trunk::say(std::string_view text, TimePoint until) {
  Talk* best = nullptr;
  for (const auto& [slot, talk] : talks_) {
    if (best == nullptr || line_.is_going(best->slot)) best = talk.get();
  }
  if (best == nullptr || !best->words.say(std::string(text), until)) return 0;
  // The caller may be in the midst of something.
  run_at(Clock::now());
  return best->connection;
}

bool Trunk::forward(std::string_view text) {
  if (say(text) != 0) return true;
  if (!talks_.empty() || kept_bytes_ + text.size() > most_kept_bytes) return false;
  kept_bytes_ += text.size();
  kept_.emplace_back(text);
  return true;
}

void Trunk::run_at(TimePoint when) {
  if (when >= timer_at_) return;
  timer_at_ = when;
  timer_.expires_at(when);
  timer_.async_wait([this, life = std::weak_ptr<int>(life_)](const boost::system::error_code& error) {
    if (!error && !life.expired()) run();
  });
}

void Trunk::run() {
  timer_at_ = TimePoint::max();
  const TimePoint now = Clock::now();
  TimePoint next = TimePoint::max();
  for (auto& [slot, talk] : talks_) {
    if (talk->owes_pong && talk->words.free_at(now) <= now) {
      talk->owes_pong = false;
      talk->words.note_ping(now);
      line_.pong(slot);
    }
    next = std::min(next, talk->words.run(now));
    if (talk->owes_pong) next = std::min(next, talk->words.free_at(now));
  }
  if (next != TimePoint::max()) run_at(next);
  owner_.hub().publish();
}

void Trunk::opened(std::size_t slot) {
  Hub& hub = owner_.hub();
  auto& talk = talks_[slot];
  talk = std::make_unique<Talk>(*this, slot, hub.settings(), hub.dialect());
  for (auto& [key, place] : channels_) {
    talk->words.subscribe(key);
    place.order.begin(slot, talks_.size() == 1);
  }
  kept_bytes_ = 0;
  for (const std::string& each : std::exchange(kept_, {})) (void)talk->words.say(each);
  run_at(Clock::now());
  owner_.opened();
}

void Trunk::closed(std::size_t slot) {
  const auto found = talks_.find(slot);
  if (found == talks_.end()) return;
  const std::unique_ptr<Talk> gone = std::move(found->second);
  talks_.erase(found);
  std::vector<Hub::Channel*> nowhere;
  for (auto& [key, place] : channels_) {
    const bool is_known = talks_.empty() || std::ranges::any_of(talks_, [&key = key](const auto& each) {
                            return each.second->words.knows(key);
                          });
    if (!is_known) nowhere.push_back(place.channel);
    place.was_cut = place.was_cut || talks_.empty();
    place.order.end(slot);
    release(place);
    if (std::exchange(place.lead, place.lead == slot ? nobody : place.lead) != slot) continue;
    // Where the others are can't be told from where this one was.
    if (!talks_.empty()) talks_.begin()->second->words.renew(key);
  }
  for (Hub::Channel* const each : nowhere)
    owner_.hub().refuse(*each, {dialect::Fault::source_error, "the source has it no more", {}});
  if (!talks_.empty()) run_at(Clock::now());
  owner_.hub().publish();
  owner_.closed(gone->connection);
}

bool Trunk::may_pong(std::size_t slot) {
  const auto found = talks_.find(slot);
  if (found == talks_.end()) return true;
  const TimePoint now = Clock::now();
  const bool may = found->second->words.free_at(now) <= now;
  if (may) found->second->words.note_ping(now);
  found->second->owes_pong = !may;
  if (!may) run_at(found->second->words.free_at(now));
  return may;
}

bool Trunk::has_taken_over(std::size_t slot, Clock::duration open_for) {
  const auto found = talks_.find(slot);
  if (found == talks_.end() || open_for < overlap) return false;
  if (open_for > longest_overlap) return true;
  const bool lacks_snapshot = std::ranges::any_of(
      channels_, [&](const auto& each) { return each.second.has_snapshots && each.second.lead != slot; });
  const bool is_asked = std::ranges::any_of(talks_, [&](const auto& each) {
    return line_.replaces(slot, each.first) && owner_.waits_on(each.second->connection);
  });
  return found->second->words.is_settled() && (!lacks_snapshot || open_for > wait_for_snapshots) &&
         (!is_asked || open_for > wait_for_answers);
}

std::string Trunk::ping(std::size_t slot) {
  const auto found = talks_.find(slot);
  if (found == talks_.end()) return {};
  found->second->words.note_ping(Clock::now());
  return found->second->words.dialect().render_ping(++owner_.numbers());
}

void Trunk::confirmed(const std::string& key) {
  const auto found = channels_.find(key);
  if (found == channels_.end()) return;
  Place& place = found->second;
  const bool was_cut = std::exchange(place.was_cut, false);
  // What the source need not be asked for did not end with it.
  if (was_cut && place.channel->is_open && owner_.hub().dialect()->asks_for(key)) tell_gap(*place.channel);
  owner_.hub().confirm(*place.channel);
}

// What one connection can't have another one may.
void Trunk::refused(std::size_t slot, const std::string& key, const Refusal& why) {
  const auto found = channels_.find(key);
  if (found == channels_.end()) return;
  const bool others_try = std::ranges::any_of(
      talks_, [&](const auto& each) { return each.first != slot && each.second->words.knows(key); });
  if (!others_try) owner_.hub().refuse(*found->second.channel, why);
}

void Trunk::tell_gap(Hub::Channel& channel) {
  dialect::ReplyValues values;
  values.key = channel.key;
  for (const std::string& text :
       owner_.hub().dialect()->render_reply(dialect::no_rule, dialect::Reply::gap, values))
    owner_.hub().came(channel, {ws::Opcode::text, bytes_of(text), Clock::now()});
}

void Trunk::came(std::size_t slot, const Writer::Message& message) {
  const auto found = talks_.find(slot);
  if (found == talks_.end()) return;
  Talk& talk = *found->second;
  const dialect::Dialect& dialect = talk.words.dialect();
  const std::string_view text(reinterpret_cast<const char*>(message.payload.data()), message.payload.size());
  const dialect::SourceAct act = dialect.read_source(text, lane_, owner_.scratch());
  switch (act.what) {
    case SourceDo::data:
    case SourceDo::snapshot:
      return deliver(talk, act, message);
    case SourceDo::ack:
    case SourceDo::response:
    case SourceDo::error:
      if (!talk.words.take(act)) owner_.answered(act, text);
      return run_at(Clock::now());
    case SourceDo::notice:
      if (act.notice == dialect::Notice::rotate) return line_.rotate(slot);
      return line_.leave(slot, "the source asked to be left");
    case SourceDo::unknown:
      if (dialect.unknown_of_source() == dialect::Unknown::forward) owner_.broadcast(text);
      return;
    case SourceDo::ignore:
      return;
  }
}

void Trunk::deliver(Talk& talk, const dialect::SourceAct& act, const Writer::Message& message) {
  auto found = channels_.end();
  if (!act.key.text.empty()) {
    found = channels_.find(act.key.text);
  } else if (const std::string* const key = talk.words.key_of(act.sub_id); key != nullptr) {
    found = channels_.find(*key);
  }
  if (found == channels_.end()) return owner_.hub().feed().source_cells().strays.add();
  Place& place = found->second;
  Writer::Message forwarded = message;
  forwarded.kind = act.what == SourceDo::snapshot ? FrameKind::snapshot : FrameKind::message;
  const std::string_view text(reinterpret_cast<const char*>(message.payload.data()), message.payload.size());
  const bool has_slice = act.slice.length != text.size();
  if (dialect::Dialect::is_forwarded_as_it_is(act)) {
    if (has_slice) forwarded.slice = bytes_of(act.slice.of(text));
  } else {
    const std::string& sub_id = place.channel->sub_id;
    whole_.clear();
    dialect::Dialect::append_forwarded(text, act, dialect::Form::whole, sub_id, whole_);
    forwarded.payload = bytes_of(whole_);
    if (has_slice) {
      slice_.clear();
      dialect::Dialect::append_forwarded(text, act, dialect::Form::slice, sub_id, slice_);
      forwarded.slice = bytes_of(slice_);
    }
  }
  if (is_new(talk.slot, place, act, forwarded)) owner_.hub().came(*place.channel, forwarded);
  release(place);
}

void Trunk::release(Place& place, TimePoint patient_until) {
  for (const Order::Held& each : place.order.release(patient_until))
    owner_.hub().came(*place.channel, each.message());
}

bool Trunk::is_new(std::size_t slot, Place& place, const dialect::SourceAct& act,
                   const Writer::Message& message) {
  metrics::Counter& duplicates = owner_.hub().feed().source_cells().duplicates;
  if (act.what == SourceDo::snapshot) {
    const bool counts = place.lead == nobody || place.lead == slot || line_.replaces(slot, place.lead);
    place.has_snapshots = true;
    if (counts) place.lead = slot;
    if (!counts) duplicates.add();
    return counts;
  }
  if (place.has_snapshots) {
    if (place.lead != slot) duplicates.add();
    return place.lead == slot;
  }
  if (act.last) {
    const Order::Verdict verdict = place.order.take(slot, act.first, *act.last, line_.dedupes());
    if (verdict == Order::Verdict::is_double) duplicates.add();
    if (verdict == Order::Verdict::waits) place.order.hold({slot, *act.last, true, message});
    return verdict == Order::Verdict::goes;
  }
  if (!line_.dedupes()) return true;
  const std::string_view text(reinterpret_cast<const char*>(message.payload.data()), message.payload.size());
  const std::uint64_t what = act.digest ? *act.digest : std::hash<std::string_view>{}(text);
  const std::uint64_t whose = std::hash<std::string_view>{}(place.channel->key);
  const std::uint64_t hash = what * 0x9e3779b97f4a7c15ULL + whose;
  const Order::Verdict verdict = place.order.take(slot, hash, line_.is_first(slot, hash, message.came));
  if (verdict == Order::Verdict::waits) place.order.hold({slot, hash, false, message});
  return verdict == Order::Verdict::goes;
}

void Trunk::tick(TimePoint now) {
  line_.tick(now);
  if (talks_.size() > 1) {
    for (auto& [key, place] : channels_) release(place, now - longest_wait_for_others);
    owner_.hub().publish();
  }
  give_up(now);
}

// Who waits for a channel that the source was not asked for is told so after a while: there is no source, or
// its pace is too slow. What it was asked for the conversations give up.
void Trunk::give_up(TimePoint now) {
  std::vector<Hub::Channel*> given_up;
  for (const auto& [key, place] : channels_) {
    const bool waits = !place.channel->is_open && place.channel->wanting != 0;
    if (!waits || now - place.channel->wanted_since < owner_.hub().settings().request_timeout) continue;
    const bool was_asked = std::ranges::any_of(
        talks_, [&key = key](const auto& each) { return each.second->words.has_asked(key); });
    if (!was_asked) given_up.push_back(place.channel);
  }
  const Refusal why = talks_.empty()
                          ? Refusal{dialect::Fault::source_gone, "there is no source now", {}}
                          : Refusal{dialect::Fault::timed_out, "the source could not be asked in time", {}};
  for (Hub::Channel* const each : given_up) owner_.hub().refuse(*each, why);
}

}  // namespace holdfast::feed
