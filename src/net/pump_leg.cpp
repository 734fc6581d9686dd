#include "holdfast/net/pump_leg.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "holdfast/net/socket.hpp"
#include "net/plain_leg.hpp"
#include "net/tcp.hpp"

namespace holdfast::net {

PumpLeg::PumpLeg(std::unique_ptr<Leg> leg) noexcept {
  Socket::Parts parts;
  if (leg != nullptr) parts = take_socket_if_plain(*leg).take_apart();
  if (parts.descriptor < 0) {
    place_ = leg.release();
    return;
  }
  place_ = parts.budget;
  descriptor_ = parts.descriptor;
  write_flags_ = MSG_NOSIGNAL;
  read_limit_ = plain::read_bytes;
}

void PumpLeg::reset() noexcept {
  if (is_plain()) {
    const Socket closed(Socket::Parts{static_cast<DescriptorBudget*>(place_), descriptor_});
  } else if (place_ != nullptr) {
    delete &leg();
  }
  place_ = nullptr;
  descriptor_ = no_descriptor;
}

IoResult PumpLeg::read(std::span<std::byte> into) noexcept {
  if (!is_plain()) return leg().read(into);
  return plain::read(descriptor_, into.first(std::min<std::size_t>(into.size(), read_limit_)));
}

IoResult PumpLeg::write(std::span<const std::byte> bytes) noexcept {
  return is_plain() ? plain::write(descriptor_, bytes, write_flags_) : leg().write(bytes);
}

void PumpLeg::cork() noexcept {
  if (!is_plain()) return leg().cork();
  write_flags_ = MSG_NOSIGNAL | MSG_MORE;
}

void PumpLeg::uncork() noexcept {
  if (!is_plain()) return leg().uncork();
  write_flags_ = MSG_NOSIGNAL;
  tcp::push(descriptor_);
}

void PumpLeg::finish_writing() noexcept {
  if (!is_plain()) return leg().finish_writing();
  shutdown(descriptor_, SHUT_WR);
}

void PumpLeg::finish_before_end() noexcept {
  if (!is_plain()) leg().finish_before_end();
}

IoState PumpLeg::discard() noexcept {
  return is_plain() ? tcp::discard(descriptor_) : leg().discard();
}

Liveness PumpLeg::liveness() const noexcept {
  return is_plain() ? tcp::liveness(descriptor_) : leg().liveness();
}

void PumpLeg::abort() noexcept {
  if (!is_plain()) return leg().abort();
  tcp::abort(descriptor_);
}

void PumpLeg::limit_reads(std::size_t bytes) noexcept {
  if (!is_plain()) return leg().limit_reads(bytes);
  read_limit_ = static_cast<std::uint16_t>(std::min(bytes, plain::read_bytes));
}

void PumpLeg::use_scratch(CipherScratch& scratch) noexcept {
  if (!is_plain()) leg().use_scratch(scratch);
}

int PumpLeg::descriptor() const noexcept {
  return is_plain() ? descriptor_ : leg().descriptor();
}

}  // namespace holdfast::net
