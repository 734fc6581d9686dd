#include "holdfast/config/expectation.hpp"

#include <re2/re2.h>

namespace holdfast::config {

namespace {
// Of a compiled expression and what it remembers while it runs.
constexpr std::int64_t most_memory_bytes = 1 << 20;
}  // namespace

std::optional<Expectation> Expectation::compile(const std::string& written, std::string& why) {
  Expectation made;
  if (written.size() < 3 || written.front() != '/' || written.back() != '/') {
    made.text_ = written;
    return made;
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(most_memory_bytes);
  auto regex = std::make_shared<const re2::RE2>(written.substr(1, written.size() - 2), options);
  if (!regex->ok()) {
    why = "must be a text or a regular expression between slashes: " + regex->error();
    return std::nullopt;
  }
  made.regex_ = std::move(regex);
  return made;
}

bool Expectation::found_in(std::string_view answer) const {
  if (regex_ == nullptr) return answer.find(text_) != std::string_view::npos;
  return re2::RE2::PartialMatch(re2::StringPiece(answer.data(), answer.size()), *regex_);
}

}  // namespace holdfast::config
