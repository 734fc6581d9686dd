#pragma once
// What a message means, as a dialect's rules read it.
//
// Lifetime: every view in an act points into the Scratch or into the message that was read, and is good until
// the same Scratch reads the next message.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace holdfast::dialect {

/// A part of the message that was read.
struct Span {
  std::size_t offset = 0;
  std::size_t length = 0;

  [[nodiscard]] bool empty() const noexcept { return length == 0; }
  [[nodiscard]] std::string_view of(std::string_view message) const noexcept {
    return message.substr(offset, length);
  }
  bool operator==(const Span&) const = default;
};

/// The name of a channel. `lane` is the last part of `text`, or empty: what the source's data does not say
/// (Kraken's depth). Keys of one lane have a source connection of their own, which is given to read_source().
struct ChannelKey {
  std::string_view text;
  std::string_view lane;

  bool operator==(const ChannelKey&) const = default;
};

/// Why a client can't have what it asked for. Dialect files give each a code (`codes`).
enum class Fault : std::uint8_t {
  none,
  not_json,           ///< no JSON, too deep, or a name that is given twice
  unknown_message,    ///< no rule is for it
  bad_value,          ///< something that a rule needs is missing or of the wrong type
  too_many_keys,      ///< more channels than one message may name
  bad_key,            ///< a channel's name is empty, too long, or has a character that none may have
  too_large,          ///< the message is longer than `limits.message`
  refused,            ///< by a rule (`reject`), or what the engine does not allow
  too_many_requests,  ///< in flight or per second
  source_gone,        ///< there is no source now
  source_error,       ///< the source said no
  timed_out,          ///< the source said nothing
};
inline constexpr std::size_t fault_count = 12;
/// The word in dialect files: "not_json", …
[[nodiscard]] std::string_view text(Fault fault) noexcept;

enum class ClientDo : std::uint8_t {
  subscribe,
  unsubscribe,
  list,
  request,
  publish,
  set,
  ping,
  reject,
  unknown
};
[[nodiscard]] std::string_view text(ClientDo what) noexcept;

/// How unsubscribe's keys are meant.
enum class KeysAre : std::uint8_t {
  exact,
  prefixes,  ///< every channel of this client whose name begins so
};

enum class Via : std::uint8_t { local, upstream };
enum class Echo : std::uint8_t { no, yes };  ///< whether the publisher gets its own message

/// Which bytes of a data message a client gets.
enum class Form : std::uint8_t { whole, slice };

/// Index of a client rule, for render_reply().
using RuleIndex = std::uint16_t;
inline constexpr RuleIndex no_rule = 0xffff;

struct ClientAct {
  ClientDo what = ClientDo::unknown;
  RuleIndex rule = no_rule;
  /// subscribe, unsubscribe: what is named, without repetitions, in order. publish: one. They may be none
  /// for an unsubscribe that names `sub_id`.
  std::span<const ChannelKey> keys;
  KeysAre keys_are = KeysAre::exact;
  /// The id as it stands in the message: a JSON number, string, null, true or false. Empty: it has none.
  Span id;
  std::string_view sub_id;  ///< unsubscribe: the stable subscription id that the client was told

  // request
  std::string_view method;
  bool shared = false;        ///< identical ones in flight may share one answer
  bool retryable = false;     ///< may be asked again when the source was lost meanwhile
  std::string_view question;  ///< shared: equal for identical ones (the message without its id)

  // publish: what is given to the channel is `forward`
  Via via = Via::upstream;
  Echo echo = Echo::yes;
  Span forward;

  Form form = Form::whole;  ///< set: what it is to be from now on

  // reject, and unknown where the dialect answers those
  Fault fault = Fault::none;
  /// One sentence for the client, which says what is wrong, at which pointer.
  std::string_view message;
};

enum class SourceDo : std::uint8_t { data, snapshot, ack, response, error, notice, ignore, unknown };
[[nodiscard]] std::string_view text(SourceDo what) noexcept;

enum class Notice : std::uint8_t {
  rotate,  ///< it will go soon: open another connection, then leave this one
  close,   ///< leave this connection at once
};

struct SourceAct {
  SourceDo what = SourceDo::unknown;
  RuleIndex rule = no_rule;
  /// data, snapshot: the channel; its text is empty where `sub_id` says which. ack, error: which of the keys
  /// of a command it is about, a pattern for names_key(); empty = all of them.
  ChannelKey key;
  /// data: the source's own subscription id; ack or response to a subscribe: the id that it gave.
  std::string_view sub_id;
  /// Our number, from the command or request that this answers. An `ack` that has neither number nor key
  /// confirms all that was asked before it on this connection. Rules can't always tell an answer to a command
  /// from one to a request (JSON-RPC): look whose number it is.
  std::optional<std::uint64_t> number;
  bool lacks_number = false;  ///< the rule says where it stands, and there is none
  Span number_span;           ///< where it stands: the asker's own id goes there

  std::optional<std::uint64_t> first;   ///< sequence numbers, where the rules say
  std::optional<std::uint64_t> last;    ///< alone where a message has one number only
  std::optional<std::uint64_t> digest;  ///< equal contents have equal ones; for dropping what comes twice

  Span slice;        ///< Form::slice; the whole message if the rule has none
  Span sub_id_span;  ///< data: what the channel's stable subscription id replaces, quotes included

  std::string_view message;  ///< error: the source's words
  std::string_view code;     ///< error: the source's code, as it stands there (JSON)
  Notice notice = Notice::close;
};

/// Whether an ack or error with the key `pattern` is about `key`: "*" stands for any text (Kraken's errors
/// say which symbol, but not of which channel).
[[nodiscard]] bool names_key(std::string_view pattern, std::string_view key) noexcept;

}  // namespace holdfast::dialect
