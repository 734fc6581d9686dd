#include "holdfast/auth/ruling.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace holdfast::auth {

using metrics::ForwardResult;

namespace {

// Of a list, map and strings; the strings' own text is added.
constexpr std::size_t entry_overhead_bytes = 256;

std::size_t bytes_of(const Ruling& ruling) {
  std::size_t bytes = entry_overhead_bytes + ruling.what.size();
  for (const ws::ExtraField& field : ruling.fields)
    bytes += sizeof field + field.name.size() + field.value.size();
  return bytes;
}

void copy(const ws::ResponseHead& answer, const std::string& name, std::vector<ws::ExtraField>& fields) {
  for (const std::string_view value : answer.values(name)) {
    if (!value.empty()) fields.push_back({name, std::string(value)});
  }
}

}  // namespace

bool Ruling::is_lasting() const noexcept {
  if (result == ForwardResult::allowed) return true;
  return result == ForwardResult::denied && status != 408 && status != 425 && status != 429;
}

Ruling read_ruling(const ws::ResponseHead& answer, const config::ForwardAuth& settings) {
  Ruling ruling;
  ruling.status = answer.status();
  if (ruling.status / 100 == 2) {
    ruling.result = ForwardResult::allowed;
    for (const std::string& name : settings.copy_headers) copy(answer, name, ruling.fields);
  } else if (ruling.status / 100 == 4) {
    ruling.result = ForwardResult::denied;
    for (const char* name : {"WWW-Authenticate", "Retry-After"}) copy(answer, name, ruling.fields);
  } else {
    ruling.what = "answered " + std::to_string(ruling.status);
  }
  return ruling;
}

QuestionDigest digest_of(std::string_view service, std::string_view question) {
  // Sizes first, so that no two pairs are one text.
  const std::string text =
      std::to_string(service.size()) + ":" + std::string(service) + std::string(question);
  QuestionDigest digest{};
  EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  return digest;
}

std::size_t RulingCache::Hash::operator()(const QuestionDigest& digest) const noexcept {
  std::size_t hash = 0;
  std::memcpy(&hash, digest.data(), sizeof hash);
  return hash;
}

const Ruling* RulingCache::find(const QuestionDigest& question, Milliseconds good_for, TimePoint now) {
  const auto place = places_.find(question);
  if (place == places_.end()) return nullptr;
  if (now - place->second->given >= good_for) {
    drop(place->second);
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, place->second);
  return &entries_.front().ruling;
}

void RulingCache::put(const QuestionDigest& question, Ruling ruling, TimePoint now) {
  if (const auto place = places_.find(question); place != places_.end()) drop(place->second);
  const std::size_t bytes = bytes_of(ruling);
  if (bytes > longest_entry) return;
  entries_.push_front({question, std::move(ruling), now, bytes});
  places_.emplace(question, entries_.begin());
  bytes_ += bytes;
  while (bytes_ > limit_) drop(std::prev(entries_.end()));
}

void RulingCache::drop(Entries::iterator entry) {
  bytes_ -= entry->bytes;
  places_.erase(entry->question);
  entries_.erase(entry);
}

}  // namespace holdfast::auth
