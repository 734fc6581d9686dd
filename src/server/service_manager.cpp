#include "server/service_manager.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace holdfast::server {

namespace {
constexpr int first_passed_descriptor = 3;  // SD_LISTEN_FDS_START

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view{} : std::string_view{value};
}

long number(std::string_view text) {
  long value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}
}  // namespace

void notify_service_manager(std::string_view state) {
  const std::string_view path = environment("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path.empty() || path.size() >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::ranges::copy(path, address.sun_path);
  if (path.front() == '@') address.sun_path[0] = '\0';  // abstract
  const net::Socket socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  // Nobody to tell is no failure of ours.
  [[maybe_unused]] const auto sent = sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL,
                                            reinterpret_cast<const sockaddr*>(&address), length);
}

Result<net::Socket> passed_socket(const std::string& name) {
  const auto fail = [&](const std::string& why) {
    return Error{Failure::internal, Side::us, Retry::no, "fd:" + name + ": " + why};
  };
  if (number(environment("LISTEN_PID")) != getpid())
    return fail("no sockets were passed to this process (LISTEN_PID)");
  const long count = number(environment("LISTEN_FDS"));
  std::string_view names = environment("LISTEN_FDNAMES");
  for (int n = 0; n < count; ++n) {
    const auto colon = std::min(names.find(':'), names.size());
    if (names.substr(0, colon) == name) {
      net::Socket copy(fcntl(first_passed_descriptor + n, F_DUPFD_CLOEXEC, first_passed_descriptor + count));
      if (!copy) return fail(std::strerror(errno));
      int listening = 0;
      socklen_t length = sizeof listening;
      if (getsockopt(copy.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0 || listening == 0) {
        return fail("is not a listening socket");
      }
      fcntl(copy.get(), F_SETFL, fcntl(copy.get(), F_GETFL) | O_NONBLOCK);
      return copy;
    }
    names.remove_prefix(std::min(colon + 1, names.size()));
  }
  return fail("no socket of that name was passed (LISTEN_FDNAMES)");
}

}  // namespace holdfast::server
