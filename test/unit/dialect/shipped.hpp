#pragma once
// The dialects of conf/dialects, and short ones for tests.

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "holdfast/dialect/dialect.hpp"

namespace holdfast::dialect::test {

inline std::string source_file(const std::string& name) {
  const char* root = std::getenv("HOLDFAST_SOURCE_DIR");
  std::ifstream in((root == nullptr ? "." : std::string(root)) + "/" + name);
  REQUIRE_MESSAGE(in.good(), "HOLDFAST_SOURCE_DIR must lead to ", name);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::string text(const std::vector<config::Problem>& problems) {
  std::string out;
  for (const config::Problem& each : problems) out += each.place + " " + each.what + "\n";
  return out;
}

inline std::shared_ptr<const Dialect> made(const std::string& file_text) {
  const LoadedDialect loaded = Dialect::load(file_text, "d.json");
  REQUIRE_MESSAGE(loaded.dialect != nullptr, text(loaded.problems));
  return loaded.dialect;
}

inline std::shared_ptr<const Dialect> shipped(const std::string& name) {
  return made(source_file("conf/dialects/" + name + ".json"));
}

}  // namespace holdfast::dialect::test
