#include "server/journal.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "holdfast/net/socket.hpp"
#include "unit/server/capture.hpp"

namespace holdfast::server::test {
namespace {

bool use(Journal& journal, const config::Log& settings) {
  auto outputs = Journal::prepare(settings);
  if (!outputs) return false;
  journal.adopt(std::move(outputs.value()));
  return true;
}

using session::AccessRecord;

std::unique_ptr<AccessRecord> session_record() {
  auto record = std::make_unique<AccessRecord>();
  record->story = {"192.0.2.1:4711", "public", "chat.example.com", "/ws/room", "chat", "127.0.0.1:9001", 12};
  record->route = "room";
  record->duration = std::chrono::milliseconds(3456);
  record->to_backend = {3, 300};
  record->to_client = {4, 4000};
  record->rate_pauses = 2;
  record->close_code = 1000;
  record->reason = Reason::client_closed;
  record->closed_by = session::ClosedBy::client;
  return record;
}

// Everything a peer can put into a request that a terminal, a line reader or a parser would trip over.
std::unique_ptr<AccessRecord> hostile_record() {
  auto record = session_record();
  record->story.path = std::string("/a b\n\"c\\d\x01\x1b\x7f\xff\xc3\xa9 route=fake") + '\0' + "end";
  record->status = 400;
  record->detail = "no\r\nsuch thing";
  record->route.clear();
  return record;
}

std::unique_ptr<session::RerouteRecord> reroute_record(RerouteResult result) {
  auto record = std::make_unique<session::RerouteRecord>();
  record->session = "00112233445566778899aabbccddeeff";
  record->client = "192.0.2.1:4711";
  record->route = "room";
  record->upstream = "chat";
  record->from = "127.0.0.1:9001";
  if (result == RerouteResult::attached) record->to = "127.0.0.1:9002";
  record->cause = Cause::lost;
  record->result = result;
  record->pause = std::chrono::milliseconds(12);
  record->attempts = 2;
  record->resent = 3;
  record->undelivered = 4;
  record->unconfirmed = 5;
  if (result != RerouteResult::attached) record->detail = "no\nway";
  return record;
}

// What a journal with these settings writes to stderr.
std::vector<std::string> written(config::LogLevel level, config::LogFormat format,
                                 const std::function<void(Journal&)>& deeds) {
  const Directory directory;
  const std::string file = directory.file("log");
  {
    const net::Socket out(open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    const StderrTo captured(out.get());
    Journal journal;
    REQUIRE(use(journal, {level, format, ""}));
    deeds(journal);
  }
  return lines_of(file);
}

std::string after_time(const std::string& line) {
  return line.substr(line.find(' ') + 1);
}

TEST_CASE("a session is one line of words, fields in a fixed order") {
  const Directory directory;
  const std::string file = directory.file("access.log");
  {
    Journal journal;
    REQUIRE(use(journal, {config::LogLevel::info, config::LogFormat::text, file}));
    journal.record(session_record());
  }
  const auto lines = lines_of(file);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].substr(0, 2) == "20");  // the year
  CHECK(lines[0][23] == 'Z');
  CHECK(after_time(lines[0]) ==
        "access client=192.0.2.1:4711 listener=public route=room host=chat.example.com path=/ws/room "
        "status=101 "
        "upstream=chat backend=127.0.0.1:9001 handshake_ms=12 duration_ms=3456 frames_to_backend=3 "
        "bytes_to_backend=300 frames_to_client=4 bytes_to_client=4000 rate_pauses=2 close_code=1000 "
        "reason=client_closed "
        "closed_by=client");
}

TEST_CASE("hostile bytes stay inside their field and their line") {
  const Directory directory;
  const std::string file = directory.file("access.log");
  {
    Journal journal;
    REQUIRE(use(journal, {config::LogLevel::info, config::LogFormat::text, file}));
    journal.record(hostile_record());
  }
  const auto lines = lines_of(file);
  REQUIRE(lines.size() == 1);
  for (const char each : lines[0]) CHECK((static_cast<unsigned char>(each) >= ' ' && each != 0x7f));
  CHECK(lines[0].find(" route=- ") != std::string::npos);
  CHECK(lines[0].find(" route=fake") == std::string::npos);
  CHECK(lines[0].find("path=/a\\x20b\\x0a\\x22c\\x5cd\\x01\\x1b\\x7f") != std::string::npos);
  CHECK(lines[0].find("detail=no\\x0d\\x0asuch\\x20thing") != std::string::npos);
}

TEST_CASE("what a sentence quotes from a peer can't end the line or steer a terminal") {
  // Only access lines were escaped; a sentence with a backend's answer in it could fake another line.
  const std::string sentence = "backend said \"HTTP/1.1 200\r\n2026 error fake\x1b[2J\x7f\" \\ d\xc3\xa9";
  const auto say = [&](Journal& journal) { journal.warn(sentence); };
  const auto lines = written(config::LogLevel::info, config::LogFormat::text, say);
  REQUIRE(lines.size() == 1);
  CHECK(after_time(lines[0]) ==
        "warning backend said \"HTTP/1.1 200\\x0d\\x0a2026 error fake\\x1b[2J\\x7f\" \\ d\xc3\xa9");
  const auto json = written(config::LogLevel::info, config::LogFormat::json, say);
  REQUIRE(json.size() == 1);
  CHECK(nlohmann::json::parse(json[0]).at("message") == sentence);
}

TEST_CASE("a reroute is one line of words in the log") {
  const auto lines = written(config::LogLevel::info, config::LogFormat::text, [](Journal& journal) {
    journal.record(reroute_record(RerouteResult::attached));
    journal.record(reroute_record(RerouteResult::no_backend));
  });
  REQUIRE(lines.size() == 2);
  CHECK(
      after_time(lines[0]) ==
      "info reroute session=00112233445566778899aabbccddeeff client=192.0.2.1:4711 route=room upstream=chat "
      "from=127.0.0.1:9001 to=127.0.0.1:9002 cause=lost result=attached pause_ms=12 attempts=2 resent=3 "
      "undelivered=4 unconfirmed=5 detail=-");
  CHECK(after_time(lines[1]).starts_with("warning reroute session="));
  CHECK(lines[1].find(" to=- ") != std::string::npos);
  CHECK(lines[1].ends_with(" detail=no\\x0away"));
}

TEST_CASE("a reroute in JSON has typed fields") {
  const auto lines = written(config::LogLevel::info, config::LogFormat::json, [](Journal& journal) {
    journal.record(reroute_record(RerouteResult::kills_backends));
  });
  REQUIRE(lines.size() == 1);
  const auto entry = nlohmann::json::parse(lines[0]);
  CHECK(entry.at("type") == "reroute");
  CHECK(entry.at("level") == "warning");
  CHECK(entry.at("result") == "kills_backends");
  CHECK(entry.at("cause") == "lost");
  CHECK(entry.at("pause_ms") == 12);
  CHECK(entry.at("undelivered") == 4);
  CHECK(entry.at("detail") == "no\nway");
}

TEST_CASE("reroutes that cost the client its session are warnings, the others are not") {
  const auto lines = written(config::LogLevel::warning, config::LogFormat::json, [](Journal& journal) {
    for (std::size_t n = 0; n < reroute_result_count; ++n)
      journal.record(reroute_record(static_cast<RerouteResult>(n)));
  });
  std::vector<std::string> results;
  for (const std::string& line : lines) results.push_back(nlohmann::json::parse(line).at("result"));
  CHECK(results == std::vector<std::string>{"no_backend", "refused", "kills_backends"});
}

TEST_CASE("JSON lines parse, whatever the bytes") {
  const Directory directory;
  const std::string file = directory.file("access.json");
  {
    Journal journal;
    REQUIRE(use(journal, {config::LogLevel::info, config::LogFormat::json, file}));
    journal.record(session_record());
    journal.record(hostile_record());
  }
  const auto lines = lines_of(file);
  REQUIRE(lines.size() == 2);
  const auto good = nlohmann::json::parse(lines[0]);
  CHECK(good.at("type") == "access");
  CHECK(good.at("reason") == "client_closed");
  CHECK(good.at("bytes_to_client") == 4000);
  CHECK(good.at("time").get<std::string>().size() == 24);
  const auto hostile = nlohmann::json::parse(lines[1]);
  CHECK(hostile.at("status") == 400);
  CHECK(hostile.at("detail") == "no\r\nsuch thing");
  CHECK_FALSE(hostile.contains("reason"));
}

TEST_CASE("lines below the level are left out, access lines can be off") {
  const Directory directory;
  const std::string file = directory.file("log");
  {
    const net::Socket out(open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    const StderrTo captured(out.get());
    Journal journal;
    REQUIRE(use(journal, {config::LogLevel::warning, config::LogFormat::json, ""}));
    CHECK_FALSE(journal.wants_access_records());
    journal.info("too much detail");
    journal.warn("look: {} %s \"quoted\"");
    journal.record(session_record());
    journal.error("broken");
  }
  const auto lines = lines_of(file);
  REQUIRE(lines.size() == 2);
  CHECK(nlohmann::json::parse(lines[0]).at("message") == "look: {} %s \"quoted\"");
  CHECK(nlohmann::json::parse(lines[0]).at("level") == "warning");
  CHECK(nlohmann::json::parse(lines[1]).at("level") == "error");
}

TEST_CASE("text lines tell time, level and sentence; \"-\" puts access lines among them") {
  const Directory directory;
  const std::string file = directory.file("log");
  {
    const net::Socket out(open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    const StderrTo captured(out.get());
    Journal journal;
    REQUIRE(use(journal, {config::LogLevel::info, config::LogFormat::text, "-"}));
    CHECK(journal.wants_access_records());
    journal.info("started");
    journal.record(session_record());
  }
  const auto lines = lines_of(file);
  REQUIRE(lines.size() == 2);
  CHECK(after_time(lines[0]) == "info started");
  CHECK(after_time(lines[1]).starts_with("access client="));
}

TEST_CASE("a rotated file is opened again, one that can't be opened leaves the old one in use") {
  const Directory directory;
  const std::string file = directory.file("access.log");
  {
    Journal journal;
    const config::Log settings{config::LogLevel::info, config::LogFormat::text, file};
    REQUIRE(use(journal, settings));
    journal.record(session_record());
    std::filesystem::rename(file, directory.file("access.log.1"));
    REQUIRE(use(journal, settings));
    journal.record(session_record());
    // A file is no directory.
    const auto refused = Journal::prepare({config::LogLevel::info, config::LogFormat::text, file + "/below"});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().what.starts_with("log.access: "));
    journal.record(session_record());
  }
  CHECK(lines_of(directory.file("access.log.1")).size() == 1);
  CHECK(lines_of(file).size() == 2);
}

TEST_CASE("a log that is too slow drops what is too much, never blocks, and says how much it was") {
  int ends[2] = {-1, -1};
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const net::Socket reading(ends[0]);
  net::Socket writing(ends[1]);
  std::string all;
  constexpr std::uint64_t handed_in = Journal::most_pending + 5'000;
  std::thread reader;
  {
    const StderrTo captured(writing.get());
    Journal journal;
    // Nobody reads the pipe: the log thread hangs in its write, this one must not.
    for (std::uint64_t n = 0; n < handed_in; ++n) journal.info("line");
    reader = std::thread([&] {
      std::string piece(64 * 1024, '\0');
      for (ssize_t got = 0; (got = read(reading.get(), piece.data(), piece.size())) > 0;)
        all.append(piece, 0, static_cast<std::size_t>(got));
    });
  }
  writing.reset();
  reader.join();
  std::istringstream in(all);
  std::uint64_t written = 0;
  std::uint64_t dropped = 0;
  for (std::string line; std::getline(in, line);) {
    const std::string text = after_time(line);
    if (text == "info line") ++written;
    if (text.ends_with("were dropped: the log is too slow"))
      dropped += std::stoull(text.substr(text.find(' ')));
  }
  CHECK(dropped > 0);
  CHECK(written + dropped == handed_in);
}

}  // namespace
}  // namespace holdfast::server::test
