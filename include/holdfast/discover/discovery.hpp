#pragma once
// Keeps what the upstreams of a configuration find: asks name servers (c-ares) and watches files (inotify).
// What was found last stays while a name server or a file fails, or says that there is nobody.
//
// Thread: the control thread's io_context; nothing here waits. Destroy it with the io_context not running.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "holdfast/base/clock.hpp"
#include "holdfast/config/config.hpp"

namespace holdfast::discover {

/// Of one upstream's `discover`, for status and metrics.
struct Report {
  std::string source;        ///< "dns A chat.internal", "file /run/backends.json"
  std::size_t backends = 0;  ///< found last
  TimePoint found_at{};      ///< when it was last confirmed; unset = never
  std::string error;         ///< of the latest try; empty = it went well
  std::uint64_t changes = 0;
  std::uint64_t confirmations = 0;  ///< tries that found the same again
  std::uint64_t failures = 0;
};

class Source;

class Discovery {
 public:
  class Sink {
   public:
    /// What an upstream finds has changed: ask `complete` again.
    virtual void found(const std::string& upstream) = 0;
    /// For the log, once per change of it.
    virtual void discovery_failed(const std::string& upstream, const std::string& why) = 0;
    virtual void discovery_recovered(const std::string& upstream) = 0;

   protected:
    ~Sink() = default;
  };

  Discovery(boost::asio::io_context& io, Sink& sink);
  ~Discovery();
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;

  /// `written` with the backends that its upstreams have found. A file is read at once where it is new.
  [[nodiscard]] config::Config complete(const config::Config& written) const;
  /// Goes on with the sources that are the same in `written`, begins new ones, ends the others.
  void follow(const config::Config& written);
  /// Null for an upstream without `discover`.
  [[nodiscard]] std::optional<Report> report(const std::string& upstream) const;

 private:
  boost::asio::io_context& io_;
  Sink& sink_;
  std::map<std::string, std::unique_ptr<Source>> sources_;  ///< by upstream
};

}  // namespace holdfast::discover
