#pragma once
// A dialect file, compiled.

#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dialect/key.hpp"
#include "dialect/pointer.hpp"
#include "dialect/template.hpp"
#include "dialect/walk.hpp"
#include "holdfast/dialect/dialect.hpp"

namespace holdfast::dialect {

struct Constant {
  Value::Type type = Value::Type::null;
  std::string text;  ///< as Value::text
};

/// "if", "has", "lacks" of a rule: all must hold.
struct Condition {
  enum class Kind : std::uint8_t { equal, present, absent };
  Kind kind = Kind::present;
  Slot slot = no_slot;
  std::vector<Constant> any_of;

  [[nodiscard]] bool holds(const ScratchMemory& memory) const noexcept;
};

struct ClientRule {
  std::vector<Condition> conditions;
  ClientDo what = ClientDo::unknown;
  std::vector<KeyTemplate> keys;
  std::vector<KeyTemplate> prefixes;
  std::optional<KeyTemplate> lane;
  Slot sub_id = no_slot;
  Slot method = no_slot;
  std::vector<std::string> share;
  std::vector<std::string> retry;
  std::vector<std::string> refuse;  ///< methods
  Via via = Via::upstream;
  Echo echo = Echo::yes;
  Slot forward = no_slot;
  Form form = Form::whole;
  std::string message;  ///< reject
  bool one_per_key = false;
  std::optional<Template> reply;
  std::optional<Template> error;
};

struct SourceRule {
  std::vector<Condition> conditions;
  SourceDo what = SourceDo::unknown;
  std::optional<KeyTemplate> key;
  Slot id = no_slot;
  Slot sub_id = no_slot;
  Slot first = no_slot;
  Slot last = no_slot;
  Slot slice = no_slot;
  std::vector<Slot> dedupe;  ///< the first that is there
  Slot message = no_slot;
  Slot code = no_slot;
  Notice notice = Notice::close;
};

struct CommandRule {
  std::string match = "*";  ///< keys
  Template message;
  std::set<unsigned> single_parts;  ///< derived from message, as one_key
  bool one_key = false;
  std::size_t max_keys = 100;
  std::size_t max_bytes = 4096;
};

struct EntryRule {
  std::string segment;
  Form form = Form::whole;
  bool rest = false;  ///< names stand behind the segment
  std::string query;  ///< or in this parameter
  char split = '/';
};

struct ChannelRule {
  std::string match;
  ChannelSettings settings;
};

struct Rules {
  bool opaque = false;
  char separator = '|';
  Limits limits;
  PointerTree client_tree;
  PointerTree source_tree;
  Slot client_id = no_slot;
  std::vector<ClientRule> client;
  std::vector<SourceRule> source;
  std::optional<Template> error;
  std::optional<Template> gap;
  std::optional<Template> presence;
  std::optional<Template> group;
  std::array<std::string, fault_count> codes;  ///< JSON; empty = the fault's word
  Unknown unknown_client = Unknown::reject;
  Unknown unknown_source = Unknown::drop;
  std::vector<CommandRule> subscribe;  ///< the first that fits a key
  std::vector<CommandRule> unsubscribe;
  std::optional<Template> ping;
  std::vector<EntryRule> entries;
  std::vector<ChannelRule> channels;
  ChannelSettings no_settings;  ///< of a channel that none of them fits
};

}  // namespace holdfast::dialect
