// Files that are no configuration at all. None may crash the loader, each must say why.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "unit/config/fake_world.hpp"

namespace holdfast::config::test {
namespace {

// A directory that goes with the test.
class Directory {
 public:
  Directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-config-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }
  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return file(name);
  }

 private:
  std::filesystem::path path_;
};

std::string first_problem(const LoadResult& result) {
  REQUIRE_FALSE(result.config);
  REQUIRE_FALSE(result.problems.empty());
  return result.problems[0].what;
}

TEST_CASE("broken JSON is reported with line and column") {
  FakeWorld world;
  const LoadResult result = world.load("{\n  \"workers\": 3,\n  \"listeners\" [\n");
  REQUIRE(result.problems.size() == 1);
  CHECK(result.problems[0].place == "line 3, column 15");
  CHECK(contains(result.problems[0].what, "syntax error"));
  CHECK(contains(result.problems[0].what, "expected ':'"));
}

TEST_CASE("empty, blank and non-object files are errors") {
  FakeWorld world;
  CHECK(contains(first_problem(world.load("")), "is empty"));
  CHECK(contains(first_problem(world.load(" \n\t\r\n")), "is empty"));
  CHECK(contains(first_problem(world.load("// nothing but a comment\n")), "unexpected end of input"));
  CHECK(contains(first_problem(world.load("[]")), "must hold a JSON object"));
  CHECK(contains(first_problem(world.load("{} {}")), "expected end of input"));
}

TEST_CASE("a file cut at any byte is an error, never a crash and never valid") {
  FakeWorld world;
  const std::string whole = with(R"("log": {"level": "info"}, "workers": 12, /* c */ )");
  REQUIRE(world.load(whole).config);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const LoadResult result = world.load(whole.substr(0, length));
    CHECK_FALSE(result.config);
    CHECK_FALSE(result.problems.empty());
  }
}

TEST_CASE("nesting is bounded") {
  FakeWorld world;
  CHECK(contains(first_problem(world.load(std::string(1'000'000, '['))), "nested deeper than 32 levels"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  CHECK(contains(first_problem(world.load(objects)), "nested deeper than 32 levels"));
}

TEST_CASE("odd bytes are shown in a readable form") {
  FakeWorld world;
  CHECK(contains(first_problem(world.load("{\"a\xff\": 1}")), "invalid string"));
  CHECK(contains(first_problem(world.load(std::string("\0\0\0", 3))), "syntax error"));
  CHECK(contains(first_problem(world.load("{\"workers\": 1e999}")), "number overflow"));
  const LoadResult nul = world.load(with("\"log\": {\"access\": \"a\\u0000b\"},"));
  CHECK(contains(what_at(nul, "log.access"), "is \"a\\u0000b\", must not contain NUL"));
  const LoadResult key = world.load(with("\"a\\nb\": 1,"));
  CHECK(key.problems.at(0).place == "\"a\\nb\"");
  const LoadResult longer = world.load(with("\"workers\": \"" + std::string(5000, 'x') + "\","));
  CHECK(what_at(longer, "workers").size() < 200);
  CHECK(world.load("\xef\xbb\xbf" + with("")).config);
}

TEST_CASE("missing files, directories, FIFOs and huge files are errors that name the cause") {
  const Directory directory;
  CHECK(first_problem(load(directory.file("none"))) == "can't be read: No such file or directory");
  CHECK(first_problem(load(directory.file(""))) == "can't be read: it is a directory");
  REQUIRE(::mkfifo(directory.file("fifo").c_str(), 0600) == 0);
  CHECK(first_problem(load(directory.file("fifo"))) == "can't be read: it is not a regular file");
  const std::string huge = directory.write("huge", "{}");
  std::filesystem::resize_file(huge, 17U << 20U);
  CHECK(contains(first_problem(load(huge)), "larger than 16777216 bytes"));
  const std::string good = directory.write("good", with(""));
  CHECK(load(good).config);
}

TEST_CASE("an unreadable file is an error") {
  if (::geteuid() == 0) {
    MESSAGE("skipped: root may read every file");
    return;
  }
  const Directory directory;
  const std::string secret = directory.write("secret", with(""));
  REQUIRE(::chmod(secret.c_str(), 0) == 0);
  CHECK(first_problem(load(secret)) == "can't be read: Permission denied");
}

}  // namespace
}  // namespace holdfast::config::test
