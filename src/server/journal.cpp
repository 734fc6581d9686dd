#include "server/journal.hpp"

#include <poll.h>
#include <pthread.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "server/lines.hpp"

namespace holdfast::server {

namespace {

// Milliseconds and UTC, as a machine reads them.
constexpr std::chrono::milliseconds gathering{5};
constexpr const char* text_pattern = "%Y-%m-%dT%H:%M:%S.%eZ %v";

spdlog::level::level_enum spdlog_level(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::debug:
      return spdlog::level::debug;
    case config::LogLevel::info:
      return spdlog::level::info;
    case config::LogLevel::warning:
      return spdlog::level::warn;
    case config::LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::shared_ptr<spdlog::logger> make_logger(spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("", std::move(sink));
  logger->set_level(spdlog::level::trace);
  return logger;
}

void set_patterns(spdlog::logger& logger, config::LogFormat format) {
  // A JSON line brings its own time.
  logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(
      format == config::LogFormat::json ? "%v" : text_pattern, spdlog::pattern_time_type::utc));
}

}  // namespace

struct Journal::Line final : InboxItem {
  Line(config::LogLevel at, std::string what) : level(at), sentence(std::move(what)) {}
  config::LogLevel level;
  std::string sentence;
};

Journal::Journal() {
  outputs_.log = make_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  set_patterns(*outputs_.log, config::LogFormat::text);
  thread_ = std::thread([this] {
    run();
    ended_.set_value();
  });
}

Journal::~Journal() {
  stopping_.store(true, std::memory_order_release);
  inbox_.ring();
  thread_.join();
}

bool Journal::finish(std::chrono::milliseconds longest) {
  stopping_.store(true, std::memory_order_release);
  inbox_.ring();
  return ended_.get_future().wait_for(longest) == std::future_status::ready;
}

Result<Journal::Outputs> Journal::prepare(const config::Log& settings) {
  Outputs next;
  next.level = settings.level;
  next.format = settings.format;
  auto standard_error = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  next.log = make_logger(standard_error);
  set_patterns(*next.log, settings.format);
  if (settings.access == "-") {
    next.access = next.log;
  } else if (!settings.access.empty()) {
    try {
      next.access = make_logger(std::make_shared<spdlog::sinks::basic_file_sink_mt>(settings.access));
    } catch (const spdlog::spdlog_ex& problem) {
      return Error{Failure::internal, Side::us, Retry::no, "log.access: " + std::string(problem.what())};
    }
    set_patterns(*next.access, settings.format);
  }
  return next;
}

void Journal::adopt(Outputs outputs) {
  has_access_.store(outputs.access != nullptr, std::memory_order_relaxed);
  inbox_.push(new Apply(std::move(outputs)));
}

void Journal::line(config::LogLevel level, std::string sentence) noexcept {
  hand_in(new Line(level, std::move(sentence)));
}

void Journal::record(std::unique_ptr<session::AccessRecord> record) noexcept {
  hand_in(record.release());
}

void Journal::record(std::unique_ptr<session::RerouteRecord> record) noexcept {
  hand_in(record.release());
}

void Journal::hand_in(InboxItem* item) noexcept {
  if (pending_.load(std::memory_order_relaxed) >= most_pending) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    delete item;
    return;
  }
  pending_.fetch_add(1, std::memory_order_relaxed);
  inbox_.push(item);
}

void Journal::run() {
  pthread_setname_np(pthread_self(), "log");
  for (;;) {
    // Read before the last look, so that nothing that was handed in before the stop is left.
    const bool last = stopping_.load(std::memory_order_acquire);
    InboxItem* chain = inbox_.take_all();
    const bool something = chain != nullptr;
    while (InboxItem* item = Inbox::take_next(chain)) {
      const std::unique_ptr<InboxItem> owned(item);
      write(*owned);
    }
    if (const auto lost = dropped_.exchange(0, std::memory_order_relaxed); lost != 0) {
      write_line(config::LogLevel::warning,
                 std::to_string(lost) + " log entries were dropped: the log is too slow");
    }
    if (something) {
      outputs_.log->flush();
      if (outputs_.access != nullptr) outputs_.access->flush();
    }
    if (last) return;
    // So that under load one wake-up serves many: each costs a pump thread a system call.
    if (something) std::this_thread::sleep_for(gathering);
    // The look above may have taken the ring of a stop that it did not know of yet.
    if (stopping_.load(std::memory_order_acquire)) continue;
    pollfd wait{inbox_.wake_descriptor(), POLLIN, 0};
    poll(&wait, 1, -1);
  }
}

void Journal::write(InboxItem& item) {
  if (auto* change = dynamic_cast<Apply*>(&item)) {
    outputs_ = std::move(change->outputs);
    return;
  }
  pending_.fetch_sub(1, std::memory_order_relaxed);
  if (const auto* line = dynamic_cast<const Line*>(&item)) {
    write_line(line->level, line->sentence);
  } else if (const auto* access = dynamic_cast<const session::AccessRecord*>(&item)) {
    write_access(*access);
  } else if (const auto* reroute = dynamic_cast<const session::RerouteRecord*>(&item)) {
    write_reroute(*reroute);
  }
}

void Journal::write_line(config::LogLevel level, const std::string& sentence) {
  if (level < outputs_.level) return;
  outputs_.log->log(spdlog_level(level), "{}", log_line(outputs_.format, level, sentence));
}

void Journal::write_access(const session::AccessRecord& record) {
  if (outputs_.access == nullptr) return;
  outputs_.access->info("{}", access_line(outputs_.format, record));
}

void Journal::write_reroute(const session::RerouteRecord& record) {
  const config::LogLevel level = level_of(record);
  if (level < outputs_.level) return;
  outputs_.log->log(spdlog_level(level), "{}", reroute_line(outputs_.format, record));
}

}  // namespace holdfast::server
