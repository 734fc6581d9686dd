// The loader's view of the real machine.

#include <fcntl.h>
#include <netdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "holdfast/config/load.hpp"

namespace holdfast::config {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) noexcept : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  int number_;
};

std::string system_text(int error) {
  return std::generic_category().message(error);
}

FileContent failed(std::string why) {
  return {{}, std::move(why)};
}

FileContent read_file(const std::string& path, std::size_t limit) {
  // O_NONBLOCK: opening a FIFO would otherwise wait for a writer, perhaps forever.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.number() < 0) return failed(system_text(errno));
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) return failed(system_text(errno));
  if (S_ISDIR(status.st_mode)) return failed("it is a directory");
  if (!S_ISREG(status.st_mode)) return failed("it is not a regular file");
  FileContent out;
  char chunk[16384];
  while (true) {
    const ssize_t got = ::read(file.number(), chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(system_text(errno));
    if (got == 0) return out;
    out.bytes.append(chunk, static_cast<std::size_t>(got));
    if (out.bytes.size() > limit) return failed("it is larger than " + std::to_string(limit) + " bytes");
  }
}

std::vector<SocketAddress> resolve(const std::string& host, std::string& error) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  // Leaves out IPv6 where the machine has none, so that dialling does not begin with a failure.
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* first = nullptr;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &first);
  if (code != 0) {
    error = code == EAI_SYSTEM ? system_text(errno) : ::gai_strerror(code);
    return {};
  }
  std::vector<SocketAddress> out;
  for (const addrinfo* entry = first; entry != nullptr; entry = entry->ai_next) {
    SocketAddress socket;
    std::memcpy(&socket.storage, entry->ai_addr, entry->ai_addrlen);
    socket.length = entry->ai_addrlen;
    out.push_back(socket);
  }
  ::freeaddrinfo(first);
  if (out.empty()) error = "no address";
  return out;
}

std::string check_source(const SocketAddress& source) {
  const Descriptor made(::socket(source.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (made.number() < 0 || ::bind(made.number(), source.get(), source.length) != 0) return system_text(errno);
  return {};
}

}  // namespace

World real_world() {
  return {read_file, resolve, nullptr, check_source};
}

}  // namespace holdfast::config
