// Backends from a file that somebody else writes. Its folder is watched, because most writers replace the
// file (rename), and Kubernetes replaces a symbolic link beside it. Where inotify tells nothing (network file
// systems), it is looked at every few seconds. It is read only if it is not the one that was read last.

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <utility>

#include "discover/source.hpp"
#include "holdfast/config/load.hpp"

namespace holdfast::discover {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds settling{50};  // a file that is being written is read when that is over
constexpr std::chrono::seconds look_period{5};
// A file that was written so shortly before it was read may be written again unseen: clocks of file systems
// are coarse, up to two seconds.
constexpr std::chrono::seconds racy{3};
constexpr std::size_t most_bytes = 16UL << 20U;

std::string folder_of(const std::string& file) {
  return std::filesystem::path(file).parent_path().string();
}

// What tells one state of a file from another.
class Fingerprint {
 public:
  static Fingerprint of(const std::string& file) {
    Fingerprint made;
    struct stat status {};
    made.error_ = stat(file.c_str(), &status) == 0 ? 0 : errno;
    if (made.error_ != 0) return made;
    made.numbers_ = {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
                     nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    made.settled_ = now - std::chrono::nanoseconds(std::max(made.numbers_[3], made.numbers_[4])) > racy;
    return made;
  }
  /// Whether the file is certainly as it was when `this` was taken.
  [[nodiscard]] bool still_holds(const Fingerprint& now) const noexcept {
    return settled_ && error_ == 0 && now.error_ == 0 && numbers_ == now.numbers_;
  }

 private:
  static std::uint64_t nanoseconds(const timespec& time) noexcept {
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
  }
  std::array<std::uint64_t, 5> numbers_{};
  int error_ = 0;
  bool settled_ = false;
};

class FileSource final : public Source {
 public:
  FileSource(asio::io_context& io, const config::Upstream& upstream, Discovery::Sink& sink)
      : Source(upstream, "file " + upstream.discover->file, sink), events_(io), timer_(io) {
    // Without (a limit of the user's): the file is read again every few seconds.
    if (const int made = inotify_init1(IN_NONBLOCK | IN_CLOEXEC); made >= 0) {
      events_.assign(made);
      wait_for_events();
    }
    look_in(std::chrono::milliseconds(0));
  }

 private:
  void watch() {
    if (watched_ < 0 && events_.is_open())
      watched_ = inotify_add_watch(events_.native_handle(), folder_of(upstream().discover->file).c_str(),
                                   IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_DELETE_SELF);
  }

  void wait_for_events() {
    events_.async_wait(asio::posix::descriptor_base::wait_read,
                       [this, life = life()](const boost::system::error_code& error) {
                         if (error || life.expired()) return;
                         read_events();
                         look_soon();
                         wait_for_events();
                       });
  }

  // What has happened is not of interest, but that the folder is gone.
  void read_events() {
    alignas(inotify_event) std::array<char, 4096> bytes;
    for (;;) {
      const ssize_t got = read(events_.native_handle(), bytes.data(), bytes.size());
      if (got <= 0) return;
      for (ssize_t at = 0; at < got;) {
        const auto& event = *reinterpret_cast<const inotify_event*>(bytes.data() + at);
        if ((event.mask & IN_IGNORED) != 0) watched_ = -1;
        at += static_cast<ssize_t>(sizeof event + event.len);
      }
    }
  }

  void look_in(std::chrono::milliseconds wait) {
    timer_.expires_after(wait);
    timer_.async_wait([this, life = life()](const boost::system::error_code& error) {
      if (!error && !life.expired()) look();
    });
  }

  // A folder in which something happens all the time must not put it off for ever.
  void look_soon() {
    if (!looks_soon_) look_in(settling);
    looks_soon_ = true;
  }

  void look() {
    watch();
    looks_soon_ = false;
    look_in(look_period);
    // Before it is read: what is written meanwhile is found next time.
    const Fingerprint now = Fingerprint::of(upstream().discover->file);
    if (last_read_.still_holds(now)) return same_again();
    last_read_ = now;
    std::string why;
    auto backends = read_backends(upstream(), why);
    backends ? found(std::move(*backends)) : failed(std::move(why));
  }

  asio::posix::stream_descriptor events_;
  asio::steady_timer timer_;
  int watched_ = -1;
  bool looks_soon_ = false;
  Fingerprint last_read_;
};

}  // namespace

std::optional<Backends> read_backends(const config::Upstream& upstream, std::string& why) {
  const std::string& file = upstream.discover->file;
  const config::FileContent content = config::real_world().read_file(file, most_bytes);
  if (!content.error.empty()) {
    why = "can't be read: " + content.error;
    return std::nullopt;
  }
  config::BackendsFile parsed = config::parse_backends(content.bytes, upstream, folder_of(file));
  if (parsed.problems.empty()) return std::move(parsed.backends);
  for (const config::Problem& problem : parsed.problems)
    why += (why.empty() ? "" : "; ") + (problem.place.empty() ? "" : problem.place + " ") + problem.what;
  return std::nullopt;
}

std::unique_ptr<Source> make_file_source(asio::io_context& io, const config::Upstream& upstream,
                                         Discovery::Sink& sink) {
  return std::make_unique<FileSource>(io, upstream, sink);
}

}  // namespace holdfast::discover
