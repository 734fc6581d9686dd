#pragma once
// Clients of the demo's market feed: they follow a symbol each and throw away what comes.
//
// Thread: one of its own. Lifetime: until its end, which closes them all.

#include <cstddef>
#include <memory>
#include <string>

namespace holdfast::server {

class Crowd {
 public:
  /// `address`: "host:port" of a plain listener. Who can't connect is left out.
  Crowd(const std::string& address, std::size_t count);
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;
  ~Crowd();

 private:
  class Hall;
  std::unique_ptr<Hall> hall_;
};

}  // namespace holdfast::server
