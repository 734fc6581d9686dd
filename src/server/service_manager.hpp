#pragma once
// The service manager's two protocols: readiness notification (sd_notify(3)) and socket activation
// (sd_listen_fds(3)).

#include <optional>
#include <string>
#include <string_view>

#include "holdfast/base/error.hpp"
#include "holdfast/net/socket.hpp"

namespace holdfast::server {

/// Sends e.g. "READY=1" to NOTIFY_SOCKET; nothing where there is none.
void notify_service_manager(std::string_view state);

/// A duplicate of the passed socket with that name (LISTEN_FDNAMES), so that it can be given out again after
/// a reload.
[[nodiscard]] Result<net::Socket> passed_socket(const std::string& name);

}  // namespace holdfast::server
