#pragma once
// A world for loader tests: files and names are what the test says.

#include <map>
#include <string>

#include "config/socket_address.hpp"
#include "holdfast/config/load.hpp"

namespace holdfast::config::test {

inline const std::string chain_pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
inline const std::string key_pem = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";

struct FakeWorld {
  std::map<std::string, std::string> files;
  std::map<std::string, std::string> names;  // host name -> numeric address
  int resolutions = 0;

  // Refers to *this.
  World world() {
    World out;
    out.read_file = [this](const std::string& path, std::size_t) -> FileContent {
      const auto found = files.find(path);
      if (found == files.end()) return {{}, "No such file or directory"};
      return {found->second, {}};
    };
    out.resolve = [this](const std::string& host, std::string& error) -> std::vector<SocketAddress> {
      ++resolutions;
      const auto found = names.find(host);
      if (found != names.end()) return {*numeric_socket(found->second, 0)};
      error = "Name or service not known";
      return {};
    };
    return out;
  }

  LoadResult load(const std::string& text) { return load_text(text, "/etc/holdfast/holdfast.json", world()); }
};

// The problem at a place, or "" if there is none.
inline std::string what_at(const LoadResult& result, const std::string& place) {
  for (const Problem& problem : result.problems) {
    if (problem.place == place) return problem.what;
  }
  return {};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A valid file with `extra` (ending in a comma) put before the rest.
inline std::string with(const std::string& extra) {
  return "{" + extra +
         R"("listeners": [{"bind": "127.0.0.1:8080"}],
            "upstreams": [{"name": "chat", "backends": [{"address": "127.0.0.1:9001"}]}]})";
}

}  // namespace holdfast::config::test
