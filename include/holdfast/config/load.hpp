#pragma once
// From a file to a valid Config, or to the list of everything that is wrong with it.

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/config/config.hpp"

namespace holdfast::config {

// One finding. `place` is "line 3, column 9" where the JSON is broken, else the path of the value
// ("upstreams[0].backends[1].address"), or empty for the file as such.
struct Problem {
  std::string place;
  std::string what;

  bool operator==(const Problem&) const = default;
};

struct LoadResult {
  std::string file;
  std::optional<Config> config;   // set exactly when there are no problems
  std::vector<Problem> problems;  // in order of place
  std::vector<Problem> warnings;  // the file is usable nevertheless
};

struct FileContent {
  std::string bytes;
  std::string error;  // empty = read; else the reason without the name ("No such file or directory")
};

// Everything the loader asks of the outside, so that tests and the fuzzer can answer themselves.
struct World {
  // Regular files of at most `limit` bytes; never blocks on a FIFO.
  std::function<FileContent(const std::string& path, std::size_t limit)> read_file;
  // A host name's addresses with port 0, best first; empty with `error` set on failure. May block.
  std::function<std::vector<SocketAddress>(const std::string& host, std::string& error)> resolve;
  // Optional: what is wrong with a certificate and key (say, they don't fit); "" = nothing. The
  // TLS library lives in another module, so main() plugs it in.
  std::function<std::string(const Certificate&)> check_certificate;
  // Optional: why no connection can come from an address; "" = one can.
  std::function<std::string(const SocketAddress&)> check_source;
};

// The real file system and resolver, no check_certificate.
[[nodiscard]] World real_world();

// Never throws on bad input, whatever the bytes. Takes as long as name resolution takes: call it
// before the threads start, or off the threads that carry sessions.
[[nodiscard]] LoadResult load(const std::string& path, const World& world);
[[nodiscard]] LoadResult load(const std::string& path);

// `file` names the text in messages; relative file names in it are relative to its directory.
[[nodiscard]] LoadResult load_text(std::string_view text, const std::string& file, const World& world);

/// What a file of discovered backends holds, for `upstream` (whose probe they inherit): its `backends` where
/// nothing is wrong. Their addresses are numeric or unix sockets; `directory` is what relative ones are in.
struct BackendsFile {
  std::vector<BackendConfig> backends;
  std::vector<Problem> problems;
};
[[nodiscard]] BackendsFile parse_backends(std::string_view text, const Upstream& upstream,
                                          const std::string& directory);

// One line per problem and warning, then "N errors" or "FILE is valid: …"; ends with a newline.
[[nodiscard]] std::string check_report(const LoadResult& result);

}  // namespace holdfast::config
