// Bytes of strangers against dialects. The first byte says which of the shipped ones (b, c, k, e, r), the
// second whose message the rest is (c: a client's, s: the source's). "f" instead: the rest is a dialect file,
// and behind its first NUL a message for it.
#include "holdfast/dialect/dialect.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace {

namespace dialect = holdfast::dialect;
using dialect::Dialect;

// The message of a broken invariant is the crash itself.
void require(bool holds) {
  if (!holds) std::abort();
}

std::shared_ptr<const Dialect> shipped(const std::string& name) {
  std::ifstream in("conf/dialects/" + name + ".json");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto loaded = Dialect::load(text, name);
  require(loaded.dialect != nullptr);  // run in the root of the sources
  return loaded.dialect;
}

const Dialect* dialect_of(char letter) {
  static const std::map<char, std::shared_ptr<const Dialect>> all{{'b', shipped("binance")},
                                                                  {'c', shipped("coinbase")},
                                                                  {'k', shipped("kraken")},
                                                                  {'e', shipped("ethereum")},
                                                                  {'r', shipped("rooms")}};
  const auto found = all.find(letter);
  return found == all.end() ? nullptr : found->second.get();
}

void require_json(std::string_view text) {
  require(nlohmann::json::accept(text));
}

void require_inside(dialect::Span span, std::string_view message) {
  require(span.offset <= message.size() && span.length <= message.size() - span.offset);
}

void render(const Dialect& rules, const dialect::ClientAct& act, std::string_view message) {
  std::vector<std::string> keys;
  std::vector<dialect::CommandKey> command_keys;
  for (const dialect::ChannelKey& key : act.keys) {
    require(!key.text.empty() && key.text.size() <= rules.limits().key_bytes);
    require(key.text.ends_with(key.lane));
    keys.emplace_back(key.text);
    command_keys.push_back({key.text, act.sub_id});
  }
  require(keys.size() <= rules.limits().keys_per_message);
  dialect::ReplyValues values;
  values.id = act.id.of(message);
  values.keys = keys;
  values.all = keys;
  values.sub_id = act.sub_id;
  values.fault = act.fault;
  values.message = act.message;
  using dialect::Reply;
  for (const Reply reply : {Reply::result, Reply::error, Reply::gap, Reply::presence}) {
    for (const std::string& each : rules.render_reply(act.rule, reply, values)) require_json(each);
  }
  if (act.what != dialect::ClientDo::subscribe) return;
  for (const auto kind : {dialect::CommandKind::subscribe, dialect::CommandKind::unsubscribe}) {
    for (const dialect::Command& each : rules.render_commands(kind, command_keys, 1)) {
      require_json(each.text);
      require(!each.keys.empty() && each.keys.back() < keys.size());
    }
  }
}

void check_client(const Dialect& rules, std::string_view message) {
  dialect::Scratch scratch;
  const dialect::ClientAct act = rules.read_client(message, scratch);
  require_inside(act.id, message);
  require_inside(act.forward, message);
  if (!act.id.empty()) require_json(act.id.of(message));
  // What is understood is JSON to everybody.
  if (act.rule != dialect::no_rule) require_json(message);
  render(rules, act, message);
  if (act.what != dialect::ClientDo::request) return;
  std::string asked;
  dialect::append_replaced(message, act.id, "7", asked);
  require_json(asked);
}

void check_source(const Dialect& rules, std::string_view message) {
  dialect::Scratch scratch;
  const dialect::SourceAct act = rules.read_source(message, "lane", scratch);
  require_inside(act.number_span, message);
  require_inside(act.slice, message);
  require_inside(act.sub_id_span, message);
  if (!nlohmann::json::accept(message)) return;
  for (const auto form : {dialect::Form::whole, dialect::Form::slice}) {
    std::string out;
    Dialect::append_forwarded(message, act, form, "0x\"7", out);
    require_json(out);
  }
  if (act.number) {
    std::string out;
    dialect::append_replaced(message, act.number_span, "\"x\"", out);
    require_json(out);
  }
}

void check_file(std::string_view text) {
  const std::size_t end = std::min(text.find('\0'), text.size());
  const auto loaded = Dialect::load(text.substr(0, end), "file");
  require((loaded.dialect == nullptr) == !loaded.problems.empty());
  if (loaded.dialect == nullptr) return;
  const std::string_view message = text.substr(std::min(end + 1, text.size()));
  check_client(*loaded.dialect, message);
  check_source(*loaded.dialect, message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.starts_with('f')) {
    check_file(input.substr(1));
    return 0;
  }
  if (size < 2) return 0;
  const Dialect* const rules = dialect_of(input[0]);
  if (rules == nullptr) return 0;
  if (input[1] == 'c') check_client(*rules, input.substr(2));
  if (input[1] == 's') check_source(*rules, input.substr(2));
  return 0;
}
