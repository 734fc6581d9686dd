#include "holdfast/config/load.hpp"

#include <filesystem>
#include <system_error>
#include <utility>

#include "config/parse.hpp"
#include "config/problems.hpp"
#include "config/reader.hpp"
#include "config/settle.hpp"
#include "config/shape.hpp"
#include "config/validate.hpp"

namespace holdfast::config {
namespace {

constexpr std::size_t max_file_bytes = 16U << 20U;

// Absolute if it can be told; without a current directory relative names stay relative.
std::filesystem::path directory_of(const std::string& file) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(file, error);
  return (error ? std::filesystem::path(file) : path).parent_path();
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

void load_into(std::string_view text, LoadResult& result, const World& world, Problems& problems) {
  if (is_blank(text)) return problems.error("", "is empty, must hold a JSON object");
  const auto tree = parse_json(text, problems);
  if (!tree) return;
  if (!tree->is_object()) return problems.error("", "must hold a JSON object");
  Config config = default_config();
  Reader reader(*tree, "", problems);
  visit(reader, config);
  reader.finish();
  Settler(world, directory_of(result.file), problems).settle(config);
  validate(config, problems);
  if (problems.empty()) result.config = std::move(config);
}

std::string count_of(std::size_t number, const char* what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

void append(std::string& out, const std::string& file, const char* kind, const Problem& problem) {
  out += file + ": " + kind;
  if (!problem.place.empty()) out += problem.place + ": ";
  out += problem.what + "\n";
}

}  // namespace

LoadResult load_text(std::string_view text, const std::string& file, const World& world) {
  LoadResult result;
  result.file = file;
  Problems problems;
  load_into(text, result, world, problems);
  result.problems = problems.take_errors();
  result.warnings = problems.take_warnings();
  return result;
}

LoadResult load(const std::string& path, const World& world) {
  const FileContent content = world.read_file(path, max_file_bytes);
  if (content.error.empty()) return load_text(content.bytes, path, world);
  LoadResult result;
  result.file = path;
  result.problems.push_back({"", "can't be read: " + content.error});
  return result;
}

LoadResult load(const std::string& path) {
  return load(path, real_world());
}

std::string check_report(const LoadResult& result) {
  std::string out;
  for (const Problem& problem : result.problems) append(out, result.file, "", problem);
  for (const Problem& problem : result.warnings) append(out, result.file, "warning: ", problem);
  // What was found beyond the syntax counts, too.
  if (!result.config || !result.problems.empty())
    return out + count_of(result.problems.size(), "error") + "\n";
  const Config& config = *result.config;
  for (const Route& route : config.routes) {
    if (route.auth) out += result.file + ": route " + route.name + " asks for " + summary(*route.auth) + "\n";
  }
  std::size_t backends = 0;
  for (const Upstream& upstream : config.upstreams) backends += upstream.backends.size();
  return out + result.file + " is valid: " + count_of(config.listeners.size(), "listener") + ", " +
         count_of(config.routes.size(), "route") + ", " + count_of(config.upstreams.size(), "upstream") +
         ", " + count_of(backends, "backend") +
         (config.feeds.empty() ? "" : ", " + count_of(config.feeds.size(), "feed")) + "\n";
}

}  // namespace holdfast::config
