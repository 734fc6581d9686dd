#include "server/lines.hpp"

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>

namespace holdfast::server {

namespace {

std::string json_time() {
  const auto now = std::chrono::system_clock::now();
  const auto whole = std::chrono::system_clock::to_time_t(now);
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm parts{};
  gmtime_r(&whole, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, millis);
}

std::string dump(const nlohmann::ordered_json& entry) {
  return entry.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

enum class Blank : std::uint8_t { keep, escape };

// What a peer sent must not look like another line, nor steer a terminal.
std::string visible(std::string_view value, Blank blanks) {
  std::string out;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    const bool splits = c == ' ' || c == '"' || c == '\\';
    if (byte < ' ' || byte == 0x7f || (splits && blanks == Blank::escape)) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

// A value as one word: nor like another field.
std::string word(std::string_view value) {
  return value.empty() ? "-" : visible(value, Blank::escape);
}

std::string access_text(const session::AccessRecord& r) {
  const session::Story& s = r.story;
  std::string line =
      fmt::format("access client={} listener={} route={} host={} path={} status={}", word(s.client),
                  word(s.listener), word(r.route), word(s.host), word(s.path), r.status);
  if (r.status != 101) {
    return line + fmt::format(" duration_ms={} detail={}", r.duration.count(), word(r.detail));
  }
  return line +
         fmt::format(
             " upstream={} backend={} handshake_ms={} duration_ms={} frames_to_backend={} "
             "bytes_to_backend={} "
             "frames_to_client={} bytes_to_client={} rate_pauses={} close_code={} reason={} closed_by={}",
             word(s.upstream), word(s.backend), s.handshake_ms, r.duration.count(), r.to_backend.frames,
             r.to_backend.bytes, r.to_client.frames, r.to_client.bytes, r.rate_pauses, r.close_code,
             text(r.reason), text(r.closed_by));
}

std::string access_json(const session::AccessRecord& r) {
  const session::Story& s = r.story;
  nlohmann::ordered_json entry{{"time", json_time()},    {"type", "access"},  {"client", s.client},
                               {"listener", s.listener}, {"route", r.route},  {"host", s.host},
                               {"path", s.path},         {"status", r.status}};
  entry["duration_ms"] = r.duration.count();
  if (r.status != 101) {
    entry["detail"] = r.detail;
    return dump(entry);
  }
  entry["upstream"] = s.upstream;
  entry["backend"] = s.backend;
  entry["handshake_ms"] = s.handshake_ms;
  entry["frames_to_backend"] = r.to_backend.frames;
  entry["bytes_to_backend"] = r.to_backend.bytes;
  entry["frames_to_client"] = r.to_client.frames;
  entry["bytes_to_client"] = r.to_client.bytes;
  entry["rate_pauses"] = r.rate_pauses;
  entry["close_code"] = r.close_code;
  entry["reason"] = text(r.reason);
  entry["closed_by"] = text(r.closed_by);
  return dump(entry);
}

std::string reroute_text(const session::RerouteRecord& r) {
  return fmt::format(
      "reroute session={} client={} route={} upstream={} from={} to={} cause={} result={} pause_ms={} "
      "attempts={} resent={} undelivered={} unconfirmed={} detail={}",
      word(r.session), word(r.client), word(r.route), word(r.upstream), word(r.from), word(r.to),
      text(r.cause), text(r.result), r.pause.count(), r.attempts, r.resent, r.undelivered, r.unconfirmed,
      word(r.detail));
}

std::string reroute_json(const session::RerouteRecord& r, std::string_view level) {
  return dump({{"time", json_time()},
               {"type", "reroute"},
               {"level", level},
               {"session", r.session},
               {"client", r.client},
               {"route", r.route},
               {"upstream", r.upstream},
               {"from", r.from},
               {"to", r.to},
               {"cause", text(r.cause)},
               {"result", text(r.result)},
               {"pause_ms", r.pause.count()},
               {"attempts", r.attempts},
               {"resent", r.resent},
               {"undelivered", r.undelivered},
               {"unconfirmed", r.unconfirmed},
               {"detail", r.detail}});
}

}  // namespace

std::string log_line(config::LogFormat format, config::LogLevel level, const std::string& sentence) {
  const std::string name(config::to_string(level));
  if (format == config::LogFormat::text) return name + " " + visible(sentence, Blank::keep);
  return dump({{"time", json_time()}, {"type", "log"}, {"level", name}, {"message", sentence}});
}

std::string access_line(config::LogFormat format, const session::AccessRecord& record) {
  return format == config::LogFormat::json ? access_json(record) : access_text(record);
}

config::LogLevel level_of(const session::RerouteRecord& record) noexcept {
  switch (record.result) {
    case RerouteResult::no_backend:
    case RerouteResult::refused:
    case RerouteResult::kills_backends:
      return config::LogLevel::warning;
    case RerouteResult::attached:
    case RerouteResult::gone:
    case RerouteResult::stayed:
      break;
  }
  return config::LogLevel::info;
}

std::string reroute_line(config::LogFormat format, const session::RerouteRecord& record) {
  const std::string level(config::to_string(level_of(record)));
  return format == config::LogFormat::json ? reroute_json(record, level) : level + " " + reroute_text(record);
}

}  // namespace holdfast::server
