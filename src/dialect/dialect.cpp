#include "holdfast/dialect/dialect.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "dialect/rules.hpp"
#include "dialect/shipped.hpp"
#include "dialect/text.hpp"
#include "dialect/words.hpp"
#include "holdfast/base/percent.hpp"

namespace holdfast::dialect {
namespace {

// What stands behind the segment; nothing if the path has none of the name.
std::optional<std::string_view> behind(std::string_view path, std::string_view segment) {
  for (std::size_t at = path.find('/'); at != std::string_view::npos; at = path.find('/', at + 1)) {
    const std::string_view rest = path.substr(at + 1);
    if (!rest.starts_with(segment)) continue;
    if (rest.size() == segment.size()) return std::string_view{};
    if (rest[segment.size()] == '/') return rest.substr(segment.size() + 1);
  }
  return std::nullopt;
}

std::string_view parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=')
      return pair.substr(name.size() + 1);
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return {};
}

bool is_name(std::string_view key, const Rules& rules) {
  const auto bad = [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f;
  };
  return !key.empty() && key.size() <= rules.limits.key_bytes && std::ranges::none_of(key, bad);
}

}  // namespace

Dialect::Dialect(std::unique_ptr<const Rules> rules) : rules_(std::move(rules)) {}
Dialect::~Dialect() = default;

Scratch::Scratch() : memory_(std::make_unique<ScratchMemory>()) {}
Scratch::~Scratch() = default;
Scratch::Scratch(Scratch&&) noexcept = default;
Scratch& Scratch::operator=(Scratch&&) noexcept = default;

std::shared_ptr<const Dialect> Dialect::opaque() {
  auto rules = std::make_unique<Rules>();
  rules->opaque = true;
  rules->unknown_client = Unknown::drop;
  return std::make_shared<const Dialect>(std::move(rules));
}

LoadedDialect Dialect::of(const config::Feed& feed) {
  if (feed.dialect == "opaque") return {opaque(), {}};
  if (config::is_dialect_file(feed.dialect)) return load(feed.dialect_text, feed.dialect);
  std::string names = "\"opaque\"";
  for (const Shipped& each : shipped()) {
    if (each.name == feed.dialect) return load(each.text, feed.dialect + ".json");
    names += ", \"" + std::string(each.name) + "\"";
  }
  return {nullptr,
          {{"", "is \"" + feed.dialect + "\", must be one of " + names +
                    ", or the path of a file, with a \"/\" in it"}}};
}

bool Dialect::is_opaque() const noexcept {
  return rules_->opaque;
}
const Limits& Dialect::limits() const noexcept {
  return rules_->limits;
}
Unknown Dialect::unknown_of_client() const noexcept {
  return rules_->unknown_client;
}
Unknown Dialect::unknown_of_source() const noexcept {
  return rules_->unknown_source;
}

bool Dialect::answers_commands() const noexcept {
  return std::ranges::any_of(rules_->source, [](const SourceRule& each) {
    return each.what == SourceDo::ack || each.what == SourceDo::response;
  });
}
bool Dialect::asks_for(std::string_view key) const noexcept {
  return std::ranges::any_of(rules_->subscribe,
                             [&](const CommandRule& each) { return fits(each.match, key); });
}
bool Dialect::needs_source() const noexcept {
  const bool speaks = std::ranges::any_of(rules_->client, [](const ClientRule& each) {
    return each.what == ClientDo::request || (each.what == ClientDo::publish && each.via == Via::upstream);
  });
  return speaks || !rules_->subscribe.empty() || rules_->unknown_client == Unknown::forward || rules_->opaque;
}
bool Dialect::tells_acks_apart() const noexcept {
  return std::ranges::none_of(rules_->source, [](const SourceRule& each) {
    return each.what == SourceDo::ack && !each.key && each.id == no_slot;
  });
}
bool Dialect::has_slices() const noexcept {
  return std::ranges::any_of(rules_->source, [](const SourceRule& each) { return each.slice != no_slot; });
}
bool Dialect::has_sub_ids() const noexcept {
  return std::ranges::any_of(rules_->source, [](const SourceRule& each) {
    return each.what == SourceDo::data && each.sub_id != no_slot;
  });
}
bool Dialect::has_snapshots() const noexcept {
  return std::ranges::any_of(rules_->source,
                             [](const SourceRule& each) { return each.what == SourceDo::snapshot; });
}
bool Dialect::tells_presence() const noexcept {
  return rules_->presence.has_value();
}
bool Dialect::replies_per_key(RuleIndex rule) const noexcept {
  return rule < rules_->client.size() && rules_->client[rule].one_per_key;
}
bool Dialect::tells_all(RuleIndex rule) const noexcept {
  if (rule >= rules_->client.size() || !rules_->client[rule].reply) return false;
  const Template& reply = *rules_->client[rule].reply;
  return reply.uses(Name::all) || reply.uses(Name::group);
}

const ChannelSettings& Dialect::settings_for(std::string_view key) const noexcept {
  const auto found =
      std::ranges::find_if(rules_->channels, [&](const ChannelRule& each) { return fits(each.match, key); });
  return found == rules_->channels.end() ? rules_->no_settings : found->settings;
}

std::optional<Entry> Dialect::read_entry(std::string_view path, std::string_view query) const {
  Entry out;
  for (const EntryRule& rule : rules_->entries) {
    const auto rest = behind(path, rule.segment);
    if (!rest) continue;
    out.form = rule.form;
    std::string_view names = rule.rest ? *rest : std::string_view{};
    if (!rule.query.empty()) names = parameter(query, rule.query);
    while (!names.empty()) {
      const std::size_t end = std::min(names.find(rule.split), names.size());
      auto key = percent_decoded(names.substr(0, end));
      names.remove_prefix(std::min(end + 1, names.size()));
      if (!key || !is_name(*key, *rules_)) return std::nullopt;
      if (std::ranges::find(out.keys, *key) != out.keys.end()) continue;
      if (out.keys.size() == rules_->limits.keys_per_message) return std::nullopt;
      out.keys.push_back(*std::move(key));
    }
    break;
  }
  return out;
}

std::string Dialect::stable_sub_id(std::string_view key) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  EVP_Digest(key.data(), key.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out = "0x";
  for (std::size_t i = 0; i < 16; ++i) {
    out += digits[digest[i] >> 4U];
    out += digits[digest[i] & 15U];
  }
  return out;
}

std::string_view text(Fault fault) noexcept {
  return fault_words[static_cast<std::size_t>(fault)];
}
std::string_view text(ClientDo what) noexcept {
  return client_words[static_cast<std::size_t>(what)];
}
std::string_view text(SourceDo what) noexcept {
  return source_words[static_cast<std::size_t>(what)];
}

}  // namespace holdfast::dialect
