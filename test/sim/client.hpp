#pragma once
// The client: says numbered messages, and checks that what it gets is whole, in order, from one leg at a
// time.

#include <memory>
#include <vector>

#include "sim/backend.hpp"
#include "sim/peer.hpp"

namespace holdfast::sim {

using Legs = std::vector<std::unique_ptr<Backend>>;

class Client final : public Peer {
 public:
  Client(Connection::Surroundings around, const Plan& plan, const Legs& legs);

  void step();
  /// Its part of an Exit.
  void leave(Exit how);
  [[nodiscard]] std::string early();
  [[nodiscard]] bool has_said_all() const noexcept {
    return said.size() >= plan_.client_messages && !message_open();
  }
  /// It will read what is unread.
  [[nodiscard]] bool is_listening() const noexcept { return !gone_ && !silent_ && connection.unread() > 0; }
  /// It has ended or fallen silent without a Close.
  [[nodiscard]] bool has_vanished() const noexcept { return vanished_; }
  static constexpr unsigned own_code = 4000;
  /// Messages that it got from leg `id`, and the number of the first of them.
  struct Heard {
    std::size_t first = 0;
    std::size_t count = 0;
  };
  [[nodiscard]] Heard heard_from(unsigned id) const noexcept {
    return id < heard_.size() ? heard_[id] : Heard{};
  }

 private:
  void talk();
  void on_head(const Head& head) override;
  void on_payload(std::string_view bytes) override { message_.append(bytes); }
  void on_frame_end(const Head& head) override;
  void on_control(const Head& head, std::string_view payload) override;
  void judge_message();
  [[nodiscard]] bool take_empty();

  const Legs& legs_;
  std::string message_;
  std::vector<Heard> heard_;
  unsigned from_ = 0;  ///< the leg of the latest message
  bool gone_ = false;
  bool silent_ = false;
  bool vanished_ = false;
  bool finished_ = false;  ///< FIN sent
};

}  // namespace holdfast::sim
