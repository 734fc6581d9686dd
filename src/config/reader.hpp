#pragma once
// The visitor that fills structs from a JSON tree and reports everything that doesn't fit.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/problems.hpp"
#include "config/visitor.hpp"

namespace holdfast::config {

/// Reads one JSON object. The keys that the shape asks for are the known ones; finish() reports the
/// others. A field whose value is wrong keeps its default, so that reading can go on.
class Reader : public Visitor {
 public:
  /// `tree` and `problems` outlive the reader; `path` is where the object stands, "" for the root.
  Reader(const nlohmann::json& tree, std::string path, Problems& problems)
      : tree_(tree), path_(std::move(path)), problems_(problems) {}

  void text(Key key, std::string& value, const TextCheck& check) override;
  void word_or_text(Key key, std::string& value, std::span<const std::string_view> words, const char* pattern,
                    const TextCheck& check) override;
  void texts(Key key, std::vector<std::string>& value, Count count, const TextCheck& check) override;
  void fields(Key key, std::vector<std::pair<std::string, std::string>>& value, std::size_t count,
              const TextCheck& check_name, const TextCheck& check_value) override;
  void number(Key key, std::uint64_t& value, NumberRange range) override;
  void numbers(Key key, std::vector<std::uint64_t>& value, Count count, NumberRange range) override;
  void size(Key key, std::uint64_t& value, SizeRange range) override;
  void duration(Key key, std::chrono::milliseconds& value, DurationRange range) override;
  void flag(Key key, bool& value) override;
  void choice(Key key, std::size_t& index, std::span<const std::string_view> words) override;
  void choices(Key key, std::vector<std::size_t>& indices, std::span<const std::string_view> words) override;
  void object(Key key, const Shape& shape) override;
  void object_like(Key key, const char* pointer, const Shape& shape) override;
  void object_or_word(Key key, std::size_t& word, std::span<const std::string_view> words,
                      const Shape& shape) override;
  void list(Key key, Count count, const Shape& shape) override;
  void later(std::initializer_list<const char*> keys) override;
  void ignored(const char* key) override;

  /// Call once, after the shape ran.
  void finish();

 private:
  [[nodiscard]] std::string place(const char* key) const;
  [[nodiscard]] std::string place(const char* key, std::size_t index) const;
  // The value, or null if absent (then a required key has been reported).
  [[nodiscard]] const nlohmann::json* find(Key key);
  void wrong(const std::string& place, const nlohmann::json& value, const std::string& allowed);
  // Nothing if `value` doesn't fit; reported.
  std::optional<std::uint64_t> read_number(const nlohmann::json& value, const std::string& place,
                                           NumberRange range);
  std::optional<std::size_t> read_choice(const nlohmann::json& value, const std::string& place,
                                         std::span<const std::string_view> words);
  void read_object(const nlohmann::json& value, const std::string& place, const Shape& shape);
  // False if `value` is not an array within `count`; reported.
  bool check_array(const nlohmann::json& value, const std::string& place, Count count);

  const nlohmann::json& tree_;
  std::string path_;
  Problems& problems_;
  std::vector<std::string> known_;
  std::vector<std::string> later_;
};

}  // namespace holdfast::config
