#pragma once
// What is said to a source on one connection, and what it has answered: which channels were asked for, which
// are confirmed. Commands name many channels where the dialect can, and keep to the source's pace. Sans-io.
//
// Thread: the source thread's. Its partner may call it back from within a call.
//
//   subscribe ─► to_ask ──command──► asked ──ack──► open ──unsubscribe──► to_leave ──command──► gone
//                                      └─error, too late─► refused
//   Who is left while it is asked leaves when the answer is here. A command for many channels that the source
//   refuses as a whole is said again in halves, until it is known which of them it means. Where acks say
//   nothing of what they are to, one command is said at a time.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "feed/allowance.hpp"
#include "holdfast/dialect/dialect.hpp"
#include "holdfast/feed/items.hpp"

namespace holdfast::feed {

class Conversation {
 public:
  class Partner {
   public:
    /// False: the connection takes nothing more now.
    [[nodiscard]] virtual bool write(std::string_view text) = 0;
    /// The source sends this channel's messages now.
    virtual void confirmed(const std::string& key) = 0;
    virtual void refused(const std::string& key, const Refusal& why) = 0;

   protected:
    ~Partner() = default;
  };
  struct Settings {
    std::shared_ptr<const dialect::Dialect> dialect;
    std::uint32_t messages_per_second = 0;            ///< 0 = no limit
    Clock::duration timeout{};                        ///< of an answer
    metrics::SourceCells* cells = nullptr;            ///< outlive the conversation
    Clock::duration second{std::chrono::seconds(1)};  ///< what messages are counted in
  };

  /// `numbers`: the latest one that was used for anything that a source is asked.
  Conversation(Settings settings, std::uint64_t& numbers, Partner& partner);
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  // What is to be said goes with the next `run`.
  void subscribe(const std::string& key);
  void unsubscribe(const std::string& key);
  /// Leaves the channel and asks for it again: the source begins with a snapshot.
  void renew(const std::string& key);
  /// A client's words, behind all commands; not said any more when it has got too late for them. False: too
  /// much waits already (4 MiB).
  [[nodiscard]] bool say(std::string text, TimePoint until = TimePoint::max());
  /// Counts as one of the messages that the source allows.
  void note_ping(TimePoint now) { allowance_.take(now); }
  /// When the source allows one more.
  [[nodiscard]] TimePoint free_at(TimePoint now) { return allowance_.free_at(now); }
  /// Says what may be said now; when to come again, TimePoint::max() when there is nothing to wait for.
  [[nodiscard]] TimePoint run(TimePoint now);

  /// An ack, error or response. False: it is none to what was asked here.
  bool take(const dialect::SourceAct& act);
  /// The channel for which the source uses this subscription id; null when there is none.
  [[nodiscard]] const std::string* key_of(std::string_view sub_id) const;
  [[nodiscard]] bool is_open(const std::string& key) const;
  /// The source has it, or may still give it.
  [[nodiscard]] bool knows(const std::string& key) const;
  /// The channel was asked for: that it is confirmed, refused or given up is still to come, or has come.
  [[nodiscard]] bool has_asked(const std::string& key) const;
  /// All channels that are wanted have been answered.
  [[nodiscard]] bool is_settled() const noexcept;
  [[nodiscard]] const dialect::Dialect& dialect() const noexcept { return *settings_.dialect; }
  // For simulations.
  /// Names of channels, also of some that nobody waits for any more.
  [[nodiscard]] std::size_t queued() const noexcept { return to_ask_.size() + to_leave_.size(); }
  void check_invariants() const;

 private:
  enum class State : std::uint8_t {
    to_ask,
    asked,
    too_late,  ///< asked, and nobody waits for the answer any more
    open,
    to_leave,
  };
  struct Place {
    State state = State::to_ask;
    bool wanted = true;
    bool again = false;      ///< to_leave: and to be asked for after that
    bool was_asked = false;  ///< to_ask: it is one of the suspects
    std::string sub_id;
  };
  using Places = std::map<std::string, Place>;
  struct Asked {
    dialect::CommandKind kind;
    std::vector<std::string> keys;
    TimePoint sent;
    TimePoint since;                    ///< when the first of its channels was asked for
    bool is_late = false;               ///< nobody waits for its answer any more
    std::vector<std::string> answered;  ///< those that were among its keys
  };
  /// Channels that the source has refused together: one of them may be wrong.
  struct Suspects {
    std::vector<std::string> keys;
    TimePoint since;
    Refusal why;
  };
  using Open = std::map<std::uint64_t, Asked>;

  void queue(const std::string& key, Place& place, State state);
  void thin(std::deque<std::string>& waiting, State due);
  [[nodiscard]] bool may_say(TimePoint now);
  [[nodiscard]] bool send_commands(dialect::CommandKind kind, TimePoint now);
  [[nodiscard]] bool send_suspects(TimePoint now);
  [[nodiscard]] bool send_surplus(TimePoint now);
  /// Those that could not be sent now.
  [[nodiscard]] std::vector<std::string> send(dialect::CommandKind kind, const std::vector<std::string>& keys,
                                              TimePoint now, TimePoint since);
  void said(dialect::CommandKind kind, const std::string& key);
  void confirm(const std::string& key, std::string_view sub_id);
  void refuse(const std::string& key, const Refusal& why);
  void settle(Open::iterator asked, const dialect::SourceAct& act);
  void suspect(std::vector<std::string> keys, TimePoint since, const Refusal& why);
  void give_up(TimePoint now);
  void give_up_suspects(TimePoint now);
  void forget(Places::iterator place);
  void forget_late(const std::string& key);

  Settings settings_;
  std::uint64_t& numbers_;
  Partner& partner_;
  Allowance allowance_;
  Places places_;
  std::deque<std::string> to_ask_;    ///< some may have other states by now
  std::deque<std::string> to_leave_;  ///< the same
  std::deque<Suspects> suspects_;     ///< the same
  std::vector<std::pair<std::string, std::string>>
      surplus_;  ///< channel and id: to be left, another one is open
  Open asked_;
  TimePoint give_up_at_ = TimePoint::max();  ///< or later
  std::unordered_map<std::string, std::string> by_sub_id_;
  struct Words {
    std::string text;
    TimePoint until;
  };
  std::deque<Words> words_;
  std::size_t word_bytes_ = 0;
};

}  // namespace holdfast::feed
