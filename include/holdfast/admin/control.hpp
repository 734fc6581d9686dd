#pragma once
// What the admin API asks of the process. `server` implements it; every call comes on the control
// thread and must not block for longer than a reload does.

#include <array>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::admin {

enum class Readiness : std::uint8_t { ready, not_ready, no_such_route };

struct Ready {
  Readiness readiness = Readiness::not_ready;
  std::vector<std::string> details;  ///< sentences for the body: what is missing
};

struct ReloadOutcome {
  enum class Result : std::uint8_t { applied, refused };
  Result result = Result::refused;
  std::uint64_t generation = 0;      ///< the one in use now
  std::vector<std::string> changes;  ///< sentences; applied only
  std::vector<std::string> errors;   ///< "place: what"; refused only
  std::vector<std::string> warnings;
};

enum class BackendState : std::uint8_t { active, draining, disabled };
[[nodiscard]] std::string_view text(BackendState state) noexcept;

enum class StateOutcome : std::uint8_t { done, no_such_upstream, no_such_backend };

/// GET /sessions.
struct SessionQuery {
  static constexpr std::size_t most = 10'000;
  std::size_t limit = 100;  ///< 1..most
  std::string upstream;     ///< empty = of all
};

/// `refused`: it is there, but can't do that; `busy`: the threads did not answer in time.
enum class SessionOutcome : std::uint8_t { done, no_such_session, refused, busy };
struct SessionAnswer {
  SessionOutcome outcome = SessionOutcome::done;
  std::string why_refused;
};
enum class SessionAction : std::uint8_t { close, move };
[[nodiscard]] std::string_view text(SessionAction action) noexcept;

/// What a session's 32 hexadecimal digits mean.
using SessionKey = std::array<std::uint8_t, 16>;

struct SessionsToMove {
  std::string backend;  ///< address
  std::uint64_t sessions = 0;
};

class Control {
 public:
  virtual ~Control() = default;

  /// Prometheus text.
  [[nodiscard]] virtual std::string metrics_text() = 0;
  /// With a route: ready only if that route's upstream has an eligible backend.
  [[nodiscard]] virtual Ready ready(const std::optional<std::string>& route) = 0;
  /// The object of GET /status.
  [[nodiscard]] virtual nlohmann::json status() = 0;
  [[nodiscard]] virtual ReloadOutcome reload() = 0;
  [[nodiscard]] virtual StateOutcome set_backend_state(const std::string& upstream,
                                                       const std::string& backend, BackendState state) = 0;
  /// The object of GET /sessions; nothing if the threads did not answer in time.
  [[nodiscard]] virtual std::optional<nlohmann::json> sessions(const SessionQuery& query) = 0;
  [[nodiscard]] virtual SessionAnswer order(const SessionKey& session, SessionAction action) = 0;
  /// Starts to even out the upstream's sessions; tells how many each backend gives away. Nothing if there is
  /// no such upstream.
  [[nodiscard]] virtual std::optional<std::vector<SessionsToMove>> rebalance(const std::string& upstream) = 0;
};

}  // namespace holdfast::admin
