// Messages on the pump plane cost no `operator new`: counted on the pump thread while messages go to and fro.
// A program of its own, because it replaces the global operator new. OpenSSL allocates by malloc and is not
// counted: with SSL_MODE_RELEASE_BUFFERS it takes and gives back a record buffer as it reads and writes.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <new>

#include "holdfast/dialect/dialect.hpp"
#include "unit/session/fixture.hpp"

namespace {

// Of this thread, while it is asked to count.
struct Tally {
  bool counting = false;
  std::uint64_t allocations = 0;
};
thread_local Tally tally;

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (tally.counting) ++tally.allocations;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) {
  return allocate(bytes, alignof(std::max_align_t));
}
void* operator new[](std::size_t bytes) {
  return allocate(bytes, alignof(std::max_align_t));
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace holdfast::session::test {
namespace {

// Runs on the shard's thread. The promise outlives the item's delivery, see `counted_during`.
struct StartCounting final : ShardItem {
  explicit StartCounting(std::promise<void>& told) : done(told) {}
  void deliver_to(Shard&) noexcept override {
    done.set_value();
    tally = {true, 0};
  }
  std::promise<void>& done;
};
struct StopCounting final : ShardItem {
  explicit StopCounting(std::promise<std::uint64_t>& told) : done(told) {}
  void deliver_to(Shard&) noexcept override {
    tally.counting = false;
    done.set_value(tally.allocations);
  }
  std::promise<std::uint64_t>& done;
};

template <class Work>
std::uint64_t counted_during(Shard& shard, const Work& work) {
  std::promise<void> started;
  shard.send(std::make_unique<StartCounting>(started));
  started.get_future().get();
  work();
  std::promise<std::uint64_t> stopped;
  shard.send(std::make_unique<StopCounting>(stopped));
  return stopped.get_future().get();
}

// Exactly so many bytes.
std::string read_bytes(End& end, std::size_t bytes) {
  std::string got;
  while (got.size() < bytes) got += end.read_some(bytes - got.size());
  return got;
}

void pass(End& from, End& to, const std::string& bytes) {
  from.send(bytes);
  REQUIRE((read_bytes(to, bytes.size()) == bytes));
}

void echo(std::vector<Ends>& all, int count, std::size_t bytes) {
  const std::string up = from_client(std::string(bytes, 'u'), ws::Opcode::binary);
  const std::string down = from_backend(std::string(bytes, 'd'), ws::Opcode::binary);
  for (int n = 0; n < count; ++n) {
    for (Ends& ends : all) {
      pass(ends.client, ends.backend, up);
      pass(ends.backend, ends.client, down);
      // A frame head in two pieces needs a buffer to be carried in.
      ends.client.send(up.substr(0, 1));
      pass(ends.backend, ends.client, from_backend("?", ws::Opcode::ping));
      ends.client.send(up.substr(1));
      REQUIRE((read_bytes(ends.backend, up.size()) == up));
    }
  }
}

// Everybody is blocked at once, with more to be read than fits a turn: so every list and pool has had its
// greatest size.
void flood(std::vector<Ends>& all) {
  const std::string down = from_backend(std::string(16 * 1024 * 1024, 'f'), ws::Opcode::binary);
  std::vector<std::size_t> sent(all.size());
  for (std::size_t n = 0; n < all.size(); ++n) {
    while (sent[n] < down.size() && all[n].backend.wait(POLLOUT, Milliseconds(100)))
      sent[n] += all[n].backend.send_some(std::string_view(down).substr(sent[n]));
  }
  for (std::size_t n = 0; n < all.size(); ++n) {
    std::size_t got = 0;
    while (got < down.size()) {
      if (sent[n] < down.size()) sent[n] += all[n].backend.send_some(std::string_view(down).substr(sent[n]));
      got += all[n].client.read_some().size();
    }
  }
}

TEST_CASE(
    "messages cost no allocation on the pump thread, plain or TLS, small or large, whole or in pieces") {
  constexpr std::size_t sizes[] = {0, 128, 16'384, 200'000};
  for (const ClientLeg kind : {ClientLeg::plain, ClientLeg::tls}) {
    Running running;
    Opening how;
    how.client = kind;
    std::vector<Ends> all;
    for (int n = 0; n < 3; ++n) all.push_back(running.open_and_greet(how));
    for (const std::size_t bytes : sizes) echo(all, 20, bytes);
    flood(all);
    for (const std::size_t bytes : sizes) {
      CAPTURE(bytes);
      CHECK(counted_during(running.shard, [&] { echo(all, 50, bytes); }) == 0);
    }
  }
}

TEST_CASE("the count itself works: a session that is born allocates") {
  Running running;
  CHECK(counted_during(running.shard, [&] {
          Ends ends = running.open_and_greet();
          ends.client.send(close_from(ws::Sender::client, 1000));
          CHECK(ends.backend.expect().code() == 1000);
          ends.backend.send(close_from(ws::Sender::server, 1000));
          (void)running.notes.next_record();
        }) > 0);
}

TEST_CASE("a source's message costs no allocation to be read, once the scratch has grown") {
  const auto loaded = dialect::Dialect::load(
      R"({"client": [], "source": [
        {"has": "/stream", "do": "data", "key": "/stream", "slice": "/data", "dedupe": "/data"},
        {"do": "data", "key": "{/channel}|{/data/0/symbol}", "sequence": {"last": "/n"}}]})",
      "d.json");
  REQUIRE(loaded.dialect != nullptr);
  dialect::Scratch scratch;
  const std::string combined =
      R"({"stream":"a-stream-whose-name-is-long@trade","data":{"e":"trade","x":[1,2]}})";
  const std::string book =
      R"({"channel":"book","n":7,"data":[{"symbol":"A-SYMBOL-WHOSE-NAME-IS-LONG/USD"}]})";
  const auto read = [&] {
    const auto first = loaded.dialect->read_source(combined, "", scratch);
    const auto second = loaded.dialect->read_source(book, "a-lane", scratch);
    return first.what == dialect::SourceDo::data && second.what == dialect::SourceDo::data;
  };
  REQUIRE(read());
  tally = {true, 0};
  bool good = true;
  for (int n = 0; n < 100; ++n) good = read() && good;
  tally.counting = false;
  CHECK(good);
  CHECK(tally.allocations == 0);
}

}  // namespace
}  // namespace holdfast::session::test
