#pragma once
// Expected failures as values. An Error says what failed, on whose side, and whether another backend may be
// tried.

#include <boost/system/result.hpp>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace holdfast {

/// Whose fault or whose connection a failure belongs to.
enum class Side : std::uint8_t { client, backend, us };

/// Whether the same work may be tried on another backend.
enum class Retry : std::uint8_t { no, other_backend };

/// What kind of failure, as the operator's metrics name it (`backend_failures_total{kind}`).
enum class Failure : std::uint8_t {
  internal,   ///< ours: out of descriptors, out of addresses, a bug
  refused,    ///< connect failed
  tls,        ///< TLS handshake or verification failed
  timeout,    ///< a deadline passed
  eof,        ///< the peer closed or reset before the work was done
  garbage,    ///< the peer's bytes break the protocol
  cancelled,  ///< we gave up on purpose (stop, client gone)
};

[[nodiscard]] constexpr const char* text(Failure failure) noexcept {
  switch (failure) {
    case Failure::internal:
      return "internal";
    case Failure::refused:
      return "connect";
    case Failure::tls:
      return "tls";
    case Failure::timeout:
      return "timeout";
    case Failure::eof:
      return "eof";
    case Failure::garbage:
      return "garbage";
    case Failure::cancelled:
      return "cancelled";
  }
  return "internal";
}

struct Error {
  Failure failure = Failure::internal;
  Side side = Side::us;
  Retry retry = Retry::no;
  std::string what;  ///< one sentence for the log: what failed and why
};

/// boost::system::result asks for this when value() is called on an error; we only do so at start-up.
[[noreturn]] inline void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw std::runtime_error(error.what);
}

template <class T>
using Result = boost::system::result<T, Error>;

}  // namespace holdfast
