#pragma once
// Questions to name servers through c-ares, without waiting. Private to discover.
//
// While a question is open, c-ares' sockets are looked at every 10 ms instead of being registered with the
// reactor: it opens and closes them as it likes, and nobody is in a hurry here.

#include <ares.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/discover/answer.hpp"

namespace holdfast::discover {

class Resolver {
 public:
  using Done = std::function<void(Result<Answer>)>;

  /// `servers`: none = the system's (/etc/resolv.conf).
  Resolver(boost::asio::io_context& io, const std::vector<config::Address>& servers);
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  ~Resolver();  ///< open questions get no answer any more

  /// `done` comes later, never from within. An answer without records is an Error, too, and `Retry::no`: a
  /// name server has said so. Names without a dot are looked for in the system's search domains.
  void ask(const std::string& name, config::DnsRecord type, Done done);

 private:
  struct Question;
  struct ChannelFree {
    void operator()(ares_channeldata* channel) const noexcept { ares_destroy(channel); }
  };
  static void answered(void* argument, int status, int timeouts, unsigned char* bytes, int size);
  void look();
  void look_later();
  void deliver();

  std::unique_ptr<ares_channeldata, ChannelFree> channel_;
  std::string broken_;  ///< why there is no channel
  boost::asio::steady_timer timer_;
  std::vector<std::unique_ptr<Question>> open_;
  bool looking_ = false;
  /// A timer that has gone off may find its owner gone.
  const std::shared_ptr<const int> life_ = std::make_shared<int>();
};

}  // namespace holdfast::discover
