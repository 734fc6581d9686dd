#include "holdfast/upstream/sticky.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <utility>

#include "holdfast/upstream/backend.hpp"

namespace holdfast::upstream {

namespace {

constexpr std::size_t id_bytes = 8;
constexpr std::size_t expiry_bytes = 4;
constexpr std::size_t session_bytes = 8;
constexpr std::size_t mac_bytes = 16;
constexpr std::size_t signed_bytes = id_bytes + expiry_bytes + session_bytes;
constexpr std::size_t value_bytes = signed_bytes + mac_bytes;
static_assert(value_bytes % 3 == 0, "no padding");
constexpr std::size_t value_chars = value_bytes / 3 * 4;

constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode(std::string_view bytes) {
  std::string text;
  for (std::size_t n = 0; n < bytes.size(); n += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) group = group << 8U | static_cast<unsigned char>(bytes[n + k]);
    for (int shift = 18; shift >= 0; shift -= 6) text += digits[group >> static_cast<unsigned>(shift) & 63U];
  }
  return text;
}

std::optional<std::string> decode(std::string_view text) {
  if (text.size() != value_chars) return std::nullopt;
  std::string bytes;
  for (std::size_t n = 0; n < text.size(); n += 4) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const std::size_t digit = digits.find(text[n + k]);
      if (digit == std::string_view::npos) return std::nullopt;
      group = group << 6U | static_cast<std::uint32_t>(digit);
    }
    for (int shift = 16; shift >= 0; shift -= 8)
      bytes += static_cast<char>(group >> static_cast<unsigned>(shift) & 255U);
  }
  return bytes;
}

std::string big_endian(std::uint64_t number, std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t n = size; n-- > 0; number >>= 8U) bytes[n] = static_cast<char>(number & 255U);
  return bytes;
}

std::uint64_t from_big_endian(std::string_view bytes) {
  std::uint64_t number = 0;
  for (const char byte : bytes) number = number << 8U | static_cast<unsigned char>(byte);
  return number;
}

std::int64_t seconds_of(Sticky::WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

std::string_view text_of(std::span<const unsigned char> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string joined(std::string_view first, std::string_view second) {
  return std::string(first) + '\0' + std::string(second);
}

}  // namespace

std::string_view text(StickyResult result) noexcept {
  constexpr std::array<std::string_view, sticky_result_count> words{"honoured", "yielded", "invalid"};
  return words[static_cast<std::size_t>(result)];
}

Sticky::Sticky(std::string key, std::string upstream, std::span<const std::shared_ptr<Backend>> members)
    : key_(std::move(key)), upstream_(std::move(upstream)) {
  for (std::size_t n = 0; n < members.size(); ++n) {
    const std::string& address = members[n]->address();
    ids_.emplace_back(text_of(sign("backend", joined(upstream_, address))).substr(0, id_bytes));
    by_id_.emplace(ids_.back(), n);
    by_address_.emplace(address, n);
  }
}

Sticky::Mac Sticky::sign(std::string_view what, std::string_view text) const {
  const std::string message = joined(what, text);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(message.data()), message.size(), digest.data(), &size);
  Mac mac;
  std::copy_n(digest.begin(), mac.size(), mac.begin());
  return mac;
}

std::optional<Sticky::Ticket> Sticky::read(std::string_view value, WallTime now) const {
  const auto bytes = decode(value);
  if (!bytes) return std::nullopt;
  const std::string_view told = std::string_view(*bytes).substr(0, signed_bytes);
  const Mac mac = sign("cookie", joined(upstream_, told));
  if (CRYPTO_memcmp(mac.data(), bytes->data() + signed_bytes, mac_bytes) != 0) return std::nullopt;
  const auto expiry = static_cast<std::int64_t>(from_big_endian(told.substr(id_bytes, expiry_bytes)));
  if (expiry != 0 && expiry <= seconds_of(now)) return std::nullopt;
  Ticket ticket;
  const auto found = by_id_.find(std::string(told.substr(0, id_bytes)));
  if (found != by_id_.end()) ticket.member = found->second;
  ticket.session = from_big_endian(told.substr(id_bytes + expiry_bytes));
  return ticket;
}

std::string Sticky::issue(std::size_t member, StickySession session, WallTime now,
                          std::chrono::seconds ttl) const {
  const std::int64_t expiry = ttl.count() == 0 ? 0 : seconds_of(now) + ttl.count();
  const std::string told = ids_[member] + big_endian(static_cast<std::uint64_t>(expiry), expiry_bytes) +
                           big_endian(session, session_bytes);
  return encode(told + std::string(text_of(sign("cookie", joined(upstream_, told)))));
}

StickySession Sticky::session_of(std::span<const std::uint8_t, 16> id) const {
  return from_big_endian(text_of(sign("session", text_of(id))).substr(0, session_bytes));
}

std::optional<std::size_t> Sticky::member_of(std::string_view address) const {
  const auto found = by_address_.find(std::string(address));
  return found == by_address_.end() ? std::nullopt : std::optional(found->second);
}

void Moved::note(StickySession session, std::string address) {
  const std::lock_guard lock(mutex_);
  if (addresses_.insert_or_assign(session, std::move(address)).second) order_.push_back(session);
  if (order_.size() <= most) return;
  addresses_.erase(order_.front());
  order_.pop_front();
}

std::optional<std::string> Moved::find(StickySession session) const {
  const std::lock_guard lock(mutex_);
  const auto found = addresses_.find(session);
  return found == addresses_.end() ? std::nullopt : std::optional(found->second);
}

std::size_t Moved::size() const {
  const std::lock_guard lock(mutex_);
  return addresses_.size();
}

}  // namespace holdfast::upstream
