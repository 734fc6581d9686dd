// holdfast_sim: many seeded runs of one session each over a shard without a kernel, a clock or a network.
//
//   holdfast_sim [--runs N] [--seed S] [--verbose]
//
// Run n of seed S has the seed S + n. `--verbose`, or HOLDFAST_SIM_SEED=S, shows one run step by step. Lines
// `pass NAME` and `fail NAME: …` as the other suites print them.

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sim/world.hpp"

namespace holdfast::sim {
namespace {

struct Options {
  std::uint64_t runs = 100'000;
  std::uint64_t seed = 1;
  std::FILE* log = nullptr;
};

/// Where the runs are: survives the process that does them, because an assertion ends that.
struct Place {
  std::uint64_t seed;
  std::uint64_t step;
  std::uint64_t virtual_steps;
  Coverage coverage;
  std::uint64_t failures;
};

constexpr std::uint64_t most_failures = 30;

void run_one(std::unique_ptr<Stage>& stage, const Options& options, Place& place) {
  auto world = std::make_unique<World>(*stage, place.seed, options.log);
  while (world->step()) place.step = world->steps();
  world->judge();
  place.coverage.add(world->coverage());
  place.virtual_steps += world->steps();
  if (!world->verdict().is_broken()) return;
  ++place.failures;
  std::printf("fail sessions: seed %llu, step %zu: %s\n", static_cast<unsigned long long>(place.seed),
              world->steps(), world->verdict().what().c_str());
  world.reset();
  stage = std::make_unique<Stage>();  // what is left over is not the next run's
}

int work(const Options& options, Place& place) {
  auto stage = std::make_unique<Stage>();
  for (std::uint64_t n = 0; n < options.runs && place.failures < most_failures; ++n) {
    place.seed = options.seed + n;
    place.step = 0;
    run_one(stage, options, place);
  }
  return place.failures == 0 ? 0 : 1;
}

void report(const Options& options, const Place& place) {
  const bool judge_holes = options.runs >= 20'000 && place.failures == 0;
  for (const Coverage::Line& line : place.coverage.lines()) {
    const bool hole = line.runs == 0 && line.expected;
    if (hole && judge_holes) {
      std::printf("fail covered: never: %s\n", line.name.c_str());
    } else if (line.runs != 0 || line.expected) {
      std::printf("     %9llu runs: %s\n", static_cast<unsigned long long>(line.runs), line.name.c_str());
    }
  }
}

bool parse(int count, char** words, Options& options) {
  for (int n = 1; n < count; ++n) {
    const std::string_view word = words[n];
    if (word == "--verbose") {
      options.log = stdout;
    } else if (word == "--runs" && n + 1 < count) {
      options.runs = std::strtoull(words[++n], nullptr, 10);
    } else if (word == "--seed" && n + 1 < count) {
      options.seed = std::strtoull(words[++n], nullptr, 10);
    } else {
      return false;
    }
  }
  if (const char* seed = std::getenv("HOLDFAST_SIM_SEED"); seed != nullptr) {
    options.seed = std::strtoull(seed, nullptr, 10);
    options.runs = 1;
    options.log = stdout;
  }
  if (options.log != nullptr) options.runs = 1;
  return true;
}

// Runs in a child, so that a failed assertion can be told with its seed.
int simulate(const Options& options) {
  void* shared = mmap(nullptr, sizeof(Place), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 2;
  Place& place = *new (shared) Place{};
  const auto began = std::chrono::steady_clock::now();
  const pid_t child = fork();
  if (child < 0) return 2;
  if (child == 0) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);  // nothing is to be lost by an assertion
    const int result = work(options, place);
    std::fflush(stdout);
    _exit(result);
  }
  int status = 0;
  waitpid(child, &status, 0);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  if (WIFSIGNALED(status)) {
    std::printf("fail sessions: seed %llu, step %llu: ended by signal %d, see above\n",
                static_cast<unsigned long long>(place.seed), static_cast<unsigned long long>(place.step + 1),
                WTERMSIG(status));
    return 1;
  }
  report(options, place);
  std::printf("%llu runs, seed %llu, %llu steps, %.1f s\n", static_cast<unsigned long long>(options.runs),
              static_cast<unsigned long long>(options.seed),
              static_cast<unsigned long long>(place.virtual_steps), took.count());
  if (WEXITSTATUS(status) == 0) std::printf("pass sessions\n");
  return WEXITSTATUS(status);
}

}  // namespace
}  // namespace holdfast::sim

int main(int count, char** words) {
  holdfast::sim::Options options;
  if (!holdfast::sim::parse(count, words, options)) {
    std::fputs("usage: holdfast_sim [--runs N] [--seed S] [--verbose]\n", stderr);
    return 2;
  }
  return holdfast::sim::simulate(options);
}
