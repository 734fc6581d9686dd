#include "feed/dialogue.hpp"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <utility>

#include "feed/subscriber.hpp"

namespace holdfast::feed {

using dialect::ClientDo;
using dialect::Fault;
using dialect::Reply;

namespace {

// Messages of one client that wait for the source.
constexpr std::size_t most_askings = 1'000;
constexpr std::size_t most_asked_keys = 10'000;  // that they name; or as many as it may have
constexpr std::size_t most_kept_bytes = 256UL * 1024;

std::uint64_t unix_us() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(since).count());
}

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

// A reload may bring another one at any time, but not between a message and what is made of it.
const std::shared_ptr<const dialect::Dialect>& Dialogue::dialect() const {
  return present_ == nullptr ? audience_.dialect(client_.feed_) : *present_;
}

void Dialogue::begin(const std::vector<std::string>& channels) {
  if (channels.empty()) return;
  Asking asking;
  asking.dialect = dialect();
  asking.is_silent = true;
  asking.keys = channels;
  ask(std::move(asking), std::vector<std::string>(channels.size()));
}

void Dialogue::take(std::string_view message) {
  const std::shared_ptr<const dialect::Dialect> rules = dialect();
  const auto* const before = std::exchange(present_, &rules);
  obey(rules->read_client(message, audience_.scratch()), message);
  present_ = before;
}

void Dialogue::obey(const Act& act, std::string_view message) {
  switch (act.what) {
    case ClientDo::subscribe:
      return subscribe(act, message);
    case ClientDo::unsubscribe:
      return unsubscribe(act, message);
    case ClientDo::request:
      return request(act, message);
    case ClientDo::publish:
      return publish(act, message);
    case ClientDo::set:
      return set(act, message);
    case ClientDo::list:
      return reply(act, message, {});
    case ClientDo::ping:
      return finish(asking_of(act, message));
    case ClientDo::reject:
      return fail(act, message, act.fault, act.message);
    case ClientDo::unknown:
      if (act.fault != Fault::none) return fail(act, message, act.fault, act.message);
      if (dialect()->unknown_of_client() == dialect::Unknown::forward) forward(message);
      return;
  }
}

void Dialogue::forward(std::string_view message) {
  audience_.forward(client_.feed_, nullptr, ws::Opcode::text, bytes_of(message));
}

void Dialogue::subscribe(const Act& act, std::string_view message) {
  Asking asking = asking_of(act, message);
  std::vector<std::string> lanes;
  std::size_t more = 0;
  for (const dialect::ChannelKey& key : act.keys) {
    asking.keys.emplace_back(key.text);
    lanes.emplace_back(key.lane);
    const Channel* const channel = find(key.text);
    if (channel == nullptr || !places_.contains(const_cast<Channel*>(channel))) ++more;
  }
  const std::uint32_t most = client_.feed_.channels_per_client.load(std::memory_order_relaxed);
  if (more != 0 && places_.size() + more > most) {
    client_.feed_.cells(client_.pump_thread()).refused_channels.add(more);
    return fail(act, message, Fault::too_many_keys,
                "a client must not have more than " + std::to_string(most) + " channels");
  }
  if (!has_room_for(act.keys.size()))
    return fail(act, message, Fault::too_many_requests, "too many messages wait for an answer");
  if (!asking.dialect->replies_per_key(act.rule)) return ask(std::move(asking), lanes);
  for (std::size_t n = 0; n < asking.keys.size() && client_.is_running(); ++n) {
    Asking one = asking;
    one.keys = {asking.keys[n]};
    ask(std::move(one), {lanes[n]});
  }
}

void Dialogue::ask(Asking asking, const std::vector<std::string>& lanes) {
  for (std::size_t n = 0; n < asking.keys.size(); ++n) {
    const std::uint32_t number = follow(asking.keys[n], lanes[n]);
    asking.subscriptions.push_back(number);
    if (client_.subscriptions_[number].channel->id == 0) asking.waits_for.push_back(number);
  }
  if (asking.waits_for.empty()) return answer(std::move(asking));
  asked_keys_ += asking.keys.size();
  askings_.push_back(std::move(asking));
}

bool Dialogue::is_in_order(const Asking& asking) {
  return asking.id.empty() && !asking.is_silent && !asking.dialect->replies_per_key(asking.rule);
}

bool Dialogue::has_room_for(std::size_t keys) const noexcept {
  const std::size_t most = client_.feed_.channels_per_client.load(std::memory_order_relaxed);
  return askings_.size() < most_askings && asked_keys_ + keys <= std::max(most_asked_keys, most);
}

void Dialogue::answer(Asking asking) {
  const bool waits = is_in_order(asking) && std::ranges::any_of(askings_, is_in_order);
  // Who has said that much must take it as it comes.
  if (!waits || is_turn_ || !has_room_for(asking.keys.size())) return finish(asking);
  asked_keys_ += asking.keys.size();
  askings_.push_back(std::move(asking));
}

std::uint32_t Dialogue::follow(const std::string& key, const std::string& lane) {
  Channel& channel = audience_.channel(client_.feed_, key, lane);
  const auto [found, is_new] = places_.try_emplace(&channel);
  if (is_new) found->second.subscription = client_.follow(channel);
  ++found->second.holders;
  return found->second.subscription;
}

std::uint32_t Dialogue::free_number() {
  if (free_.empty()) return Subscription::none;
  const std::uint32_t number = free_.back();
  free_.pop_back();
  return number;
}

Channel* Dialogue::find(std::string_view key) const {
  return audience_.find(client_.feed_, std::string(key));
}

// Who waits for it as well goes without it.
void Dialogue::leave(Channel& channel) {
  const auto found = places_.find(&channel);
  if (found == places_.end()) return;
  const std::uint32_t number = found->second.subscription;
  places_.erase(found);
  for (Asking& each : askings_) {
    std::erase(each.subscriptions, number);
    std::erase(each.waits_for, number);
  }
  client_.unfollow(number);
  free_.push_back(number);
}

void Dialogue::release(std::uint32_t subscription) {
  Channel* const channel = client_.subscriptions_[subscription].channel;
  const auto found = places_.find(channel);
  if (found != places_.end() && --found->second.holders == 0) leave(*channel);
}

void Dialogue::opened(std::uint32_t subscription) {
  for (Asking& each : askings_) std::erase(each.waits_for, subscription);
  settle();
}

void Dialogue::settle() {
  const auto may_be_done = [](const Asking& each) { return each.waits_for.empty(); };
  if (std::ranges::none_of(askings_, may_be_done) || !client_.is_running()) return;
  std::vector<Asking> done;
  std::vector<Asking> waiting;
  bool one_waits = false;  // that others must not overtake
  for (Asking& each : askings_) {
    const bool is_ordered = is_in_order(each);
    const bool is_done = may_be_done(each) && !(is_ordered && one_waits);
    one_waits = one_waits || (is_ordered && !is_done);
    (is_done ? done : waiting).push_back(std::move(each));
  }
  askings_ = std::move(waiting);
  for (const Asking& each : done) {
    asked_keys_ -= each.keys.size();
    kept_bytes_ -= each.again.size();
  }
  for (const Asking& each : done) {
    if (client_.is_running()) finish(each);
  }
}

// As if it had come now.
void Dialogue::read_again(const Asking& asking) {
  is_turn_ = true;
  take(asking.again);
  is_turn_ = false;
}

void Dialogue::finish(const Asking& asking) {
  if (!asking.again.empty() && asking.why.fault == Fault::none) return read_again(asking);
  dialect::ReplyValues values;
  values.id = asking.id;
  values.keys = asking.keys;
  if (asking.why.fault != Fault::none) {
    for (const std::uint32_t each : asking.subscriptions) release(each);
    values.fault = asking.why.fault;
    values.message = asking.why.message;
    values.code = asking.why.code;
    return reply(*asking.dialect, asking.rule, Reply::error, values);
  }
  const bool has_sub_id = asking.dialect->has_sub_ids() && !asking.keys.empty();
  const std::string sub_id = has_sub_id ? dialect::Dialect::stable_sub_id(asking.keys.front()) : "";
  values.sub_id = sub_id;
  if (!asking.is_silent) reply(*asking.dialect, asking.rule, Reply::result, values);
  for (const std::uint32_t each : asking.subscriptions) {
    if (!client_.is_running()) return;
    if (!client_.subscriptions_[each].joined) client_.begin(each);
  }
}

void Dialogue::refused(std::uint32_t subscription, const Refusal& why) {
  bool is_told = false;
  for (Asking& each : askings_) {
    const bool waits = std::ranges::find(each.waits_for, subscription) != each.waits_for.end();
    const bool is_asked = std::ranges::find(each.subscriptions, subscription) != each.subscriptions.end();
    if (is_asked && each.why.fault == Fault::none) each.why = why;
    is_told = is_told || waits || (is_asked && !client_.subscriptions_[subscription].joined);
  }
  const std::string key = client_.subscriptions_[subscription].channel->key;
  leave(*client_.subscriptions_[subscription].channel);
  if (!is_told) {
    dialect::ReplyValues values;
    const std::vector<std::string> keys{key};
    const std::string words = key + ": " + why.message;
    values.keys = keys;
    values.fault = why.fault;
    values.message = words;
    values.code = why.code;
    reply(*dialect(), dialect::no_rule, Reply::error, values);
  }
  settle();
}

void Dialogue::unsubscribe(const Act& act, std::string_view message) {
  std::vector<std::string> keys;
  for (const dialect::ChannelKey& key : act.keys) keys.emplace_back(key.text);
  std::vector<Channel*> leaving;
  if (!act.sub_id.empty()) {
    const auto named = std::ranges::find_if(places_, [&](const auto& each) {
      return dialect::Dialect::stable_sub_id(each.first->key) == act.sub_id;
    });
    if (named == places_.end()) return fail(act, message, Fault::bad_value, "there is no such subscription");
    keys = {named->first->key};
    if (--named->second.holders == 0) leaving.push_back(named->first);
  } else if (act.keys_are == dialect::KeysAre::prefixes) {
    for (const auto& [channel, place] : places_) {
      const bool is_meant =
          std::ranges::any_of(keys, [&](const std::string& each) { return channel->key.starts_with(each); });
      if (is_meant) leaving.push_back(channel);
    }
    keys.clear();
    for (const Channel* const each : leaving) keys.push_back(each->key);
  } else {
    for (const std::string& key : keys) {
      if (Channel* const channel = find(key); channel != nullptr) leaving.push_back(channel);
    }
  }
  for (Channel* const each : leaving) leave(*each);
  settle();
  if (client_.is_running()) reply(act, message, std::move(keys));
}

void Dialogue::request(const Act& act, std::string_view message) {
  if (act.id.empty()) return forward(message);
  const std::uint32_t most = dialect()->limits().requests_in_flight;
  if (questions_ >= most)
    return fail(act, message, Fault::too_many_requests,
                "more than " + std::to_string(most) + " questions have no answer yet");
  Question question;
  question.asker.rule = act.rule;
  question.asker.id = act.id.of(message);
  question.message = message;
  question.id = act.id;
  if (act.shared) question.shared_by = act.question;
  question.retryable = act.retryable;
  if (!audience_.ask(client_, std::move(question)))
    return fail(act, message, Fault::too_many_requests, "too much is on its way to the source");
  ++questions_;
}

void Dialogue::answered(const Answered& answer) {
  --questions_;
  if (answer.why.fault == Fault::none) return client_.tell(answer.text);
  dialect::ReplyValues values;
  values.id = answer.asker.id;
  values.fault = answer.why.fault;
  values.message = answer.why.message;
  values.code = answer.why.code;
  reply(*dialect(), answer.asker.rule, Reply::error, values);
}

void Dialogue::publish(const Act& act, std::string_view message) {
  Channel* const channel = act.keys.empty() ? nullptr : find(act.keys.front().text);
  const bool has_it = channel != nullptr && places_.contains(channel);
  if (has_it && channel->id == 0 && keep_until_open(act, message, *channel)) return;
  if (!has_it || channel->id == 0)
    return fail(act, message, Fault::refused, "only who has a channel may say something in it");
  std::vector<std::byte> said = bytes_of(act.forward.of(message));
  bool goes = true;
  if (act.via == dialect::Via::upstream) {
    goes = audience_.forward(client_.feed_, channel, ws::Opcode::text, std::move(said));
  } else {
    if (act.echo == dialect::Echo::no && origin_ == 0) origin_ = audience_.next_origin();
    goes = audience_.publish(*channel, std::move(said), act.echo == dialect::Echo::no ? origin_ : 0);
  }
  if (!goes) return fail(act, message, Fault::too_many_requests, "too much is on its way");
  reply(act, message, {channel->key});
}

// Who asks for a channel may say something in it in the same breath.
bool Dialogue::keep_until_open(const Act& act, std::string_view message, const Channel& channel) {
  if (!has_room_for(0) || kept_bytes_ + message.size() > most_kept_bytes) return false;
  Asking asking = asking_of(act, message);
  asking.again = message;
  asking.waits_for = {places_.at(const_cast<Channel*>(&channel)).subscription};
  kept_bytes_ += message.size();
  askings_.push_back(std::move(asking));
  return true;
}

void Dialogue::set(const Act& act, std::string_view message) {
  client_.form_ = form_of(is_packed(client_.form_), act.form == dialect::Form::slice);
  reply(act, message, {});
}

void Dialogue::tell_gap(const Channel& channel, std::uint64_t missed) {
  dialect::ReplyValues values;
  values.key = channel.key;
  values.count = missed;
  reply(*dialect(), dialect::no_rule, Reply::gap, values);
}

bool Dialogue::is_of_handshake(std::uint32_t subscription) const {
  return std::ranges::any_of(askings_, [&](const Asking& each) {
    return each.is_silent && std::ranges::find(each.subscriptions, subscription) != each.subscriptions.end();
  });
}

std::vector<std::string> Dialogue::all_keys(std::span<const std::string> more) const {
  std::vector<std::string> keys;
  for (const auto& [channel, place] : places_) {
    const bool has = client_.subscriptions_[place.subscription].joined || is_of_handshake(place.subscription);
    if (has || std::ranges::find(more, channel->key) != more.end()) keys.push_back(channel->key);
  }
  std::ranges::sort(keys);
  return keys;
}

void Dialogue::reply(const dialect::Dialect& rules, dialect::RuleIndex rule, Reply kind,
                     dialect::ReplyValues values) {
  std::vector<std::string> all;
  if (kind == Reply::result && rules.tells_all(rule)) all = all_keys(values.keys);
  values.all = all;
  values.unix_us = unix_us();
  for (const std::string& each : rules.render_reply(rule, kind, values)) {
    if (client_.is_running()) client_.tell(each);
  }
}

Dialogue::Asking Dialogue::asking_of(const Act& act, std::string_view message) const {
  Asking asking;
  asking.dialect = dialect();
  asking.rule = act.rule;
  asking.id = act.id.of(message);
  return asking;
}

void Dialogue::reply(const Act& act, std::string_view message, std::vector<std::string> keys) {
  Asking asking = asking_of(act, message);
  asking.keys = std::move(keys);
  answer(std::move(asking));
}

void Dialogue::fail(const Act& act, std::string_view message, Fault fault, std::string_view words) {
  Asking asking = asking_of(act, message);
  asking.why = {fault, std::string(words), {}};
  answer(std::move(asking));
}

void Dialogue::check_invariants() const {
  for (const auto& [channel, place] : places_) {
    assert(place.holders != 0);
    assert(client_.subscriptions_[place.subscription].channel == channel);
  }
  bool one_waits = false;
  for (const Asking& each : askings_) {
    assert(!each.waits_for.empty() || (is_in_order(each) && one_waits));
    one_waits = one_waits || is_in_order(each);
    for (const std::uint32_t number : each.waits_for) assert(client_.subscriptions_[number].channel->id == 0);
  }
}

}  // namespace holdfast::feed
