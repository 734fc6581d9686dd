// Outlier detection: takes a backend out of the picks when real handshakes fail on it in a row,
// whatever its probes say. It is there for the mute backend, which accepts connections (so a tcp probe
// passes) and never answers: having no sessions, it would draw every new client.
//
//   counting --[consecutive_failures reached, cap allows]--> ejected
//   ejected --[eject_for over and the latest probe since passed, or nobody probes]--> trial
//   trial (one try at a time) --success--> counting from 0;  --failure--> ejected again
//
// Sans-io: time comes in as an argument. An Outlier holds rules and members only; the state lives in
// the Backends, so it survives reloads. Every function may be called in every thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/upstream/backend.hpp"

namespace holdfast::upstream {

// Whether anything probes this upstream's backends (probe type not "none").
enum class Probing : std::uint8_t { off, on };
enum class ProbeVerdict : std::uint8_t { passed, failed };

struct OutlierRules {
  std::uint32_t consecutive_failures = 5;  // 0 = never eject
  Milliseconds eject_for{30'000};
  // Of the upstream's backends, rounded down; where there are two or more, one may always be ejected,
  // unless this is 0 (= never eject).
  std::uint32_t max_ejected_percent = 50;
  Probing probing = Probing::on;
};

// What a report changed, for the log line.
enum class Change : std::uint8_t { none, ejected };

class Outlier {
 public:
  Outlier(OutlierRules rules, std::vector<std::shared_ptr<Backend>> members);

  // A dial failed on it. handshake_status neither counts nor resets: the backend does answer.
  Change failed(Backend& backend, FailureKind kind, TimePoint now) const;
  // A handshake came to its 101. Ends the trial, and the seat is an ordinary one from now on.
  void succeeded(Seat& seat) const;
  // One probe's outcome, not the rise/fall verdict.
  void probed(Backend& backend, ProbeVerdict verdict) const;
  // Control thread, about once a second: readmits whose time is over and returns them for the log.
  std::vector<std::shared_ptr<Backend>> tick(TimePoint now) const;

 private:
  [[nodiscard]] bool may_eject_one_more() const noexcept;

  OutlierRules rules_;
  std::vector<std::shared_ptr<Backend>> members_;
};

}  // namespace holdfast::upstream
