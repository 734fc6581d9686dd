#pragma once
// The second phase: what the file leaves to us. Default names, absolute file names, contents of
// files, addresses of host names.

#include <filesystem>
#include <map>
#include <string>

#include "config/problems.hpp"
#include "holdfast/config/config.hpp"

namespace holdfast::config {

/// Without white space at both ends.
[[nodiscard]] std::string trimmed(const std::string& text);

/// A unix socket's path becomes absolute; a host name is an error, because nobody may wait for its addresses.
void settle_numeric(Address& address, const std::filesystem::path& directory, const std::string& place,
                    Problems& problems);

class Settler {
 public:
  /// `directory` is absolute: the one of the configuration file.
  Settler(const World& world, std::filesystem::path directory, Problems& problems);

  void settle(Config& config);

 private:
  // Results by host name: a name that does not resolve can take seconds, and many backends share one.
  struct Resolved {
    std::vector<SocketAddress> sockets;
    std::string error;
  };

  void settle_listener(Listener& listener, const std::string& place);
  void settle_upstream(Upstream& upstream, const std::string& place);
  void settle_feed(Feed& feed, const std::string& place);
  void settle_admin(Admin& admin);
  void settle_auth(Auth& auth, const std::string& place);
  void settle_jwt(Jwt& jwt, const std::string& place);
  void settle_forward_auth(ForwardAuth& service, const std::string& place);
  [[nodiscard]] std::string read_whole(std::string& path, std::size_t most_bytes, const std::string& place);
  // Makes `file` absolute and puts what it holds into `secret`; nothing to do without a file.
  void read_secret(std::string& file, std::string& secret, const std::string& place);
  void read_certificate(Certificate& certificate, const std::string& place);
  void read_pem(PemFile& file, const std::string& place, const char* expected);
  // Fills `sockets`; what is wrong, or "".
  [[nodiscard]] std::string resolve(Address& address);
  void make_absolute(std::string& path) const;

  const World& world_;
  std::filesystem::path directory_;
  Problems& problems_;
  std::map<std::string, Resolved> resolved_;
};

}  // namespace holdfast::config
