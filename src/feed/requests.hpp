#pragma once
// Questions of clients to a source and whom the answers are for. Each goes out with a number of ours in place
// of the client's id, which comes back into the answer; identical ones that may share an answer share one.
// Sans-io.
//
// Thread: the source thread's. Invariant: each asker gets one answer, or a refusal. What a source that does
// not answer makes wait is bounded: 32 MiB and 200,000 askers.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "feed/conversation.hpp"
#include "holdfast/feed/items.hpp"

namespace holdfast::feed {

class Requests {
 public:
  /// Names one connection from its opening to its end; 0 = none.
  using Connection = std::uint64_t;

  class Host {
   public:
    /// To any open connection, which it names; 0: there is none, or it takes nothing more.
    [[nodiscard]] virtual Connection say(std::string_view text) = 0;
    virtual void answer(const Asker& asker, std::string text) = 0;
    virtual void refuse(const Asker& asker, const Refusal& why) = 0;

   protected:
    ~Host() = default;
  };

  Requests(std::uint64_t& numbers, Host& host) : numbers_(numbers), host_(host) {}
  Requests(const Requests&) = delete;
  Requests& operator=(const Requests&) = delete;

  /// Waits for a connection, if there is none.
  void ask(Question&& question, TimePoint now);
  /// A connection is there: what waits is said.
  void opened();
  /// What this one was to answer is asked again, once, or refused.
  void closed(Connection connection);
  /// False: it answers none of these.
  bool take(const dialect::SourceAct& act, std::string_view message);
  /// Refuses what has no answer for `timeout`, and what nobody could be asked for `patience`.
  void tick(TimePoint now, Clock::duration timeout, Clock::duration patience);
  void refuse_all(const Refusal& why);
  [[nodiscard]] std::size_t size() const noexcept { return open_.size(); }
  [[nodiscard]] bool waits_on(Connection connection) const noexcept;

 private:
  struct Open {
    Question question;
    std::vector<Asker> askers;
    TimePoint since;
    TimePoint waits_since;  ///< for a connection
    Connection connection = 0;
    bool was_lost = false;
  };
  using Table = std::map<std::uint64_t, Open>;
  static constexpr std::size_t most_kept_bytes = 32UL << 20;
  static constexpr std::size_t most_askers = 200'000;
  void say(std::uint64_t number, Open& open);
  Table::iterator forget(Table::iterator which);
  void refuse(Table::iterator which, const Refusal& why);

  std::uint64_t& numbers_;
  Host& host_;
  Table open_;
  std::size_t kept_bytes_ = 0;  ///< of questions without an answer
  std::size_t askers_ = 0;
  TimePoint now_;                                          ///< of the latest call that said it
  std::unordered_map<std::string, std::uint64_t> shared_;  ///< by question
};

}  // namespace holdfast::feed
