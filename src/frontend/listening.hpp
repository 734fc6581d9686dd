#pragma once
// One listening socket in one setup thread. Private to frontend.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "holdfast/frontend/setup_thread.hpp"

namespace holdfast::frontend {

class SetupThread::Listening {
 public:
  Listening(SetupThread& thread, std::string key, net::Socket socket, net::Sharing sharing);
  ~Listening();
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  void drain();  ///< accepts until the queue is empty

 private:
  enum class Outcome : std::uint8_t { accepted, empty, failed };
  struct Life {  // shared with the coroutine, which may be resumed after this object's end
    bool over = false;
  };
  static boost::asio::awaitable<void> accept_loop(Listening* self, std::shared_ptr<Life> life);
  Outcome accept_one();

  SetupThread& thread_;
  std::string key_;
  net::Socket socket_;
  net::Sharing sharing_;
  boost::asio::posix::stream_descriptor waiter_;
  std::shared_ptr<Life> life_;
};

}  // namespace holdfast::frontend
