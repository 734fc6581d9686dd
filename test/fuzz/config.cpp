// Feeds arbitrary bytes to the loader. Files and names are answered here, so nothing leaves the
// process. Beyond not crashing: an answer is either a configuration or problems, and a
// configuration doesn't differ from itself.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "holdfast/config/diff.hpp"
#include "holdfast/config/load.hpp"

namespace {

using namespace holdfast::config;

World closed_world() {
  World world;
  world.read_file = [](const std::string& path, std::size_t) -> FileContent {
    if (path.size() % 2 == 0) return {{}, "No such file or directory"};
    return {"-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n", {}};
  };
  world.resolve = [](const std::string&, std::string& error) -> std::vector<SocketAddress> {
    error = "no resolver here";
    return {};
  };
  return world;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world = closed_world();
  const std::string text(reinterpret_cast<const char*>(data), size);
  const LoadResult result = load_text(text, "/etc/holdfast/holdfast.json", world);
  if (result.config.has_value() != result.problems.empty()) std::abort();
  if (check_report(result).empty()) std::abort();
  if (result.config && !diff(*result.config, *result.config).empty()) std::abort();
  return 0;
}
