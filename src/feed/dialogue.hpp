#pragma once
// What one client of a feed with a dialect says, and what it was not answered yet: which channels it has
// asked for, how many questions to the source are open. Answers come in front of data: what it was not told
// to have it does not get.
//
// Thread: its subscriber's. Lifetime: its subscriber's. Invariants:
//   - each message that asks for channels has one reply, or one per channel, once the source has answered for
//     all of them, or an error;
//   - messages without an id are answered in their order: nothing else says which answer is whose. Pings may
//     overtake, and what has a reply per channel;
//   - a channel is there once, however often it was asked for.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "feed/channel.hpp"
#include "holdfast/dialect/dialect.hpp"
#include "holdfast/feed/audience.hpp"

namespace holdfast::feed {

class Dialogue {
 public:
  Dialogue(Subscriber& client, Audience& audience) : client_(client), audience_(audience) {}
  Dialogue(const Dialogue&) = delete;
  Dialogue& operator=(const Dialogue&) = delete;

  /// What its handshake asked for: without a reply.
  void begin(const std::vector<std::string>& channels);
  /// A message of the client. It may be the end of the subscriber.
  void take(std::string_view message);
  /// The channel of this subscription is open.
  void opened(std::uint32_t subscription);
  /// It can't be had, or no longer: the subscription ends.
  void refused(std::uint32_t subscription, const Refusal& why);
  void answered(const Answered& answer);
  /// So many messages of a channel were left out.
  void tell_gap(const Channel& channel, std::uint64_t missed);

  /// A free one of the subscriber's numbers; none: it needs a new one.
  [[nodiscard]] std::uint32_t free_number();
  /// 0 until it says what must not come back to it.
  [[nodiscard]] Origin origin() const noexcept { return origin_; }
  void check_invariants() const;

 private:
  struct Place {
    std::uint32_t subscription = 0;
    std::uint32_t holders = 0;  ///< messages that have asked for it
  };
  /// A message that is not answered yet: it asks for channels, or one without an id that does is before it.
  struct Asking {
    std::shared_ptr<const dialect::Dialect> dialect;
    dialect::RuleIndex rule = dialect::no_rule;
    bool is_silent = false;  ///< no reply when it has worked
    std::string id;
    std::vector<std::string> keys;
    std::vector<std::uint32_t> subscriptions;
    std::vector<std::uint32_t> waits_for;  ///< those of them that are not open yet
    Refusal why;                           ///< of the first that can't be had
    std::string again;  ///< a message for a channel that is not open yet: read once more when it is
  };
  using Act = dialect::ClientAct;

  void obey(const Act& act, std::string_view message);
  void subscribe(const Act& act, std::string_view message);
  void unsubscribe(const Act& act, std::string_view message);
  void request(const Act& act, std::string_view message);
  void publish(const Act& act, std::string_view message);
  void set(const Act& act, std::string_view message);
  void forward(std::string_view message);

  void ask(Asking asking, const std::vector<std::string>& lanes);
  /// When those before it are, where they must be.
  void answer(Asking asking);
  [[nodiscard]] bool keep_until_open(const Act& act, std::string_view message, const Channel& channel);
  void read_again(const Asking& asking);
  [[nodiscard]] static bool is_in_order(const Asking& asking);
  [[nodiscard]] bool has_room_for(std::size_t keys) const noexcept;
  [[nodiscard]] std::uint32_t follow(const std::string& key, const std::string& lane);
  void leave(Channel& channel);
  void release(std::uint32_t subscription);
  /// Takes those that wait for nothing any more out, and replies.
  void settle();
  void finish(const Asking& asking);
  [[nodiscard]] Channel* find(std::string_view key) const;
  /// Asked for by its handshake, which has no answer, and not there yet.
  [[nodiscard]] bool is_of_handshake(std::uint32_t subscription) const;
  /// Those that it was told to have, or its handshake has asked for, and `more`.
  [[nodiscard]] std::vector<std::string> all_keys(std::span<const std::string> more) const;
  void reply(const dialect::Dialect& dialect, dialect::RuleIndex rule, dialect::Reply kind,
             dialect::ReplyValues values);
  void reply(const Act& act, std::string_view message, std::vector<std::string> keys);
  [[nodiscard]] Asking asking_of(const Act& act, std::string_view message) const;
  void fail(const Act& act, std::string_view message, dialect::Fault fault, std::string_view words);
  [[nodiscard]] const std::shared_ptr<const dialect::Dialect>& dialect() const;

  Subscriber& client_;
  Audience& audience_;
  std::unordered_map<Channel*, Place> places_;
  std::vector<std::uint32_t> free_;
  std::vector<Asking> askings_;
  std::size_t asked_keys_ = 0;   ///< of the askings
  std::size_t kept_bytes_ = 0;   ///< of their messages that are read again
  std::uint32_t questions_ = 0;  ///< without an answer
  bool is_turn_ = false;         ///< what is answered now has waited for its turn
  Origin origin_ = 0;
  const std::shared_ptr<const dialect::Dialect>* present_ = nullptr;  ///< that a message was read by
};

}  // namespace holdfast::feed
