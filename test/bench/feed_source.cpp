#include "feed_source.hpp"

namespace holdfast::bench {
namespace {

constexpr char mask[4] = {0x21, 0x4a, 0x6c, 0x17};

}  // namespace

std::uint16_t FeedSource::listen() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, generic, size) != 0 || ::listen(listener_, 64) != 0 ||
      getsockname(listener_, generic, &size) != 0)
    return 0;
  epoll_event event{EPOLLIN, {this}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
  return ntohs(address.sin_port);
}

bool FeedSource::publish_into(std::uint16_t port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 &&
      errno != EINPROGRESS) {
    ::close(descriptor);
    return false;
  }
  Leg& leg = add(descriptor);
  if (kind_ == SourceKind::publish_http) {
    leg.open = true;
  } else {
    leg.unsent =
        "GET /pub HTTP/1.1\r\nHost: bench.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  }
  return true;
}

void FeedSource::turn(void* tag) {
  if (tag == this) return accept_all();
  Leg& leg = *static_cast<Leg*>(tag);
  if (!flush(leg) || !read_all(leg)) drop(leg);
}

void FeedSource::send(std::string_view text) {
  frame_.clear();
  if (kind_ == SourceKind::publish_http) {
    frame_ += "POST /pub HTTP/1.1\r\nHost: bench.test\r\nContent-Type: text/plain\r\nContent-Length: ";
    frame_ += std::to_string(text.size()) + "\r\n\r\n";
    frame_ += text;
  } else if (kind_ == SourceKind::publish_websocket) {
    append_header(frame_, opcode_text, text.size(), mask);
    for (std::size_t n = 0; n < text.size(); ++n) frame_ += static_cast<char>(text[n] ^ mask[n & 3]);
  } else {
    append_header(frame_, opcode_text, text.size(), nullptr);
    frame_ += text;
  }
  for (std::size_t n = legs_.size(); n > 0; --n) {
    Leg& leg = *legs_[n - 1];
    if (!leg.open) continue;
    leg.unsent += frame_;
    if (!flush(leg)) drop(leg);
  }
}

FeedSource::Leg& FeedSource::add(int descriptor) {
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  Leg& leg = *legs_.emplace_back(std::make_unique<Leg>());
  leg.descriptor = descriptor;
  epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {&leg}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
  ++connections_;
  return leg;
}

void FeedSource::accept_all() {
  for (;;) {
    const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) return;
    add(descriptor);
  }
}

// A server's frames (pongs, receipts of what was published) are read and forgotten.
bool FeedSource::read_all(Leg& leg) {
  for (;;) {
    const ssize_t size = recv(leg.descriptor, scratch_.data(), scratch_.size(), 0);
    if (size < 0) return errno == EAGAIN || errno == ENOTCONN;
    if (size == 0) return false;
    if (leg.open) continue;
    leg.head.append(scratch_.data(), static_cast<std::size_t>(size));
    if (leg.head.find("\r\n\r\n") != std::string::npos && !take_head(leg)) return false;
  }
}

bool FeedSource::take_head(Leg& leg) {
  if (kind_ == SourceKind::serve) {
    const std::string key = key_of(leg.head);
    if (key.empty()) return false;
    leg.unsent = switching_protocols(key);
  } else if (!leg.head.starts_with("HTTP/1.1 101")) {
    return false;
  }
  leg.open = true;
  std::string().swap(leg.head);
  return flush(leg);
}

bool FeedSource::flush(Leg& leg) {
  while (leg.sent < leg.unsent.size()) {
    const ssize_t sent =
        ::send(leg.descriptor, leg.unsent.data() + leg.sent, leg.unsent.size() - leg.sent, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == ENOTCONN;
    leg.sent += static_cast<std::size_t>(sent);
  }
  leg.unsent.clear();
  leg.sent = 0;
  return true;
}

void FeedSource::drop(Leg& leg) {
  ::close(leg.descriptor);
  std::erase_if(legs_, [&leg](const auto& each) { return each.get() == &leg; });
}

}  // namespace holdfast::bench
