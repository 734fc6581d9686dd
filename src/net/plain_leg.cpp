#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "holdfast/net/socket.hpp"
#include "net/plain_leg.hpp"
#include "net/tcp.hpp"

namespace holdfast::net {

namespace {

// Of one gathered write; what is beyond is for the next one.
constexpr std::size_t most_pieces = 16;

class PlainLeg final : public Leg {
 public:
  explicit PlainLeg(Socket socket) noexcept : socket_(std::move(socket)) {}
  /// It goes on as the other did, which has nothing any more.
  explicit PlainLeg(PlainLeg* other) noexcept
      : socket_(std::move(other->socket_)),
        write_flags_(other->write_flags_),
        read_limit_(other->read_limit_) {}

  IoResult read(std::span<std::byte> into) noexcept override {
    return plain::read(socket_.get(), into.first(std::min<std::size_t>(into.size(), read_limit_)));
  }
  IoResult write(std::span<const std::byte> bytes) noexcept override {
    return plain::write(socket_.get(), bytes, write_flags_);
  }

  IoResult write_gathered(Pieces pieces) noexcept override {
    if (pieces.size() == 1) return write(pieces[0]);
    std::array<iovec, most_pieces> vectors;
    const std::size_t count = std::min(pieces.size(), vectors.size());
    std::size_t offered = 0;
    for (std::size_t n = 0; n < count; ++n) {
      vectors[n] = {const_cast<std::byte*>(pieces[n].data()), pieces[n].size()};
      offered += pieces[n].size();
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    const ssize_t sent = sendmsg(socket_.get(), &message, write_flags_);
    if (sent < 0) return {0, tcp::would_block(errno) ? IoState::drained : IoState::failed};
    const auto taken = static_cast<std::size_t>(sent);
    return {taken, taken < offered ? IoState::drained : IoState::more};
  }

  void limit_reads(std::size_t bytes) noexcept override {
    read_limit_ = static_cast<std::uint16_t>(std::min(bytes, plain::read_bytes));
  }
  void cork() noexcept override { write_flags_ = MSG_NOSIGNAL | MSG_MORE; }
  void uncork() noexcept override {
    write_flags_ = MSG_NOSIGNAL;
    tcp::push(socket_.get());
  }
  void finish_writing() noexcept override { shutdown(socket_.get(), SHUT_WR); }
  void finish_before_end() noexcept override {}
  IoState discard() noexcept override { return tcp::discard(socket_.get()); }
  [[nodiscard]] bool is_bare() const noexcept override { return true; }
  void limit_unsent() noexcept override { tcp::limit_unsent(socket_.get()); }
  Liveness liveness() const noexcept override { return tcp::liveness(socket_.get()); }
  void abort() noexcept override { tcp::abort(socket_.get()); }
  void use_scratch(CipherScratch&) noexcept override {}
  [[nodiscard]] Socket take_socket() noexcept { return std::move(socket_); }

 private:
  int descriptor() const noexcept override { return socket_.get(); }
  [[no_unique_address]] Socket socket_;
  std::uint16_t write_flags_ = MSG_NOSIGNAL;
  std::uint16_t read_limit_ = plain::read_bytes;
};
static_assert(sizeof(PlainLeg) <= 24, "glibc's smallest block: every subscriber has one");

}  // namespace

Socket take_socket(std::unique_ptr<Leg> plain) noexcept {
  return static_cast<PlainLeg&>(*plain).take_socket();
}

Socket take_socket_if_plain(Leg& leg) noexcept {
  auto* const plain = dynamic_cast<PlainLeg*>(&leg);
  return plain == nullptr ? Socket() : plain->take_socket();
}

IoResult plain::read(int descriptor, std::span<std::byte> into) noexcept {
  const ssize_t got = recv(descriptor, into.data(), into.size(), 0);
  if (got > 0) {
    const auto bytes = static_cast<std::size_t>(got);
    // epoll(7): a short read of a stream says that it is drained; no second call to see EAGAIN.
    return {bytes, bytes < into.size() ? IoState::drained : IoState::more};
  }
  if (got == 0) return {0, IoState::end};
  return {0, tcp::would_block(errno) ? IoState::drained : IoState::failed};
}

IoResult plain::write(int descriptor, std::span<const std::byte> bytes, int flags) noexcept {
  const ssize_t sent = send(descriptor, bytes.data(), bytes.size(), flags);
  if (sent < 0) return {0, tcp::would_block(errno) ? IoState::drained : IoState::failed};
  const auto taken = static_cast<std::size_t>(sent);
  return {taken, taken < bytes.size() ? IoState::drained : IoState::more};
}

std::unique_ptr<Leg> make_plain_leg(Socket socket) {
  return std::make_unique<PlainLeg>(std::move(socket));
}

std::unique_ptr<Leg> rehouse(std::unique_ptr<Leg> leg) {
  auto* const plain = dynamic_cast<PlainLeg*>(leg.get());
  if (plain == nullptr) return leg;
  return std::make_unique<PlainLeg>(plain);
}

}  // namespace holdfast::net
