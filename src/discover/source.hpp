#pragma once
// One upstream's way of finding backends. Private to discover.

#include <boost/asio/io_context.hpp>
#include <memory>
#include <vector>

#include "holdfast/discover/discovery.hpp"

namespace holdfast::discover {

using Backends = std::vector<config::BackendConfig>;

class Source {
 public:
  Source(const config::Upstream& upstream, std::string what, Discovery::Sink& sink);
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;

  /// Whether `upstream` is looked for in the same way.
  [[nodiscard]] bool serves(const config::Upstream& upstream) const;
  [[nodiscard]] const Backends& backends() const noexcept { return backends_; }
  /// What the one before has found stays until there is a first answer.
  void inherit(const Source& before);
  [[nodiscard]] const Report& report() const noexcept { return report_; }

 protected:
  /// For handlers: expired once the source is gone.
  [[nodiscard]] std::weak_ptr<const int> life() const noexcept { return life_; }
  [[nodiscard]] const config::Upstream& upstream() const noexcept { return upstream_; }
  void found(Backends backends);
  /// Something is missing, which stays as it was: `why`.
  void found_in_part(Backends backends, std::string why);
  void failed(std::string why);
  /// As the latest try.
  void same_again();

 private:
  void adopt(Backends backends);

  const config::Upstream upstream_;  ///< its name, `discover` and probe
  Discovery::Sink& sink_;
  Backends backends_;
  Report report_;
  const std::shared_ptr<const int> life_ = std::make_shared<int>();
};

[[nodiscard]] std::unique_ptr<Source> make_dns_source(boost::asio::io_context& io,
                                                      const config::Upstream& upstream,
                                                      Discovery::Sink& sink);
[[nodiscard]] std::unique_ptr<Source> make_file_source(boost::asio::io_context& io,
                                                       const config::Upstream& upstream,
                                                       Discovery::Sink& sink);

/// What `upstream`'s file holds now, or what is wrong with it in `why`.
[[nodiscard]] std::optional<Backends> read_backends(const config::Upstream& upstream, std::string& why);

}  // namespace holdfast::discover
