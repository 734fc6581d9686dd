// Outlier detection: takes a backend out of the picks when real handshakes and sessions fail on it, whatever
// its probes say. It is there for the mute backend, which accepts connections (so a tcp probe passes) and
// never answers: having no sessions, it would draw every new client; and for the one that lets its sessions
// die.
//
//   counting --[too many failures, cap allows]--> ejected
//   ejected --[time over and the latest probe since passed, or nobody probes]--> trial
//   ejected for the first time --[it died, or a probe failed since; then `rise` probes passed]--> trial
//   trial (one try at a time) --success--> counting from 0;  --failure--> ejected again, twice as long
//
// What counts, each run on its own:
//   failures in a row: connect, TLS, time-outs, no answer or garbage, and one for each crash that took
//     sessions along, however many; a 101 or any answer but a 5xx ends the run;
//   5xx in a row: ended by the same;
//   early deaths in a row: crashes that took sessions along which had lived less than `early_death`; ended by
//     a session that lives longer, or is closed by its client, or by the backend with 1000 or 1001;
//   success rate: over a window. Good: a session of that kind, an answer that is no 5xx. Bad: every failed
//     try, every early death, and one for each crash that took older sessions along.
// A session that ends with a Close of either side, of whatever code, is never a failure.
//
// Pump threads report losses by counting (Backend::lost_leg, kept_leg); `collect` judges what was counted,
// so that a crash is one event.
//
// Sans-io: time comes in as an argument. An Outlier holds rules and members only; the state lives in
// the Backends, so it survives reloads. Every function may be called in every thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/upstream/backend.hpp"

namespace holdfast::upstream {

// Whether anything probes this upstream's backends (probe type not "none").
enum class Probing : std::uint8_t { off, on };
enum class ProbeVerdict : std::uint8_t { passed, failed };
enum class LostSessions : std::uint8_t { ignored, count };

struct OutlierRules {
  std::uint32_t consecutive_failures = 5;  // 0 = never eject for them, nor for early deaths
  Milliseconds eject_for{30'000};
  // Of the upstream's backends, rounded down; where there are two or more, one may always be ejected,
  // unless this is 0 (= never eject).
  std::uint32_t max_ejected_percent = 50;
  Probing probing = Probing::on;
  std::uint32_t rise = 2;             // probes to pass in a row for an early return
  Milliseconds eject_max{0};          // doubled up to this; below eject_for: never doubled
  std::uint32_t consecutive_5xx = 0;  // 0 = never
  LostSessions lost_sessions = LostSessions::count;
  std::uint32_t success_percent = 0;    // below it: ejected; 0 = never
  std::uint32_t success_minimum = 100;  // outcomes within the window
  Milliseconds success_window{30'000};
  // Where a smaller share of the active backends is eligible, all active ones are picked from; 0 = never.
  std::uint32_t panic_percent = 0;
};

// What a report changed, for the log line.
enum class Change : std::uint8_t { none, ejected };

class Outlier {
 public:
  // What came of a handshake that was answered.
  enum class Answer : std::uint8_t { session, other };

  Outlier(OutlierRules rules, std::vector<std::shared_ptr<Backend>> members);

  [[nodiscard]] const OutlierRules& rules() const noexcept { return rules_; }

  // A dial failed on it. handshake_status (a 5xx) has a run of its own: the backend does answer.
  Change failed(Backend& backend, FailureKind kind, TimePoint now) const;
  // A handshake came to its 101, or to another answer that is no 5xx. Ends the trial, and the seat is an
  // ordinary one from now on.
  void succeeded(Seat& seat, Answer answer = Answer::session, TimePoint now = Clock::now()) const;
  // One probe's outcome, not the rise/fall verdict.
  void probed(Backend& backend, ProbeVerdict verdict) const;

  struct Verdict {
    std::shared_ptr<Backend> backend;
    std::string why;
  };
  // Control thread, about twice a second: judges the sessions that were lost since, and returns whom that
  // has ejected.
  std::vector<Verdict> collect(TimePoint now) const;
  // As above: readmits whose time is over and returns them for the log.
  std::vector<std::shared_ptr<Backend>> tick(TimePoint now) const;

 private:
  using Offences = Backend::Offences;
  struct Losses {
    std::uint64_t lost = 0;
    std::uint64_t early = 0;
    std::uint64_t kept = 0;
  };
  [[nodiscard]] bool may_eject_one_more() const noexcept;
  // With the mutex of `offences`, which are the backend's.
  void forget_old(Offences& offences, TimePoint now) const noexcept;
  [[nodiscard]] static Losses new_losses(Backend& backend, Offences& offences) noexcept;
  void note_losses(Offences& offences, const Losses& losses, TimePoint now) const noexcept;
  enum class Offence : std::uint8_t { gave_no_answer, answered_5xx, died };
  Change judge(Backend& backend, Offences& offences, Offence latest, TimePoint now) const;
  Change eject(Backend& backend, Offences& offences, EjectReason reason, Offence latest, TimePoint now) const;
  [[nodiscard]] bool may_return(const Backend& backend, const Offences& offences,
                                TimePoint now) const noexcept;

  OutlierRules rules_;
  std::vector<std::shared_ptr<Backend>> members_;
};

}  // namespace holdfast::upstream
