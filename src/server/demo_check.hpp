#pragma once
// `holdfast demo --check`: a client that goes through the demo's proxy as a user would.

#include <functional>
#include <string>

namespace holdfast::server {

struct DemoAddresses {
  std::string tls;    ///< of the wss:// listener
  std::string plain;  ///< of the ws:// listener
  std::string admin;
  std::string certificate_pem;  ///< to be trusted
};

/// Prints a line for each step; true if all came out right. `kill_backend` ends the backend of that name.
/// Blocks; call it on a thread that serves nothing.
[[nodiscard]] bool check_demo(const DemoAddresses& addresses,
                              const std::function<void(const std::string&)>& kill_backend);

}  // namespace holdfast::server
