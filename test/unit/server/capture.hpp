// What the process writes to stderr meanwhile, and temporary directories.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace holdfast::server::test {

class Directory {
 public:
  Directory() {
    name_ = (std::filesystem::temp_directory_path() / "holdfast-server-XXXXXX").string();
    REQUIRE(mkdtemp(name_.data()) != nullptr);
  }
  ~Directory() { std::filesystem::remove_all(name_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return name_ + "/" + name; }

 private:
  std::string name_;
};

inline std::vector<std::string> lines_of(const std::string& file) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// Puts a descriptor in stderr's place.
class StderrTo {
 public:
  explicit StderrTo(int descriptor) : saved_(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) {
    std::fflush(stderr);
    REQUIRE(dup2(descriptor, STDERR_FILENO) == STDERR_FILENO);
  }
  ~StderrTo() {
    std::fflush(stderr);
    dup2(saved_, STDERR_FILENO);
    close(saved_);
  }
  StderrTo(const StderrTo&) = delete;
  StderrTo& operator=(const StderrTo&) = delete;

 private:
  int saved_;
};

}  // namespace holdfast::server::test
