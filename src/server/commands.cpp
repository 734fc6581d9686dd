#include "holdfast/server/commands.hpp"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "holdfast/admin/client.hpp"
#include "holdfast/config/load.hpp"
#include "holdfast/server/server.hpp"
#include "server/preview.hpp"
#include "server/release.hpp"
#include "server/status_text.hpp"
#include "version.hpp"

namespace holdfast::server {

namespace {

std::string read_token(const std::string& file) {
  if (file.empty()) return {};
  std::ifstream stream(file);
  std::string token;
  stream >> token;
  return token;
}

enum class Call : std::uint8_t { look, change };

// The answer of a successful call; else the reason on stderr and nothing.
std::optional<nlohmann::json> ask(const AdminAccess& admin, const std::string& target, Call call) {
  const admin::Access access{admin.url, read_token(admin.token_file)};
  const auto answer = call == Call::change ? admin::post(access, target) : admin::get(access, target);
  if (!answer) {
    std::fprintf(stderr, "holdfast: %s\n", answer.error().what.c_str());
    return std::nullopt;
  }
  nlohmann::json body = nlohmann::json::parse(answer.value().body, nullptr, false);
  if (answer.value().status == 200 && !body.is_discarded()) return body;
  const std::string why = body.is_object() ? body.value("error", answer.value().body) : answer.value().body;
  std::fprintf(stderr, "holdfast: %s answered %u: %s\n", admin.url.c_str(), answer.value().status,
               why.c_str());
  return std::nullopt;
}

// The other side may be anything: where its JSON has another shape than a holdfast's, reading it throws.
template <class Deed>
int talk_to(const AdminAccess& admin, Deed deed) {
  try {
    return deed();
  } catch (const nlohmann::json::exception&) {
    std::fprintf(stderr, "holdfast: what %s answers is not what a holdfast would\n", admin.url.c_str());
    return exit_failure;
  }
}

}  // namespace

std::string version_line() {
  return std::string("holdfast ") + release + " (" + build_commit + ")";
}

int check_command(const std::string& config_file, const AdminAccess& against) {
  config::LoadResult loaded = config::load(config_file, world());
  if (loaded.config) {
    for (config::Problem& problem : check_beyond_syntax(*loaded.config))
      loaded.problems.push_back(std::move(problem));
  }
  const std::string report = config::check_report(loaded);
  std::fputs(report.c_str(), loaded.problems.empty() ? stdout : stderr);
  if (!loaded.problems.empty()) return exit_usage;
  if (against.url.empty()) return exit_ok;
  return talk_to(against, [&] {
    const auto status = ask(against, "/status", Call::look);
    if (!status) return exit_failure;
    std::fputs(preview_reload(*loaded.config, *status).c_str(), stdout);
    return exit_ok;
  });
}

int status_command(const AdminAccess& admin, Output output) {
  return talk_to(admin, [&] {
    const auto status = ask(admin, "/status", Call::look);
    if (!status) return exit_failure;
    if (output == Output::json) {
      std::printf("%s\n", status->dump(2).c_str());
    } else {
      std::fputs(status_text(*status).c_str(), stdout);
    }
    return exit_ok;
  });
}

int state_command(const AdminAccess& admin, const std::string& backend, const std::string& state) {
  const auto slash = backend.find('/');
  if (slash == std::string::npos) {
    std::fprintf(stderr, "holdfast: BACKEND is UPSTREAM/ADDRESS, not \"%s\"\n", backend.c_str());
    return exit_usage;
  }
  const std::string target = "/upstreams/" + admin::percent_encode(backend.substr(0, slash)) + "/backends/" +
                             admin::percent_encode(backend.substr(slash + 1)) + "/" + state;
  return talk_to(admin, [&] {
    if (!ask(admin, target, Call::change)) return exit_failure;
    std::printf("%s is %s\n", backend.c_str(), state.c_str());
    return exit_ok;
  });
}

}  // namespace holdfast::server
