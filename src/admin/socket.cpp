#include "admin/socket.hpp"

#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstring>
#include <string>

namespace holdfast::admin {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

Error failed(const config::Address& bind, const std::string& why) {
  return {Failure::internal, Side::us, Retry::no, "can't listen on " + bind.text + ": " + why};
}

// A socket file that refuses connections has no process behind it.
void remove_stale(asio::io_context& io, const config::Address& bind) {
  struct stat status {};
  if (::lstat(bind.path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  const Protocol::endpoint endpoint = to_endpoint(bind.sockets.front());
  asio::basic_stream_socket<Protocol> trial(io, endpoint.protocol());
  error_code error;
  trial.connect(endpoint, error);
  if (error == asio::error::connection_refused) ::unlink(bind.path.c_str());
}

}  // namespace

Protocol::endpoint to_endpoint(const config::SocketAddress& address) {
  return {static_cast<const void*>(address.get()), address.length};
}

Result<Acceptor> open_acceptor(asio::io_context& io, const config::Address& bind) {
  if (bind.sockets.empty()) return failed(bind, "it has no socket address");
  const bool is_unix = bind.kind == config::AddressKind::unix_path;
  if (is_unix) remove_stale(io, bind);
  const Protocol::endpoint endpoint = to_endpoint(bind.sockets.front());
  Acceptor acceptor(io);
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error && !is_unix) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error && is_unix && ::chmod(bind.path.c_str(), S_IRUSR | S_IWUSR) != 0) {
    error = error_code(errno, boost::system::system_category());
  }
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return failed(bind, error.message());
  return acceptor;
}

void close_acceptor(Acceptor& acceptor) {
  error_code error;
  const Protocol::endpoint endpoint = acceptor.local_endpoint(error);
  if (!error && endpoint.data()->sa_family == AF_UNIX) {
    sockaddr_un address{};
    std::memcpy(&address, endpoint.data(), std::min(endpoint.size(), sizeof address));
    address.sun_path[sizeof address.sun_path - 1] = '\0';
    if (address.sun_path[0] != '\0') ::unlink(address.sun_path);
  }
  acceptor.close(error);
}

std::uint16_t port_of(const Acceptor& acceptor) noexcept {
  error_code error;
  const Protocol::endpoint endpoint = acceptor.local_endpoint(error);
  const int family = error ? AF_UNSPEC : endpoint.data()->sa_family;
  if (family != AF_INET && family != AF_INET6) return 0;
  // sin_port and sin6_port are at the same place.
  sockaddr_in address{};
  std::memcpy(&address, endpoint.data(), sizeof address);
  return ntohs(address.sin_port);
}

asio::awaitable<void> linger(Stream& stream) {
  constexpr auto as_values = asio::as_tuple(asio::use_awaitable);
  constexpr std::chrono::seconds bound{1};
  error_code ignored;
  stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
  stream.expires_after(bound);
  std::array<char, 4096> scrap{};
  const auto buffer = asio::buffer(scrap);
  while (true) {
    const auto [error, got] = co_await stream.async_read_some(buffer, as_values);
    if (error) break;
  }
}

}  // namespace holdfast::admin
