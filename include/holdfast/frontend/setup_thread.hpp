#pragma once
// One thread of the setup plane: accepts on its own sockets, shakes hands on both sides, hands sessions to
// the shards, and finds other backends for theirs.
//
// Threads: construction, `listen`, `unlisten`, `adopt`, `ask` and `stop` any (they post); the rest is the
// thread's own.

#include <boost/asio/io_context.hpp>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/auth/ruling.hpp"
#include "holdfast/feed/audience.hpp"
#include "holdfast/frontend/serving.hpp"
#include "holdfast/metrics/cells.hpp"
#include "holdfast/net/socket.hpp"
#include "holdfast/session/access.hpp"
#include "holdfast/session/attempt.hpp"
#include "holdfast/session/shard.hpp"

namespace holdfast::frontend {

class CommonFields;
class Desk;
class Gate;
class Randomness;
class Watches;

/// An accepted connection that nobody has read from yet.
struct Accepted {
  net::Socket socket;
  config::SocketAddress peer;
  std::string listener;                    ///< its key
  std::shared_ptr<const Serving> serving;  ///< the snapshot of that moment: it has the listener
  TimePoint when;
};

/// What a setup thread is for. Handshakes come in storms and run at a lower priority than the pumps; reroutes
/// don't: a connected client waits for each.
enum class Duty : std::uint8_t { handshakes, reroutes };

class SetupThread final : public session::RerouteDesk {
 public:
  /// All of it outlives the thread.
  struct Surroundings {
    std::size_t index = 0;  ///< of its cells
    Duty duty = Duty::handshakes;
    metrics::SetupCells* cells = nullptr;
    const Present* present = nullptr;
    net::DescriptorBudget* budget = nullptr;
    std::uint64_t hard_descriptors = 0;  ///< above it a connection is closed without an answer
    session::AccessSink* access = nullptr;
    session::WarningSink* log = nullptr;
    std::vector<session::Shard*> shards;
    std::vector<feed::Audience*> audiences;  ///< those of the shards, in their order
    std::vector<SetupThread*> all;  ///< all setup threads, this one too: who shares an exclusive socket
    std::uint32_t tls_handshakes = 64;
  };

  SetupThread();
  SetupThread(const SetupThread&) = delete;
  SetupThread& operator=(const SetupThread&) = delete;
  ~SetupThread();  ///< after `join`, and when nobody can `ask` any more

  void start(Surroundings surroundings);
  void stop() noexcept;
  void join();

  /// Accepts on `socket` for the listener with that key until `unlisten`. With Sharing::exclusive the
  /// connections are dealt out to all setup threads. The future is ready once the thread accepts.
  [[nodiscard]] std::future<void> listen(std::string key, net::Socket socket, net::Sharing sharing);
  /// Accepts what waits in the socket's queue, then closes it (closing it at once would reset those
  /// connections). The future is ready when that is done: until then the snapshot must still have the
  /// listener.
  [[nodiscard]] std::future<void> unlisten(std::string key);
  void adopt(Accepted accepted);
  /// Also before `start` and after `join`; an attempt that the thread no longer comes to gets no reply.
  void ask(std::unique_ptr<session::Attempt> attempt) noexcept override;

  [[nodiscard]] const Surroundings& surroundings() const noexcept { return surroundings_; }
  [[nodiscard]] boost::asio::io_context& io() noexcept { return io_; }
  [[nodiscard]] Gate& tls_gate() noexcept { return *tls_gate_; }
  [[nodiscard]] CommonFields& common_fields() noexcept { return *common_fields_; }
  [[nodiscard]] auth::RulingCache& rulings() noexcept { return rulings_; }
  [[nodiscard]] Watches& watches() noexcept { return *watches_; }
  [[nodiscard]] Randomness& randomness() noexcept { return *randomness_; }
  /// Gives a session to `surroundings().shards[shard]`, together with those that become ready in the same
  /// turn: waking a pump thread costs as much as the hand-over itself.
  void hand_over(std::size_t shard, std::unique_ptr<session::Handover> ready);

 private:
  class Listening;
  void begin(Accepted accepted);
  void measure_lag();
  void give_back_memory();
  void send_ready();

  // In this order: connections still suspended when the io_context dies use the gate and the surroundings.
  Surroundings surroundings_;
  std::unique_ptr<Gate> tls_gate_;
  std::unique_ptr<CommonFields> common_fields_;
  auth::RulingCache rulings_;
  std::unique_ptr<Randomness> randomness_;
  std::unique_ptr<Watches> watches_;
  std::vector<std::vector<std::unique_ptr<session::Handover>>> ready_;  ///< by shard
  std::size_t ready_count_ = 0;
  boost::asio::io_context io_{1};
  std::unique_ptr<Desk> desk_;  // has timers: dies before the io_context
  std::vector<std::unique_ptr<Listening>> listening_;
  std::size_t next_adopter_ = 0;
  std::uint64_t begun_ = 0;  ///< connections; as of the look before, and of the last trim:
  std::uint64_t begun_before_ = 0;
  std::uint64_t begun_trimmed_ = 0;
  std::thread thread_;
};

}  // namespace holdfast::frontend
