#pragma once
// Where attempts wait for their turn, one line per upstream: `reroute_rate` a second over all setup threads,
// and at most UpstreamState::most_connecting pending dials per backend. First come, first served; only who
// would wait for a backend that is busy is overtaken by those who can be dialled for now.
//
// Thread: the setup thread's; SetupThread::ask is the way in from others. Private to frontend.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "frontend/reattach.hpp"
#include "holdfast/session/attempt.hpp"

namespace holdfast::frontend {

class Desk {
 public:
  explicit Desk(SetupThread& thread) noexcept : thread_(thread) {}
  Desk(const Desk&) = delete;
  Desk& operator=(const Desk&) = delete;
  /// Before the io_context's end, and nothing of it runs afterwards. Who still waits gets no reply.
  ~Desk() = default;

  /// The attempt gets exactly one reply, unless it has been withdrawn: then it may get none.
  void take(std::unique_ptr<session::Attempt> attempt);

 private:
  struct Line {
    explicit Line(boost::asio::io_context& io) : timer(io) {}
    std::deque<std::unique_ptr<session::Attempt>> waiting;
    boost::asio::steady_timer timer;
    enum class Timer : std::uint8_t { idle, set } state = Timer::idle;
    enum class Token : std::uint8_t { none, in_hand } token = Token::none;  ///< paid for the next dial
  };
  /// What a look at one attempt came to.
  enum class Fate : std::uint8_t {
    over,     ///< answered or dropped
    dialled,  ///< on its way
    waits,    ///< its backends are busy; others may go on
    slowed,   ///< a retry while the retry budget is exhausted; first attempts may go on
    paced,    ///< nobody goes on before the line's timer
  };
  void serve(Line& line);
  [[nodiscard]] Fate look_at(Line& line, const Serving& serving, std::unique_ptr<session::Attempt>& attempt);
  void begin(Line& line, Way way);
  /// Serves the line at `when`, or earlier if that is set already.
  void wake(Line& line, TimePoint when);

  SetupThread& thread_;
  std::map<std::string, Line> lines_;  ///< by upstream; as many as configurations ever had
};

}  // namespace holdfast::frontend
