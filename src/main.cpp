// The command line of CONFIG.md section 2: `holdfast run|check|demo|status|drain|enable|disable`.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "holdfast/server/commands.hpp"
#include "holdfast/server/demo.hpp"
#include "holdfast/server/server.hpp"

namespace {

using namespace holdfast;

struct Arguments {
  std::string config_file;
  std::string ready_file;
  std::string against;
  bool demo_check = false;
  std::size_t demo_crowd = 0;
  server::AdminAccess admin;
  bool json = false;
  std::string backend;
};

void add_admin_options(CLI::App& command, Arguments& arguments) {
  command.add_option("--admin", arguments.admin.url, "Admin URL of the running instance")
      ->capture_default_str();
  command.add_option("--token-file", arguments.admin.token_file, "File with the admin token");
}

int serve(const Arguments& arguments) {
  server::Options options;
  options.config_file = arguments.config_file;
  options.ready_file = arguments.ready_file;
  server::Server instance(std::move(options));
  return instance.run();
}

}  // namespace

int main(int count, char** values) {
  CLI::App app{"Holdfast: a WebSocket load-balancing reverse proxy"};
  app.set_version_flag("--version", server::version_line());
  app.require_subcommand(1);
  Arguments arguments;
  int status = server::exit_ok;

  CLI::App* run = app.add_subcommand("run", "Serve in the foreground");
  run->add_option("-c,--config", arguments.config_file, "Configuration file")->required();
  run->add_option("--ready-file", arguments.ready_file,
                  "Write pid and bound addresses here (JSON) once all sockets listen");
  run->callback([&] { status = serve(arguments); });

  CLI::App* check = app.add_subcommand("check", "Check a configuration file; everything but bind");
  check->add_option("-c,--config", arguments.config_file, "Configuration file")->required();
  check->add_option("--against", arguments.against,
                    "Admin URL of a running instance: tell what a reload would do");
  check->add_option("--token-file", arguments.admin.token_file, "File with that instance's admin token");
  check->callback([&] {
    arguments.admin.url = arguments.against;
    status = server::check_command(arguments.config_file, arguments.admin);
  });

  CLI::App* demo =
      app.add_subcommand("demo", "Embedded backends behind a proxy, without a file; prints the URLs");
  demo->add_flag("--check", arguments.demo_check, "Show that it works, a line for each step, and end");
  demo->add_option("--crowd", arguments.demo_crowd, "So many embedded clients follow the market")
      ->check(CLI::Range(std::size_t{0}, server::most_demo_clients));
  demo->callback([&] {
    status = server::run_demo(arguments.demo_check ? server::DemoMode::check : server::DemoMode::serve,
                              arguments.demo_crowd);
  });

  CLI::App* show = app.add_subcommand("status", "What a running instance does");
  add_admin_options(*show, arguments);
  show->add_flag("--json", arguments.json, "The whole answer of GET /status");
  show->callback([&] {
    status = server::status_command(arguments.admin,
                                    arguments.json ? server::Output::json : server::Output::table);
  });

  const auto add_state_command = [&](const char* name, const char* state, const char* text) {
    CLI::App* command = app.add_subcommand(name, text);
    command
        ->add_option("BACKEND", arguments.backend,
                     "UPSTREAM/BACKEND, the backend as written in the configuration")
        ->required();
    add_admin_options(*command, arguments);
    command->callback(
        [&, state] { status = server::state_command(arguments.admin, arguments.backend, state); });
  };
  add_state_command("drain", "draining", "No new sessions for a backend");
  add_state_command("enable", "active", "A backend takes sessions again");
  add_state_command("disable", "disabled", "No new sessions for a backend");

  try {
    app.parse(count, values);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? server::exit_ok : server::exit_usage;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "holdfast: %s\n", problem.what());
    return server::exit_failure;
  }
  return status;
}
