#pragma once
// What the messages of a feed mean: rules from a file (conf/dialects/README.md), compiled once. Sans-io.
//
// Threads: a Dialect is immutable and shared; each thread brings its own Scratch.
//
// Invariants:
//  1. Bytes of the network end in an act, whatever they are; `unknown` at worst.
//  2. What is forwarded is a span of what came, or that with one scalar replaced; nothing is serialised
//  again.
//  3. What is rendered is valid JSON, whatever keys, ids and messages hold.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/config/feed.hpp"
#include "holdfast/config/load.hpp"
#include "holdfast/dialect/act.hpp"
#include "holdfast/dialect/scratch.hpp"

namespace holdfast::dialect {

struct Rules;  // src/dialect/rules.hpp

struct Limits {
  std::uint64_t message_bytes = 64 * 1024;  ///< of a client; 64 B..1 MiB
  std::uint32_t keys_per_message = 1'000;   ///< 1..10000
  std::uint32_t key_bytes = 256;            ///< 1..16384
  std::uint32_t keys_per_client = 1'000;    ///< 1..100000; for the engine
  std::uint32_t requests_in_flight = 64;    ///< per client; 1..10000; for the engine
  std::uint32_t keys_per_connection = 0;    ///< of the source; 0 = no limit; for the engine
  std::uint32_t messages_per_second = 0;    ///< to the source; 0 = no limit; for the engine
  std::uint32_t connects_per_5min = 0;      ///< to the source; 0 = no limit; for the engine

  bool operator==(const Limits&) const = default;
};

/// What a dialect knows about a kind of channel; what is absent the feed's configuration says.
struct ChannelSettings {
  std::optional<config::Join> join;
  std::optional<config::OnLag> on_lag;

  bool operator==(const ChannelSettings&) const = default;
};

enum class Reply : std::uint8_t {
  result,    ///< the rule's own: ack, list or pong
  error,     ///< the rule's `error`, else the dialect's
  gap,       ///< messages of a channel were left out
  presence,  ///< who is in a channel has changed
};

/// What templates of replies may name. Views need only live until render_reply() returns.
struct ReplyValues {
  std::string_view id;                ///< raw JSON as ClientAct::id had it; empty = absent
  std::span<const std::string> keys;  ///< of the message
  std::span<const std::string> all;   ///< of this client, after the message took effect
  std::string_view key;               ///< gap, presence; ack_per key: each of keys in turn
  std::string_view sub_id;            ///< the channel's stable one
  Fault fault = Fault::none;
  std::string_view message;   ///< for people
  std::string_view code;      ///< raw JSON instead of the fault's code (SourceAct::code); may be empty
  std::uint64_t count = 0;    ///< presence: subscribers; gap: messages left out
  std::uint64_t unix_us = 0;  ///< wall clock
};

/// A message to the source and which of the keys that were given it is about.
struct Command {
  std::string text;
  std::uint64_t number = 0;
  std::vector<std::size_t> keys;
};

enum class CommandKind : std::uint8_t { subscribe, unsubscribe };

struct CommandKey {
  std::string_view key;
  std::string_view sub_id;  ///< unsubscribe: the source's own, where it gave one
};

/// What a client asks for by the request target of its handshake (Binance: /stream?streams=a/b).
struct Entry {
  Form form = Form::whole;
  std::vector<std::string> keys;
};

enum class Unknown : std::uint8_t { drop, reject, forward };

class Dialect;
/// Exactly one of the two holds something.
struct LoadedDialect {
  std::shared_ptr<const Dialect> dialect;
  std::vector<config::Problem> problems;
};

class Dialect {
 public:
  /// `file` is only for messages. Comments are allowed in it.
  [[nodiscard]] static LoadedDialect load(std::string_view text, const std::string& file);
  /// No file: one channel, every message goes to everybody, nothing is read.
  [[nodiscard]] static std::shared_ptr<const Dialect> opaque();
  /// What a feed names: "opaque", one that is shipped, or its own file, whose text the configuration has.
  [[nodiscard]] static LoadedDialect of(const config::Feed& feed);

  explicit Dialect(std::unique_ptr<const Rules> rules);
  ~Dialect();

  [[nodiscard]] bool is_opaque() const noexcept;
  [[nodiscard]] const Limits& limits() const noexcept;
  /// Messages of clients and of the source that no rule is for. `reject` of a client's: answer its fault;
  /// `forward` of the source's: to everybody.
  [[nodiscard]] Unknown unknown_of_client() const noexcept;
  [[nodiscard]] Unknown unknown_of_source() const noexcept;
  /// The first of the file's `channels` that fits; a channel of none has no settings.
  [[nodiscard]] const ChannelSettings& settings_for(std::string_view key) const noexcept;

  /// Whether the source answers commands; where it does not, they have worked once they were said.
  [[nodiscard]] bool answers_commands() const noexcept;
  /// Whether the source must be asked for this channel; else it is there for who wants it.
  [[nodiscard]] bool asks_for(std::string_view key) const noexcept;
  /// Whether something of what clients may say is for the source.
  [[nodiscard]] bool needs_source() const noexcept;
  /// Whether each ack says what it is to: a number or a channel.
  [[nodiscard]] bool tells_acks_apart() const noexcept;
  /// Whether there is a slice of some message: another form than the whole.
  [[nodiscard]] bool has_slices() const noexcept;
  /// Whether channels have stable subscription ids that stand in messages.
  [[nodiscard]] bool has_sub_ids() const noexcept;
  /// Whether some message of the source is a snapshot.
  [[nodiscard]] bool has_snapshots() const noexcept;
  /// Whether clients are told how many of them follow a channel.
  [[nodiscard]] bool tells_presence() const noexcept;
  /// Whether this rule's reply is one per channel; and whether it tells all channels of the client.
  [[nodiscard]] bool replies_per_key(RuleIndex rule) const noexcept;
  [[nodiscard]] bool tells_all(RuleIndex rule) const noexcept;

  // --- clients ---

  [[nodiscard]] ClientAct read_client(std::string_view message, Scratch& scratch) const;
  /// `path` and `query` as the request has them. Nothing: an unusable name, or too many of them.
  [[nodiscard]] std::optional<Entry> read_entry(std::string_view path, std::string_view query) const;
  /// One message each; none where the dialect has no such reply.
  [[nodiscard]] std::vector<std::string> render_reply(RuleIndex rule, Reply reply,
                                                      const ReplyValues& values) const;

  // --- the source ---

  /// `lane` of the connection that it came on.
  [[nodiscard]] SourceAct read_source(std::string_view message, std::string_view lane,
                                      Scratch& scratch) const;
  /// Numbered from `number` on. Keys of one lane only. None where the dialect has no such command.
  [[nodiscard]] std::vector<Command> render_commands(CommandKind kind, std::span<const CommandKey> keys,
                                                     std::uint64_t number) const;
  /// The dialect's own ping, "" if it has none (then a WebSocket ping does).
  [[nodiscard]] std::string render_ping(std::uint64_t number) const;
  /// The bytes for clients of this form, with the channel's stable subscription id if the act has a place
  /// for one. Appended to `out`.
  static void append_forwarded(std::string_view message, const SourceAct& act, Form form,
                               std::string_view stable_sub_id, std::string& out);
  /// Whether append_forwarded() only copies: then slice.of(message), or the message, will do.
  [[nodiscard]] static bool is_forwarded_as_it_is(const SourceAct& act) noexcept {
    return act.sub_id_span.empty();
  }
  /// "0x" and 32 hex digits that only depend on the key: the same after restarts and on every machine.
  [[nodiscard]] static std::string stable_sub_id(std::string_view key);

 private:
  std::unique_ptr<const Rules> rules_;
};

/// `message` with what stands at `place` replaced: our number for a client's id, and back.
void append_replaced(std::string_view message, Span place, std::string_view with, std::string& out);

}  // namespace holdfast::dialect
