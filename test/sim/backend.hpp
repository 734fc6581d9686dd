#pragma once
// One backend leg's other end: a process that reads the client's messages, answers some, and may die at any
// byte of what it reads or writes.

#include <limits>
#include <memory>
#include <vector>

#include "holdfast/upstream/backend.hpp"
#include "sim/peer.hpp"

namespace holdfast::sim {

class Backend final : public Peer {
 public:
  Backend(Connection::Surroundings around, const Plan& plan, unsigned id,
          std::shared_ptr<upstream::Backend> home, const Peer& client);

  /// Whatever it does in one step, and what reaches the proxy.
  void step();
  /// Some of its first bytes, as if they had come with its 101.
  [[nodiscard]] std::string early();
  /// After each turn: what the leg took, and whether the proxy has got something of a message.
  void note_turn();
  void note_followed() noexcept { followed = taken.size(); }
  /// The application ends the session.
  void wish_close() noexcept { wishes_close_ = true; }
  /// It will read what is unread.
  [[nodiscard]] bool is_listening() const noexcept {
    return life_ == Life::running && (!close_sent() || reads_on_) && connection.unread() > 0;
  }
  [[nodiscard]] bool is_running() const noexcept { return life_ == Life::running; }

  const std::shared_ptr<upstream::Backend> home;
  std::vector<std::uint32_t> received;  ///< client messages that it got whole
  std::vector<std::uint32_t> taken;     ///< that its leg took whole
  std::size_t followed = 0;             ///< of `taken`: those behind which the proxy got a message of its own
  std::size_t surely_followed = 0;      ///< of those, what it had before the turn in which that came
  bool adopted = false;                 ///< the session has taken it
  bool unwanted = false;                ///< brought by a reply that is too late
  [[nodiscard]] Death died_of() const noexcept { return died_of_; }
  [[nodiscard]] unsigned said_code() const noexcept { return said_code_; }  ///< in its Close
  /// It said Close by itself, with a code that an answer may have, and read no more: what it was sent before
  /// that can't be told from what it has read.
  [[nodiscard]] bool looks_polite() const noexcept {
    const bool plain = said_code_ == 1000 || said_code_ == 1001 || said_code_ == config::Reroute::no_code;
    return close_sent() && !close_seen() && plain;
  }
  /// It has seen a Close of the client's (the proxy's own have no reason).
  [[nodiscard]] bool client_close_seen() const noexcept { return client_close_seen_; }
  [[nodiscard]] bool proxy_close_seen() const noexcept { return close_seen() && !client_close_seen_; }
  [[nodiscard]] bool is_silent() const noexcept {
    return died_of_ == Death::hang || died_of_ == Death::host_gone;
  }

 private:
  enum class Life : std::uint8_t { running, stopped, gone };
  static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();
  static constexpr std::size_t most_words = 150;

  /// Reads along what the leg takes.
  class Taking final : public Listener {
   public:
    explicit Taking(std::vector<std::uint32_t>& taken) noexcept : taken_(taken) {}
    void on_head(const Head&) override {}
    void on_payload(std::string_view) override {}
    void on_frame_end(const Head& head) override;
    void on_control(const Head&, std::string_view) override {}

   private:
    std::vector<std::uint32_t>& taken_;
  };

  void draw_death();
  void read_some();
  void talk();
  void finish_if_due();
  void arrive_some();
  void die();
  void vanish(Ending how);
  void close_now(unsigned code);
  [[nodiscard]] unsigned going_code();
  void say_nonsense();

  void on_head(const Head& head) override;
  void on_payload(std::string_view bytes) override { message_.append(bytes); }
  void on_frame_end(const Head& head) override;
  void on_control(const Head& head, std::string_view payload) override;

  const Peer& client_;
  Taking taking_{taken};
  Reader taken_reader_{From::client};
  std::size_t taken_bytes_ = 0;
  std::size_t frames_got_ = 0;  ///< by the proxy, whole ones, before this turn
  std::uint64_t got_before_ = 0;
  Life life_ = Life::running;
  Death death_ = Death::none;    ///< that it is to die of
  Death died_of_ = Death::none;  ///< that it has died of
  std::uint64_t read_limit_ = never;
  std::uint64_t sent_limit_ = never;
  std::string message_;
  std::uint32_t number_ = 0;  ///< of the message under way, and of the last one
  unsigned fragment_ = 0;
  bool heard_one_ = false;
  bool client_close_seen_ = false;
  bool wishes_close_ = false;
  bool reads_on_ = true;
  bool answers_close_ = true;
  bool silenced_ = false;  ///< it has broken the rules and says no more
  std::size_t answers_owed_ = 0;
  std::size_t last_words_ = 0;  ///< messages between a Close that it has seen and its own
  unsigned said_code_ = 0;
};

}  // namespace holdfast::sim
