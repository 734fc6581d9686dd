#pragma once
// The commands that serve nothing: check, status, drain|enable|disable. Each prints and returns the exit
// status.

#include <cstdint>
#include <string>

namespace holdfast::server {

struct AdminAccess {
  std::string url = "http://127.0.0.1:9900";
  std::string token_file;  ///< "" = none
};

enum class Output : std::uint8_t { table, json };

/// "holdfast 0.1.0 (commit)".
[[nodiscard]] std::string version_line();

/// With a running instance's URL in `against`: what a reload there would change. 0, 2 for a bad file, 1 if it
/// can't be asked.
[[nodiscard]] int check_command(const std::string& config_file, const AdminAccess& against);
[[nodiscard]] int status_command(const AdminAccess& admin, Output output);
/// `backend` is UPSTREAM/ADDRESS, `state` active, draining or disabled.
[[nodiscard]] int state_command(const AdminAccess& admin, const std::string& backend,
                                const std::string& state);

}  // namespace holdfast::server
