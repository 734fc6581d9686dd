#include "auth/strict_json.hpp"

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::auth {

namespace {

using nlohmann::json;

// Only looks: stops at what is not allowed.
class Inspector : public nlohmann::json_sax<json> {
 public:
  bool null() override { return !open_.empty(); }
  bool boolean(bool) override { return !open_.empty(); }
  bool number_integer(number_integer_t) override { return !open_.empty(); }
  bool number_unsigned(number_unsigned_t) override { return !open_.empty(); }
  bool number_float(number_float_t, const string_t&) override { return !open_.empty(); }
  bool string(string_t&) override { return !open_.empty(); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return !open_.empty() && open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override { return open_.back().insert(name).second; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  static constexpr std::size_t deepest = 16;

  bool open() {
    if (open_.size() == deepest) return false;
    open_.emplace_back();
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::vector<std::set<std::string>> open_;  ///< names so far, of each object that is open
};

}  // namespace

std::optional<json> parse_object(std::string_view text) {
  Inspector inspector;
  if (!json::sax_parse(text.begin(), text.end(), &inspector)) return std::nullopt;
  constexpr bool throws = false;
  json object = json::parse(text.begin(), text.end(), nullptr, throws);
  if (!object.is_object()) return std::nullopt;
  return object;
}

}  // namespace holdfast::auth
